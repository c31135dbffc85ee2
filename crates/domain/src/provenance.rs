//! How an installer was made, as a predicate of SLSA 1.0, "Provenance": from which images, by which factory.
//!
//! Nothing in it depends on a clock or a request, so that it is the same whenever it is written.

use factory_formats::Digest;
use serde::Serialize;
use serde_json::{Value, json};

use crate::arch::Arch;
use crate::asset::InstallerName;
use crate::schematic::SchematicId;
use crate::version::TalosVersion;

/// What an installer is made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Material {
    /// Its part in the whole, such as `extension:siderolabs/drbd:linux/amd64`.
    pub name: String,
    /// Full name of the image with its digest.
    pub uri: String,
    /// Digest of the image as it was verified, of its index if it has one.
    #[serde(skip)]
    pub digest: Digest,
}

impl Material {
    /// An image that has a part in the installer for one architecture.
    pub fn image(part: &str, arch: Arch, registry: &str, repository: &str, digest: Digest) -> Self {
        Self {
            name: format!("{part}:linux/{arch}"),
            uri: format!("{registry}/{repository}@{digest}"),
            digest,
        }
    }
}

/// What is told about an installer.
#[derive(Clone, Copy, Debug)]
pub struct Provenance<'a> {
    /// Name of the image.
    pub name: &'a InstallerName,
    /// The schematic.
    pub schematic: SchematicId,
    /// The version of Talos.
    pub version: &'a TalosVersion,
    /// What it is made from, for all architectures, in any order.
    pub materials: &'a [Material],
    /// Address of the factory: who vouches for this.
    pub external_url: &'a str,
}

/// What the parameters of a build mean: the names below, as the documentation of the registry explains them.
const BUILD_TYPE: &str = "urn:image-factory:installer:v1";

impl Provenance<'_> {
    /// The predicate.
    pub fn predicate(&self) -> Value {
        let mut materials = self.materials.to_vec();
        materials.sort();
        materials.dedup();
        let images = materials.iter().map(|material| {
            json!({
                "name": material.name,
                "uri": material.uri,
                "digest": { "sha256": material.digest.hex() },
                "mediaType": "application/vnd.oci.image.index.v1+json",
            })
        });
        let schematic = json!({
            "name": "schematic",
            "uri": format!("urn:image-factory:schematic:{}", self.schematic),
            "digest": { "sha256": self.schematic.to_string() },
        });
        let architectures: Vec<&str> = Arch::ALL.iter().map(|arch| arch.as_str()).collect();
        json!({
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "imageName": self.name.to_string(),
                    "schematicId": self.schematic.to_string(),
                    "talosVersion": self.version.tag(),
                    "secureBoot": self.name.secure_boot,
                    "platform": self.name.platform,
                },
                "internalParameters": { "architectures": architectures },
                "resolvedDependencies": images.chain([schematic]).collect::<Vec<_>>(),
            },
            "runDetails": {
                "builder": {
                    "id": self.external_url,
                    "version": { "image-factory": env!("CARGO_PKG_VERSION") },
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn material(part: &str, arch: Arch) -> Material {
        Material::image(part, arch, "ghcr.io", "siderolabs/x", Digest::of(part.as_bytes()))
    }

    fn predicate(materials: &[Material]) -> Value {
        let provenance = Provenance {
            name: &"aws-installer-secureboot".parse().unwrap(),
            schematic: SchematicId::of(b"customization: {}\n"),
            version: &TalosVersion::parse("v1.12.4").unwrap(),
            materials,
            external_url: "https://factory.example/",
        };
        provenance.predicate()
    }

    #[test]
    fn it_does_not_depend_on_the_order_of_things() {
        let (base, drbd) = (material("base-installer", Arch::Arm64), material("extension:drbd", Arch::Amd64));
        let told = predicate(&[drbd.clone(), base.clone(), drbd.clone()]);
        assert_eq!(told, predicate(&[base, drbd]));
        let from = told["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
        let names: Vec<_> = from.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["base-installer:linux/arm64", "extension:drbd:linux/amd64", "schematic"]);
        let digest = Digest::of(b"extension:drbd");
        assert_eq!(from[1]["uri"], format!("ghcr.io/siderolabs/x@{digest}"));
        assert_eq!(from[1]["digest"]["sha256"], digest.hex());
    }

    #[test]
    fn it_tells_what_was_asked_for_and_who_made_it() {
        let told = predicate(&[]);
        let asked = &told["buildDefinition"]["externalParameters"];
        assert_eq!(asked["imageName"], "aws-installer-secureboot");
        assert_eq!((&asked["secureBoot"], &asked["platform"]), (&json!(true), &json!("aws")));
        assert_eq!(asked["talosVersion"], "v1.12.4");
        assert_eq!(told["runDetails"]["builder"]["id"], "https://factory.example/");
    }
}
