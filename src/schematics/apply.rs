//! `image-factory schematic apply`: schematics out of files, created here or in a running factory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use factory_adapters::remote_factory::RemoteFactory;
use factory_adapters::schematic_files::{list_schematics, read_schematic};
use factory_adapters::store::{EmbeddedStore, OpenError};
use factory_domain::ports::SchematicStore;
use url::Url;

use super::canonical;
use crate::places::schematic_store;
use crate::settings::{Checked, Settings};
use crate::wiring::store_options;

/// Where schematics are created.
enum Target {
    Store(Arc<dyn SchematicStore>),
    Factory(RemoteFactory),
}

/// Creates the schematics of a directory or file, in the factory `to` or where the configuration keeps them, and
/// prints a line with id and file for each.
///
/// # Errors
/// One line when nothing can be done, or when a file was bad; the others are created all the same.
pub async fn apply(
    settings: &Settings,
    checked: &Checked,
    path: &Path,
    to: Option<&Url>,
) -> Result<(), String> {
    let at = |error: std::io::Error| format!("{}: {error}", path.display());
    let files: Vec<PathBuf> =
        if path.is_dir() { list_schematics(path).map_err(at)? } else { vec![path.to_owned()] };
    if files.is_empty() {
        return Err(format!("{} holds no *.yaml and no *.yml", path.display()));
    }
    let target = match to {
        Some(url) => Target::Factory(RemoteFactory::new(url).map_err(|error| error.to_string())?),
        None => Target::Store(open(settings, checked)?),
    };
    let mut bad = 0;
    for file in &files {
        let read = read_schematic(file, settings.http.max_schematic_size.0);
        let created = match read {
            Ok(yaml) => target.create(yaml).await,
            Err(error) => Err(error.to_string()),
        };
        match created {
            Ok(id) => println!("{id}  {}", file.display()),
            Err(reason) => {
                eprintln!("{}: {reason}", file.display());
                bad += 1;
            }
        }
    }
    if bad > 0 { Err(format!("{bad} of {} files were not applied", files.len())) } else { Ok(()) }
}

fn open(settings: &Settings, checked: &Checked) -> Result<Arc<dyn SchematicStore>, String> {
    let store = EmbeddedStore::open(&checked.store_path, store_options(settings));
    let store = store.map_err(|error| match error {
        OpenError::InUse { path } => format!(
            "the store in {} belongs to a factory that runs: name its address, as in --to {}",
            path.display(),
            checked.external_url
        ),
        error => error.to_string(),
    })?;
    schematic_store(settings, Arc::new(store))
}

impl Target {
    /// Creates one; gives its id.
    async fn create(&self, yaml: Vec<u8>) -> Result<String, String> {
        match self {
            Self::Factory(factory) => factory.create_schematic(yaml).await.map_err(|error| error.to_string()),
            Self::Store(store) => {
                let (id, canonical) = canonical(&yaml).map_err(|error| error.to_string())?;
                store.put(&id, canonical).await.map_err(|error| error.to_string())?;
                Ok(id.to_string())
            }
        }
    }
}
