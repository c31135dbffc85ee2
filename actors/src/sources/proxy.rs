//! Release images as they are, for clients that reach no other registry. Manifests are passed on unchanged, so
//! their signatures stay valid; blobs are kept in the store on their way.

use std::sync::Arc;

use actix::{Context, Handler};
use factory_domain::ports::{BlobRef, Descriptor, RawManifest, Record, RecordKey, Reference, Repository};
use factory_formats::Digest;

use super::{FetchError, SourceFetcher, State};
use crate::ask::{Ask, Envelope};

/// Asks for a manifest of a release image, as the source has it. Sent by the front door.
#[derive(Clone, Debug)]
pub struct ReadSourceManifest {
    /// Of which repository, namespace included.
    pub repository: Repository,
    /// Which one.
    pub reference: Reference,
}

impl Ask for ReadSourceManifest {
    type Answer = RawManifest;
    type Error = FetchError;
}

/// Asks for the length of a blob of a release image. Sent by the front door.
#[derive(Clone, Debug)]
pub struct StatSourceBlob {
    /// Of which repository, namespace included.
    pub repository: Repository,
    /// Which one.
    pub digest: Digest,
}

impl Ask for StatSourceBlob {
    type Answer = u64;
    type Error = FetchError;
}

/// Asks for a blob of a release image; answered when it lies in the store. Sent by the front door.
#[derive(Clone, Debug)]
pub struct PullSourceBlob {
    /// Of which repository, namespace included.
    pub repository: Repository,
    /// Which one.
    pub digest: Digest,
}

impl Ask for PullSourceBlob {
    type Answer = BlobRef;
    type Error = FetchError;
}

/// Asks what refers to a manifest of a release image. Sent by the front door.
#[derive(Clone, Debug)]
pub struct ListSourceReferrers {
    /// Of which repository, namespace included.
    pub repository: Repository,
    /// To which manifest.
    pub subject: Digest,
}

impl Ask for ListSourceReferrers {
    type Answer = Vec<Descriptor>;
    type Error = FetchError;
}

/// Asks for the tags of a release image, in the order of their bytes. Sent by the front door.
#[derive(Clone, Debug)]
pub struct ListSourceTags {
    /// Of which repository, namespace included.
    pub repository: Repository,
}

impl Ask for ListSourceTags {
    type Answer = Vec<String>;
    type Error = FetchError;
}

impl Handler<Envelope<ReadSourceManifest>> for SourceFetcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<ReadSourceManifest>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move {
            Ok(state.source.fetch_manifest(&want.repository, &want.reference).await?)
        });
    }
}

impl Handler<Envelope<StatSourceBlob>> for SourceFetcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<StatSourceBlob>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move { state.proxied_size(&want.repository, &want.digest).await });
    }
}

impl Handler<Envelope<PullSourceBlob>> for SourceFetcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<PullSourceBlob>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move { state.proxied_blob(want.repository, want.digest).await });
    }
}

impl Handler<Envelope<ListSourceReferrers>> for SourceFetcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<ListSourceReferrers>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move {
            Ok(state.source.list_referrers(&want.repository, &want.subject).await?)
        });
    }
}

impl Handler<Envelope<ListSourceTags>> for SourceFetcher {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<ListSourceTags>, ctx: &mut Context<Self>) {
        let (state, want) = (Arc::clone(&self.state), envelope.message.clone());
        envelope.answer_with(ctx, async move {
            let mut tags = state.source.list_tags(&want.repository).await?;
            tags.sort_unstable();
            tags.dedup();
            Ok(tags)
        });
    }
}

impl State {
    fn blob_key(&self, repository: &Repository, digest: &Digest) -> RecordKey {
        self.source_key(&format!("source-blob/v1 {repository}@{digest}"))
    }

    /// Length of a blob. That the store has one with this digest says nothing about the repository, so the
    /// source is asked unless it was pulled from there before.
    async fn proxied_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, FetchError> {
        if self.store.record(&self.blob_key(repository, digest))?.is_some()
            && let Some(info) = self.store.stat(digest)?
        {
            return Ok(info.size);
        }
        Ok(self.source.blob_size(repository, digest).await?)
    }

    async fn proxied_blob(
        self: &Arc<Self>,
        repository: Repository,
        digest: Digest,
    ) -> Result<BlobRef, FetchError> {
        let size = self.proxied_size(&repository, &digest).await?;
        let (media_type, annotations) = (String::new(), Default::default());
        let layer = Descriptor { media_type, digest, size, platform: None, artifact_type: None, annotations };
        let pulled = self.pull_all(&repository, vec![layer]).await?.pop();
        let unusable = || FetchError::Unusable {
            image: format!("{repository}@{digest}"),
            reason: "it was not pulled".to_owned(),
        };
        let blob = pulled.ok_or_else(unusable)?;
        let key = self.blob_key(&repository, &digest);
        if self.store.record(&key)?.is_none() {
            let record = Record {
                key,
                label: format!("blob of {repository}"),
                value: "{}".to_owned(),
                blobs: vec![digest],
            };
            let store = Arc::clone(&self.store);
            self.workers.run("keeping a record", move || store.save(record)).await??;
        }
        Ok(blob)
    }
}
