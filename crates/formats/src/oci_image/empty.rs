//! The configuration of images that cannot be run, around one layer, as the reference writes it.

use serde::Serialize;

use super::Document;
use crate::Digest;

/// No time at all.
pub(super) const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// An object without members.
#[derive(Serialize)]
pub(super) struct NoMembers {}

/// The members are in the order in which the reference writes them.
#[derive(Serialize)]
struct Config {
    architecture: &'static str,
    created: String,
    history: [History; 1],
    os: &'static str,
    rootfs: RootFs,
    config: NoMembers,
}

#[derive(Serialize)]
struct History {
    created: &'static str,
}

#[derive(Serialize)]
struct RootFs {
    r#type: &'static str,
    diff_ids: [Digest; 1],
}

/// A configuration of this type and time of creation for a layer that has this digest when it is not compressed.
pub(super) fn one_layer_config(media_type: &'static str, created: String, layer: Digest) -> Document {
    let config = Config {
        architecture: "",
        created,
        history: [History { created: NO_TIME }],
        os: "",
        rootfs: RootFs { r#type: "layers", diff_ids: [layer] },
        config: NoMembers {},
    };
    Document::json(media_type, &config)
}
