//! Tags: which digest each stood for when it was last looked up.

use std::sync::Arc;

use factory_domain::ports::{Record, RecordKey, RecordKind, Reference, SourceError};
use factory_formats::Digest;
use serde::{Deserialize, Serialize};

use super::{FetchError, ImageRef, State, record};

/// What is remembered of a tag.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Seen {
    digest: Digest,
    /// Seconds since 1970.
    at: u64,
}

impl State {
    /// The digest of an image. A tag that is known is not asked for again before its time, and then in the
    /// background: tags of a release do not move, and a registry that is down must not matter.
    pub(super) async fn resolve(self: &Arc<Self>, image: &ImageRef) -> Result<Digest, FetchError> {
        let tag = match &image.reference {
            Reference::Tag(tag) => tag,
            Reference::Digest(digest) => return Ok(*digest),
        };
        let key = self.tag_key(image, tag);
        let seen: Option<Seen> = record::load(&*self.store, &key)?;
        let now = self.clock.since_epoch().as_secs();
        match seen {
            Some(seen) if now < seen.at.saturating_add(self.options.recheck.as_secs()) => Ok(seen.digest),
            Some(seen) => {
                drop(self.look_up(image, tag, key));
                Ok(seen.digest)
            }
            None => self.look_up(image, tag, key).await,
        }
    }

    fn look_up(
        self: &Arc<Self>,
        image: &ImageRef,
        tag: &str,
        key: RecordKey,
    ) -> crate::flights::Flight<Digest, FetchError> {
        let (state, image, tag) = (Arc::clone(self), image.clone(), tag.to_owned());
        let what = format!("looking up {image}");
        self.tags.join(image.clone(), &what, move || async move {
            let digest = match state.source.resolve_tag(&image.repository, &tag).await {
                Ok(digest) => digest,
                Err(error) => {
                    if !matches!(error, SourceError::NotFound { .. }) {
                        tracing::warn!(%image, %error, "a tag cannot be looked up");
                    }
                    return Err(error.into());
                }
            };
            let seen = Seen { digest, at: state.clock.since_epoch().as_secs() };
            let value = serde_json::to_string(&seen).unwrap_or_default();
            let record = Record { key, label: format!("tag {image}"), value, blobs: Vec::new() };
            let store = Arc::clone(&state.store);
            state.workers.run("remembering a tag", move || store.save(record)).await??;
            Ok(digest)
        })
    }

    fn tag_key(&self, image: &ImageRef, tag: &str) -> RecordKey {
        // The source is part of the name: another registry's idea of a tag is another one.
        let subject = format!("tag/v1 {} {}:{tag}", self.source.name(), image.repository);
        RecordKey::new(RecordKind::Memory, &subject)
    }
}
