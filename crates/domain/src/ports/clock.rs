//! The time of day, so that tests can move it by hand.

use std::time::Duration;

/// Tells the time. Only for ages and log lines: no byte of an asset depends on it.
pub trait Clock: Send + Sync {
    /// Time since 1970-01-01 00:00:00 UTC.
    fn since_epoch(&self) -> Duration;
}
