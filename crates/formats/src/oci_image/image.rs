//! Images and indexes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::base::BaseConfig;
use super::{Annotations, Descriptor, Document, Index, Manifest, Platform, SCHEMA_VERSION, media_type};
use crate::Digest;
use crate::calendar::Civil;
use crate::decompress::Compression;

/// How a layer is transported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerType {
    /// As it is.
    Tar,
    /// In gzip.
    Gzip,
    /// In zstd.
    Zstd,
}

/// A compression that the image specification has no type for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a layer of an image can be in gzip or zstd, not in {0:?}")]
pub struct UnknownLayerType(pub Compression);

impl TryFrom<Compression> for LayerType {
    type Error = UnknownLayerType;

    fn try_from(compression: Compression) -> Result<Self, UnknownLayerType> {
        match compression {
            Compression::None => Ok(Self::Tar),
            Compression::Gzip => Ok(Self::Gzip),
            Compression::Zstd => Ok(Self::Zstd),
            other => Err(UnknownLayerType(other)),
        }
    }
}

impl LayerType {
    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Tar => media_type::LAYER,
            Self::Gzip => media_type::LAYER_GZIP,
            Self::Zstd => media_type::LAYER_ZSTD,
        }
    }

    /// End of its name in an archive.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Tar => ".tar",
            Self::Gzip => ".tar.gz",
            Self::Zstd => ".tar.zst",
        }
    }
}

/// A layer as manifest and configuration name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// How it is transported.
    pub kind: LayerType,
    /// Digest as transported.
    pub digest: Digest,
    /// Length in bytes as transported.
    pub size: u64,
    /// Digest of the tar archive.
    pub diff_id: Digest,
}

/// What an image is made from besides its layers.
#[derive(Clone, Debug)]
pub struct ImageOptions<'a> {
    /// `amd64` or `arm64`.
    pub architecture: &'a str,
    /// Time of creation, in seconds since 1970.
    pub created: u64,
    /// What it is built on.
    pub base: &'a BaseConfig,
    /// Notes in the manifest.
    pub annotations: &'a Annotations,
}

/// An image for one platform, `linux/<architecture>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its configuration.
    pub config: Document,
    /// Its manifest.
    pub manifest: Document,
    /// Its layers, bottom first.
    pub layers: Vec<Layer>,
}

/// The members are in the order in which the reference writes them.
#[derive(Serialize)]
struct Config<'a> {
    architecture: &'a str,
    created: String,
    history: Vec<History>,
    os: &'static str,
    rootfs: RootFs,
    config: &'a Value,
}

/// Nothing is told about how a layer came to be, as in the reference.
#[derive(Clone, Serialize)]
struct History {
    created: &'static str,
}

#[derive(Serialize)]
struct RootFs {
    r#type: &'static str,
    diff_ids: Vec<Digest>,
}

impl Image {
    /// Writes configuration and manifest for these layers.
    pub fn new(options: &ImageOptions<'_>, layers: Vec<Layer>) -> Self {
        let config = Config {
            architecture: options.architecture,
            created: rfc3339(options.created),
            history: vec![History { created: "0001-01-01T00:00:00Z" }; layers.len()],
            os: "linux",
            rootfs: RootFs { r#type: "layers", diff_ids: layers.iter().map(|layer| layer.diff_id).collect() },
            config: &options.base.config,
        };
        let config = Document::json(media_type::CONFIG, &config);
        let descriptor = |layer: &Layer| Descriptor::new(layer.kind.media_type(), layer.digest, layer.size);
        let manifest = Manifest {
            schema_version: SCHEMA_VERSION,
            media_type: media_type::MANIFEST,
            config: config.descriptor(),
            layers: layers.iter().map(descriptor).collect(),
            annotations: options.annotations,
            subject: None,
            artifact_type: None,
        };
        let manifest = Document::json(media_type::MANIFEST, &manifest);
        Self { config, manifest, layers }
    }
}

/// An index of manifests by architecture, in this order.
pub fn index(images: &[(&str, &Document)], annotations: &Annotations) -> Document {
    let manifests = images
        .iter()
        .map(|(architecture, manifest)| Descriptor {
            platform: Some(Platform { architecture, os: "linux" }),
            ..Descriptor::new(manifest.media_type, manifest.digest, manifest.size())
        })
        .collect();
    let index =
        Index { schema_version: SCHEMA_VERSION, media_type: media_type::INDEX, manifests, annotations };
    Document::json(media_type::INDEX, &index)
}

/// A time as in RFC 3339, in UTC.
pub(super) fn rfc3339(seconds: u64) -> String {
    let Civil { year, month, day, hour, minute, second } = Civil::from_epoch(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
