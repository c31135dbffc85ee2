//! `manifest.yaml` of an extension.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::constraint::{Constraint, InvalidConstraint};
use crate::goyaml::{self, Decoder, Error, Field, Limits, Mapping, NodeId, UnknownKeys, Value, emit};

/// Where the manifest is in an extension's image.
pub const MANIFEST_PATH: &str = "manifest.yaml";

/// The only version of manifests there is.
const MANIFEST_VERSION: &str = "v1alpha1";

/// What an extension says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// All of it but the version of its form.
    pub metadata: Metadata,
}

/// Who an extension is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Name, not checked for anything.
    pub name: String,
    /// Version, free text.
    pub version: String,
    /// Author, free text.
    pub author: String,
    /// Description, free text, often of several lines.
    pub description: String,
    /// Versions of Talos it can be used with, see [`Constraint`]. Empty means any.
    pub talos_versions: String,
    /// More, for programs; empty means nothing.
    pub extra_info: String,
}

/// Why an extension has no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is not there, or there is nothing in it.
    #[error("extension manifest is missing")]
    Missing,
    /// It is not YAML, or of another shape.
    #[error(transparent)]
    Yaml(#[from] Error),
    /// It is of a form that is not known.
    #[error("unsupported manifest version: {0:?}")]
    UnsupportedVersion(String),
}

/// Why an extension cannot be used with a version of Talos.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IncompatibleExtension {
    /// Its constraint cannot be read.
    #[error("error validating extension {name:?}: error parsing Talos version constraint: {source}")]
    Constraint {
        /// Name of the extension.
        name: String,
        /// What is wrong with the constraint.
        source: InvalidConstraint,
    },
    /// Its constraint does not hold.
    #[error(
        "error validating extension {name:?}: version constraint {constraint} can't be satisfied with Talos version {version}"
    )]
    Version {
        /// Name of the extension.
        name: String,
        /// The constraint as written.
        constraint: String,
        /// The version it was held against.
        version: Version,
    },
}

impl Manifest {
    /// Reads the first document of a manifest; keys that are not known are passed over.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let limits = Limits::default();
        let document = goyaml::read(bytes, &limits)?;
        let mut decoder = Decoder::new(&document, &limits, UnknownKeys::Ignore);
        let (mut version, mut metadata) = (String::new(), Metadata::default());
        decoder.structure(document.root(), "extensions.Manifest", &mut |decoder, key, value| {
            match key {
                "version" => decoder.string(value, &mut version)?,
                "metadata" => read_metadata(decoder, value, &mut metadata)?,
                _ => return Ok(Field::Unknown),
            };
            Ok(Field::Known)
        })?;
        decoder.finish()?;
        if version.is_empty() && metadata == Metadata::default() {
            return Err(ManifestError::Missing);
        }
        if version != MANIFEST_VERSION {
            return Err(ManifestError::UnsupportedVersion(version));
        }
        Ok(Self { metadata })
    }

    /// The manifest as YAML.
    pub fn to_yaml(&self) -> String {
        let mut mapping = Mapping::new();
        mapping.push("version", MANIFEST_VERSION.into());
        mapping.push("metadata", self.metadata.to_value());
        emit(&Value::Mapping(mapping))
    }

    /// Checks that the extension can be used with a version of Talos, of which only the three numbers
    /// count: a pre-release is as good as its release.
    ///
    /// # Errors
    /// [`IncompatibleExtension`].
    pub fn check_talos(&self, version: &Version) -> Result<(), IncompatibleExtension> {
        let Metadata { name, talos_versions, .. } = &self.metadata;
        if talos_versions.is_empty() {
            return Ok(());
        }
        let constraint = Constraint::parse(talos_versions)
            .map_err(|source| IncompatibleExtension::Constraint { name: name.clone(), source })?;
        let version = Version::new(version.major, version.minor, version.patch);
        if constraint.allows(&version) {
            return Ok(());
        }
        Err(IncompatibleExtension::Version {
            name: name.clone(),
            constraint: talos_versions.clone(),
            version,
        })
    }
}

impl Metadata {
    /// The metadata as they stand in manifests and in the list of layers.
    pub(super) fn to_value(&self) -> Value {
        let nested = |key: &str, value| {
            let mut mapping = Mapping::new();
            mapping.push(key, value);
            Value::Mapping(mapping)
        };
        let mut mapping = Mapping::new();
        mapping.push("name", self.name.as_str().into());
        mapping.push("version", self.version.as_str().into());
        mapping.push("author", self.author.as_str().into());
        mapping.push("description", self.description.as_str().into());
        let versions = nested("version", self.talos_versions.as_str().into());
        mapping.push("compatibility", nested("talos", versions));
        if !self.extra_info.is_empty() {
            mapping.push("extraInfo", self.extra_info.as_str().into());
        }
        Value::Mapping(mapping)
    }
}

fn read_metadata(decoder: &mut Decoder<'_>, node: NodeId, out: &mut Metadata) -> Result<bool, Error> {
    decoder.structure(node, "extensions.Metadata", &mut |decoder, key, value| {
        match key {
            "name" => decoder.string(value, &mut out.name)?,
            "version" => decoder.string(value, &mut out.version)?,
            "author" => decoder.string(value, &mut out.author)?,
            "description" => decoder.string(value, &mut out.description)?,
            "compatibility" => read_compatibility(decoder, value, &mut out.talos_versions)?,
            "extraInfo" => decoder.string(value, &mut out.extra_info)?,
            _ => return Ok(Field::Unknown),
        };
        Ok(Field::Known)
    })
}

fn read_compatibility(decoder: &mut Decoder<'_>, node: NodeId, out: &mut String) -> Result<bool, Error> {
    decoder.structure(node, "extensions.Compatibility", &mut |decoder, key, value| match key {
        "talos" => {
            decoder.structure(value, "extensions.Constraint", &mut |decoder, key, value| match key {
                "version" => decoder.string(value, out).map(|_| Field::Known),
                _ => Ok(Field::Unknown),
            })?;
            Ok(Field::Known)
        }
        _ => Ok(Field::Unknown),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GVISOR: &str = "\
version: v1alpha1
metadata:
    name: gvisor
    version: 20260817.0
    author: Sidero Labs
    description: |
        [sandbox] A container runtime.
        It has two lines.
    compatibility:
        talos:
            version: '>= v1.0.0'
            since: unknown keys are fine
---
ignored: [
";

    #[test]
    fn reads_what_extensions_say() {
        let manifest = Manifest::parse(GVISOR.as_bytes()).unwrap();
        let expected = Metadata {
            name: "gvisor".into(),
            version: "20260817.0".into(),
            author: "Sidero Labs".into(),
            description: "[sandbox] A container runtime.\nIt has two lines.\n".into(),
            talos_versions: ">= v1.0.0".into(),
            extra_info: String::new(),
        };
        assert_eq!(manifest.metadata, expected);
        assert_eq!(Manifest::parse(manifest.to_yaml().as_bytes()), Ok(manifest));
    }

    #[test]
    fn writes_texts_that_look_like_numbers_as_texts() {
        let manifest = Manifest {
            metadata: Metadata {
                version: "1234567e56".into(),
                author: "20250512".into(),
                ..Metadata::default()
            },
        };
        assert_eq!(
            manifest.to_yaml(),
            "version: v1alpha1\nmetadata:\n    name: \"\"\n    version: \"1234567e56\"\n    author: \"20250512\"\n    \
             description: \"\"\n    compatibility:\n        talos:\n            version: \"\"\n"
        );
    }

    #[test]
    fn refusals_have_the_words_of_the_reference() {
        for (text, message) in [
            ("{}", "extension manifest is missing"),
            ("", "EOF"),
            ("version: v1", "unsupported manifest version: \"v1\""),
            ("metadata: {name: a}", "unsupported manifest version: \"\""),
            (
                "version: v1alpha1\nversion: v1alpha1",
                "yaml: construct errors: line 2: mapping key \"version\" already defined at line 1",
            ),
            (
                "version: v1alpha1\nmetadata: {name: []}",
                "yaml: construct errors: line 2: cannot construct !!seq into string",
            ),
        ] {
            assert_eq!(Manifest::parse(text.as_bytes()).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn compatibility_is_checked_against_the_release() {
        let manifest = |constraint: &str| Manifest {
            metadata: Metadata { name: "a".into(), talos_versions: constraint.into(), ..Metadata::default() },
        };
        let check = |constraint: &str, version: &str| {
            manifest(constraint).check_talos(&version.parse().unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(check("", "1.0.0"), Ok(()));
        for (constraint, ok) in [
            (">= v1.9.0", [true, true, false]),
            (">= 1.9.0-alpha.0", [true, true, false]),
            (">=v1.8.0 <v1.10.0", [false, true, true]),
            ("<v1.9.0 || >=v1.10.0", [true, false, true]),
            (">= v1.10.0", [true, false, false]),
        ] {
            for (version, ok) in ["1.10.0-alpha.1", "1.9.5", "1.8.0"].into_iter().zip(ok) {
                assert_eq!(check(constraint, version).is_ok(), ok, "{constraint} {version}");
            }
        }
        assert_eq!(
            check(">= v1.9.0", "1.8.0-alpha.1"),
            Err("error validating extension \"a\": version constraint >= v1.9.0 can't be satisfied with Talos \
                 version 1.8.0"
                .into())
        );
        let message = check("~1.9", "1.8.0").unwrap_err();
        assert!(
            message.starts_with("error validating extension \"a\": error parsing Talos version constraint: "),
            "{message}"
        );
    }
}
