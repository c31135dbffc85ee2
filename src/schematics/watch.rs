//! `schematicsDirectory`: whatever is put there is a schematic of this factory.
//!
//! It is looked at again and again instead of waiting for notices of the kernel: those do not come for network
//! file systems, nor reliably through the links of a ConfigMap.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use factory_actors::Factory;
use factory_actors::schematics::PutSchematic;
use factory_adapters::schematic_files::{ChangedFile, SchematicFiles};

use super::canonical;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// Keeps the schematics of a directory.
pub struct DirectoryWatch {
    factory: Factory,
    files: SchematicFiles,
    directory: Arc<str>,
    /// Whether the directory could be read the last time: the same complaint every two seconds helps nobody.
    is_readable: bool,
}

impl DirectoryWatch {
    /// Keeps all schematics that are there now.
    ///
    /// # Errors
    /// One line when the directory cannot be read.
    pub async fn begin(factory: Factory, directory: &str, max_size: u64) -> Result<Self, String> {
        let files = SchematicFiles::new(Path::new(directory), max_size);
        let mut watch = Self { factory, files, directory: directory.into(), is_readable: true };
        let found =
            watch.look().await.map_err(|error| format!("schematicsDirectory {directory}: {error}"))?;
        watch.keep(found).await;
        Ok(watch)
    }

    /// Keeps what is new or changed, for ever.
    pub async fn go_on(mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            match self.look().await {
                Ok(found) => {
                    self.is_readable = true;
                    self.keep(found).await;
                }
                Err(error) => {
                    if std::mem::replace(&mut self.is_readable, false) {
                        tracing::error!(directory = &*self.directory, %error, "schematicsDirectory cannot be read");
                    }
                }
            }
        }
    }

    /// Looks for changes where waiting for a disk disturbs nobody.
    async fn look(&mut self) -> std::io::Result<Vec<ChangedFile>> {
        let mut files = std::mem::replace(&mut self.files, SchematicFiles::new(Path::new(""), 0));
        let looked = tokio::task::spawn_blocking(move || {
            let found = files.changed();
            (files, found)
        });
        let (files, found) = looked.await.map_err(std::io::Error::other)?;
        self.files = files;
        found
    }

    async fn keep(&mut self, found: Vec<ChangedFile>) {
        for ChangedFile { path, content } in found {
            let file = path.display();
            let read = content.map_err(|error| error.to_string());
            let read = read.and_then(|bytes| canonical(&bytes).map_err(|error| error.to_string()));
            let (id, canonical) = match read {
                Ok(read) => read,
                Err(reason) => {
                    tracing::error!(%file, %reason, "this is no schematic");
                    continue;
                }
            };
            match self.factory.schematics.ask(PutSchematic { canonical }).await {
                Ok(kept) => tracing::info!(%file, %id, existed = kept.existed, "schematic kept"),
                Err(error) => {
                    tracing::error!(%file, %id, %error, "this schematic cannot be kept; trying again soon");
                    self.files.forget(&path);
                }
            }
        }
    }
}
