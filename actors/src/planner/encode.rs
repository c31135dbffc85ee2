//! Packing a layout with a codec.

use std::sync::Arc;

use factory_formats::Layout;
use factory_formats::encode::{Codec, CompressedBlobs, EncodeOptions, compressible_blobs, encode};
use futures_util::future::try_join_all;

use super::{PlanError, State};
use crate::parts::{BuildPart, CompressBlob};

impl State {
    /// The layout packed with `codec`. Blobs that a compressor makes smaller are compressed first, once.
    pub(super) async fn encode(
        self: &Arc<Self>,
        layout: Layout,
        codec: Codec,
        options: EncodeOptions,
    ) -> Result<Layout, PlanError> {
        let mut wanted = Vec::new();
        let compressible = compressible_blobs(&layout, |digest| {
            // A blob that vanished is noticed when the plan takes hold of its blobs.
            let info = self.store.stat(digest).ok().flatten().filter(|info| info.compressible)?;
            wanted.push((*digest, info.size));
            Some(info.size)
        });
        wanted.retain(|(digest, _)| compressible.contains(digest));
        wanted.sort_unstable();
        wanted.dedup();
        let parts = try_join_all(wanted.into_iter().map(|(blob, size)| async move {
            let spec = CompressBlob { blob, size, codec };
            let part = self.peers.compressed.ask(BuildPart { spec }).await?;
            Ok::<_, PlanError>((blob, (*part).clone()))
        }));
        let parts: CompressedBlobs = parts.await?.into_iter().collect();
        let store = Arc::clone(&self.store);
        let packed =
            self.workers.run("packing an asset", move || encode(&layout, codec, &options, &parts, &*store));
        packed.await?.map_err(|error| PlanError::unmakable("the packed file", error))
    }
}
