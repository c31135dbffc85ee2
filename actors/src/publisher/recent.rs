//! Images published recently, so that a pull is not planned anew with every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use factory_domain::TalosVersion;
use factory_formats::Digest;

use super::published::Published;
use super::{InstallerRepository, Want};
use crate::lock::lock;

/// Images remembered. One has some twenty kilobytes of documents.
const MAX_IMAGES: usize = 1024;

#[derive(Default)]
pub(super) struct Recent {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    images: HashMap<Want, Entry>,
    tick: u64,
}

struct Entry {
    published: Arc<Published>,
    used: u64,
}

impl Recent {
    /// The image of a version.
    pub fn find(&self, repository: &InstallerRepository, version: &TalosVersion) -> Option<Arc<Published>> {
        let mut inner = self.lock();
        let tick = inner.tick();
        let entry = inner.images.get_mut(&(repository.clone(), version.clone()))?;
        entry.used = tick;
        Some(Arc::clone(&entry.published))
    }

    /// An image of a repository that a digest belongs to.
    pub fn holding(&self, repository: &InstallerRepository, digest: &Digest) -> Option<Arc<Published>> {
        let mut inner = self.lock();
        let tick = inner.tick();
        let mut entries = inner.images.iter_mut();
        let (_, entry) =
            entries.find(|((of, _), entry)| of == repository && entry.published.holds(digest))?;
        entry.used = tick;
        Some(Arc::clone(&entry.published))
    }

    pub fn remember(&self, image: Want, published: Arc<Published>) {
        let mut inner = self.lock();
        let used = inner.tick();
        inner.images.insert(image, Entry { published, used });
        if inner.images.len() > MAX_IMAGES {
            let oldest =
                inner.images.iter().min_by_key(|(_, entry)| entry.used).map(|(image, _)| image.clone());
            oldest.and_then(|oldest| inner.images.remove(&oldest));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }
}
