//! What is taken from the configuration of a base image.

use serde::Deserialize;
use serde_json::Value;

use crate::Digest;

/// A base image's configuration, as far as it lives on in images built on it.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseConfig {
    /// How it is run: `Env`, `Entrypoint`, `Labels` and so on, as they are.
    pub(super) config: Value,
    /// Digests of the layers after decompression, bottom first.
    pub diff_ids: Vec<Digest>,
}

/// A document that is no image configuration.
#[derive(Debug, thiserror::Error)]
#[error("the configuration of the base image cannot be read: {0}")]
pub struct InvalidBase(#[from] serde_json::Error);

impl BaseConfig {
    /// Reads a configuration, OCI or Docker.
    ///
    /// # Errors
    /// [`InvalidBase`].
    pub fn read(json: &[u8]) -> Result<Self, InvalidBase> {
        #[derive(Deserialize)]
        struct Shape {
            #[serde(default)]
            config: Option<serde_json::Map<String, Value>>,
            rootfs: RootFs,
        }
        #[derive(Deserialize)]
        struct RootFs {
            diff_ids: Vec<Digest>,
        }
        let shape: Shape = serde_json::from_slice(json)?;
        let config = Value::Object(shape.config.unwrap_or_default());
        Ok(Self { config, diff_ids: shape.rootfs.diff_ids })
    }

    /// A label of the image.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.config.get("Labels")?.get(name)?.as_str()
    }
}
