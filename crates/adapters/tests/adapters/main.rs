//! Tests of the adapters from outside, one suite for each port, run against every implementation.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is how a test fails")]

mod keys;
mod sandbox;
mod secure_boot_keys;
mod signatures;
mod sources;
mod stores;

/// Chooses the TLS implementation, as the server does when it starts.
fn install_tls() {
    // Another test was first: that is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
