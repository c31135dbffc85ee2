//! The name of a whole asset in a cache: everything that its bytes depend on and that is known before anything
//! is planned (51-builds-and-cache.md, 2.4).

use factory_formats::Digest;
use serde::Serialize;

use super::AssetPath;
use crate::TalosVersion;
use crate::schematic::SchematicId;

/// Changes when the same request leads to other bytes and the entity tag of a plan would not tell.
const BUILDER_EPOCH: &str = "image-factory/1";

/// First bytes of what a key is the digest of.
const KEY_KIND: &[u8] = b"image-factory/asset/v1\0";

/// What all assets of one factory depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactoryIdentity {
    /// Address of the factory as configured: machines are told it.
    pub external_url: String,
    /// What identifies the keys that sign boot files; empty when Secure Boot is off.
    pub secure_boot: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subject<'a> {
    builder: &'static str,
    schematic: String,
    version: String,
    path: String,
    secure_boot: Option<&'a str>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
}

/// The key of an asset. Keys that sign boot files count only where they sign.
pub fn asset_key(
    schematic: &SchematicId,
    version: &TalosVersion,
    path: &AssetPath,
    factory: &FactoryIdentity,
) -> Digest {
    let subject = Subject {
        builder: BUILDER_EPOCH,
        schematic: schematic.to_string(),
        version: version.tag(),
        path: path.to_string(),
        secure_boot: path.target().secure_boot.then_some(&factory.secure_boot),
        external_url: &factory.external_url,
    };
    let mut bytes = KEY_KIND.to_vec();
    // Text and options of text always have a form in JSON.
    bytes.extend(serde_json::to_vec(&subject).unwrap_or_default());
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(schematic: &str, version: &str, path: &str, secure_boot: &str, url: &str) -> Digest {
        let factory = FactoryIdentity { external_url: url.to_owned(), secure_boot: secure_boot.to_owned() };
        let (version, path) = (TalosVersion::parse(version).unwrap(), AssetPath::accept(path).unwrap());
        asset_key(&SchematicId::of(schematic.as_bytes()), &version, &path, &factory)
    }

    #[test]
    fn everything_that_bytes_depend_on_changes_the_key() {
        let keys = [
            key("a", "v1.12.4", "metal-amd64.iso", "", "https://a/"),
            key("b", "v1.12.4", "metal-amd64.iso", "", "https://a/"),
            key("a", "v1.12.5", "metal-amd64.iso", "", "https://a/"),
            key("a", "v1.12.4", "metal-arm64.iso", "", "https://a/"),
            key("a", "v1.12.4", "metal-amd64.iso", "", "https://b/"),
            key("a", "v1.12.4", "metal-amd64-secureboot.iso", "k1", "https://a/"),
            key("a", "v1.12.4", "metal-amd64-secureboot.iso", "k2", "https://a/"),
        ];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn spelling_and_keys_that_do_not_sign_change_nothing() {
        let one = key("a", "v1.12.4", "metal-amd64.iso", "k1", "https://a/");
        assert_eq!(one, key("a", "1.12.4", "metal-amd64.iso", "k2", "https://a/"));
        let arm = key("a", "v1.12.4", "metal-aarch64.iso", "", "https://a/");
        assert_eq!(arm, key("a", "v1.12.4", "metal-arm64.iso", "", "https://a/"));
    }
}
