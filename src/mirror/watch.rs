//! Showing how far a copy is: bars on a terminal, lines for a file.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use factory_actors::mirror::{MirrorError, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How often bars move while nothing happens.
const TICK: Duration = Duration::from_millis(200);

/// Watches on standard error.
pub fn start(dry_run: bool) -> Arc<dyn Progress> {
    let verb = if dry_run { "would copy" } else { "copied" };
    if std::io::stderr().is_terminal() { Arc::new(Bars::new(verb)) } else { Arc::new(Lines { verb }) }
}

/// A line for each image.
struct Lines {
    verb: &'static str,
}

impl Progress for Lines {
    fn planned(&self, images: usize) {
        eprintln!("{images} images");
    }

    fn blob_begins(&self, _: &str, _: u64) {}

    fn bytes_sent(&self, _: u64) {}

    fn blob_skipped(&self, _: u64) {}

    fn image_done(&self, name: &str, failed: Option<&MirrorError>) {
        eprintln!("{}", line(self.verb, name, failed));
    }
}

/// Two bars: images, and bytes of the blobs that were begun.
struct Bars {
    verb: &'static str,
    all: MultiProgress,
    images: ProgressBar,
    bytes: ProgressBar,
}

impl Bars {
    fn new(verb: &'static str) -> Self {
        let style = |template: &str| {
            // A template of ours that is wrong shows as the usual bar.
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
        };
        let all = MultiProgress::new();
        let images =
            all.add(ProgressBar::new(0).with_style(style("{bar:40} {pos} of {len} images  {elapsed}")));
        let bytes = all.add(ProgressBar::new(0).with_style(style(
            "{bar:40} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {msg}",
        )));
        images.enable_steady_tick(TICK);
        Self { verb, all, images, bytes }
    }
}

impl Progress for Bars {
    fn planned(&self, images: usize) {
        self.images.set_length(images as u64);
    }

    fn blob_begins(&self, name: &str, bytes: u64) {
        self.bytes.inc_length(bytes);
        self.bytes.set_message(name.to_owned());
    }

    fn bytes_sent(&self, bytes: u64) {
        self.bytes.inc(bytes);
    }

    fn blob_skipped(&self, _: u64) {}

    fn image_done(&self, name: &str, failed: Option<&MirrorError>) {
        self.images.inc(1);
        if failed.is_some() {
            // A terminal that cannot be written to is nothing to stop for; the summary tells it again.
            let _ = self.all.println(line(self.verb, name, failed));
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.images.finish_and_clear();
        self.bytes.finish_and_clear();
    }
}

fn line(verb: &str, name: &str, failed: Option<&MirrorError>) -> String {
    match failed {
        Some(error) => format!("failed {name}: {error}"),
        None => format!("{verb} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use factory_domain::ports::VerifyError;

    use super::*;

    #[test]
    fn lines() {
        assert_eq!(line("copied", "a:1", None), "copied a:1");
        let failed = line("copied", "a:1", Some(&VerifyError::NotConfigured.into()));
        assert!(failed.starts_with("failed a:1: ") && failed.contains("publicKeyFile"), "{failed}");
    }
}
