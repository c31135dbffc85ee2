//! The pinned functions of this crate against recorded answers of the reference.
//!
//! Each file of golden data pins one function; the step beside it that refuses or adds something of
//! ours is not compared here. Lines name the first of several versions with one answer, so a version's
//! name is replaced before comparing.
//!
//! What we answer differently on purpose:
//!
//! | Lines | Reference | Ours | Why |
//! |---|---|---|---|
//! | `profiles-enhanced`, unknown overlay | `official overlay {"" "" ""} is …` | the overlay's name | the reference prints the empty search result |
//! | `cmdline`, `misc` with compressed META | its own deflate stream | another stream, same header and text | compressors differ; nodes decode both |
//! | `misc/iso-label`, `secureboot` | `Talos-SB-…` | no such function | the reference has it and never uses it |
//! | `misc/filled-defaults`, paths and keys | defaults of its command line | names of release files; keys are configuration | the factory never uses these paths |
//! | `quirks` of a text that is no version | an object that means "newest" | no object; compared with a version beyond all rules | a version exists only when it was read |

// All of this is tests, which clippy knows only of functions that are marked as such.
#![allow(clippy::unwrap_used, clippy::panic)]

mod assets;
mod cmdline;
mod misc;
mod profiles;
mod quirks;
mod support;
