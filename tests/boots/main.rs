//! Do machines boot what the factory makes, and do they find in it what was asked for?
//!
//! Each test downloads an asset over HTTP, boots it in QEMU and judges by what the machine itself reports on its
//! serial console (hack/fixture/README.md, "What a booted machine says").
//!
//! `eval "$(hack/environment)" && cargo test --test boots` runs them. A boot takes 15 to 75 seconds where there
//! is no KVM, so further ones belong here only when they can find what no other test finds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is how a test fails")]

#[path = "../support/mod.rs"]
mod support;

mod eras;
mod grub;
mod machine;
mod main_path;
mod overlay;
mod secure_boot;
