//! What is remembered of a published image: enough to know its digests, and to make it again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use factory_domain::Arch;
use factory_formats::Digest;
use factory_formats::oci_image::media_type;
use serde::{Deserialize, Serialize};

/// An image as it was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Edition {
    /// Version of Talos.
    pub version: String,
    /// Its index.
    pub index: Signed,
    /// What the index names.
    pub platforms: Vec<PlatformEdition>,
    /// Full name of the repository, `<host>/<image>/<schematic>`, as the signatures tell it.
    pub name: String,
    /// Digest of the public key that verifies the signatures.
    pub key: Digest,
    /// What is attested of its manifests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<Attestation>,
}

/// A signed statement about a manifest. Its text is made again when it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attestation {
    /// About what.
    pub about: About,
    /// Digest of the statement.
    pub statement: Digest,
    /// Signature over it.
    pub signature: Signature,
    /// Digest of the bundle that holds both.
    pub bundle: Digest,
    /// Length of that in bytes.
    pub size: u64,
}

/// What an attestation says, and of which manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum About {
    /// What is inside of the image for an architecture.
    Contents(Arch),
    /// How the image was made, of the index.
    Origin,
}

/// The image for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlatformEdition {
    /// Architecture, on Linux.
    pub arch: Arch,
    /// Its manifest.
    pub manifest: Signed,
    /// Its configuration.
    pub config: Digest,
    /// Its layers, bottom first.
    pub layers: Vec<Digest>,
}

/// A manifest that is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signed {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Signature over the simple-signing document.
    pub simple: Signature,
    /// Signature over the statement.
    pub statement: Signature,
}

/// A signature, ASN.1 DER. Made once and kept: another one over the same bytes would be another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Signature(pub Vec<u8>);

impl TryFrom<String> for Signature {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, base64::DecodeError> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        STANDARD.encode(signature.0)
    }
}

impl Edition {
    /// Whether both are the same image under the same name, signed with the same key.
    pub fn is_same_image(&self, other: &Self) -> bool {
        self.index.digest == other.index.digest && self.key == other.key && self.name == other.name
    }

    /// The manifests that are signed, the index and those that it names, with their media types.
    pub fn signed(&self) -> impl Iterator<Item = (&'static str, &Signed)> {
        let platforms = self.platforms.iter().map(|platform| (media_type::MANIFEST, &platform.manifest));
        platforms.chain([(media_type::INDEX, &self.index)])
    }

    /// The manifest that an attestation is about, with its media type; none when there is no such platform.
    pub fn subject(&self, about: About) -> Option<(&'static str, &Signed)> {
        match about {
            About::Origin => Some((media_type::INDEX, &self.index)),
            About::Contents(arch) => {
                let platform = self.platforms.iter().find(|platform| platform.arch == arch);
                platform.map(|platform| (media_type::MANIFEST, &platform.manifest))
            }
        }
    }

    /// Whether a digest is that of the image's own manifests, configurations or layers.
    pub fn names(&self, digest: &Digest) -> bool {
        let is_in =
            |platform: &PlatformEdition| platform.config == *digest || platform.layers.contains(digest);
        self.signed().any(|(_, signed)| signed.digest == *digest) || self.platforms.iter().any(is_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(text: &str) -> Signed {
        let signature = || Signature(text.as_bytes().to_vec());
        Signed { digest: Digest::of(text.as_bytes()), size: 7, simple: signature(), statement: signature() }
    }

    fn edition() -> Edition {
        let platform = |arch: Arch| PlatformEdition {
            arch,
            manifest: signed(arch.as_str()),
            config: Digest::of(format!("config {arch}").as_bytes()),
            layers: vec![Digest::of(b"base"), Digest::of(format!("layer {arch}").as_bytes())],
        };
        Edition {
            version: "v1.12.4".to_owned(),
            index: signed("index"),
            platforms: Arch::ALL.map(platform).to_vec(),
            name: "factory.example/installer/1234".to_owned(),
            key: Digest::of(b"key"),
            attestations: [About::Contents(Arch::Amd64), About::Contents(Arch::Arm64), About::Origin]
                .map(|about| Attestation {
                    about,
                    statement: Digest::of(b"statement"),
                    signature: Signature(vec![7; 72]),
                    bundle: Digest::of(b"bundle"),
                    size: 1 << 20,
                })
                .to_vec(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = serde_json::to_string(&edition()).unwrap();
        assert_eq!(serde_json::from_str::<Edition>(&text).unwrap(), edition());
        assert!(text.len() < 3000, "{} bytes are kept for ever", text.len());
        assert!(serde_json::from_str::<Edition>(&text.replace("aW5kZXg=", "?")).is_err());
    }

    #[test]
    fn what_was_written_before_there_were_attestations_is_read() {
        let mut older = edition();
        older.attestations.clear();
        let text = serde_json::to_string(&older).unwrap();
        assert!(!text.contains("attestations"));
        assert_eq!(serde_json::from_str::<Edition>(&text).unwrap(), older);
    }

    #[test]
    fn attestations_are_about_manifests() {
        let edition = edition();
        let digest = |about| edition.subject(about).map(|(_, signed)| signed.digest);
        assert_eq!(digest(About::Origin), Some(Digest::of(b"index")));
        assert_eq!(digest(About::Contents(Arch::Arm64)), Some(Digest::of(b"arm64")));
    }

    #[test]
    fn everything_of_an_image_is_named() {
        for text in ["index", "amd64", "arm64", "config arm64", "base", "layer amd64"] {
            assert!(edition().names(&Digest::of(text.as_bytes())), "{text}");
        }
        assert!(!edition().names(&Digest::of(b"key")));
        let types: Vec<_> = edition().signed().map(|(media_type, _)| media_type).collect();
        assert_eq!(types, [media_type::MANIFEST, media_type::MANIFEST, media_type::INDEX]);
    }
}
