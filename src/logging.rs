//! Structured logs on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::settings::Log;

/// Starts logging for the whole process.
///
/// # Errors
/// When the level is none.
pub fn start(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("backhand=warn,{}", log.level))
        .map_err(|_| format!("log.level is {:?}: use error, warn, info, debug or trace", log.level))?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let started = if log.format == "json" {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    started.map_err(|error| error.to_string())
}

/// The same for a command that tells what it does by itself: the usual level is that of warnings.
///
/// # Errors
/// When the level is none.
pub fn start_quiet(log: &Log) -> Result<(), String> {
    let level = if log.level == Log::default().level { "warn".to_owned() } else { log.level.clone() };
    start(&Log { level, ..log.clone() })
}
