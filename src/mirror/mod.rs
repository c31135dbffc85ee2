//! `image-factory mirror`: releases copied to a directory or another registry.

mod watch;

use std::path::Path;
use std::sync::Arc;

use bytesize::ByteSize;
use factory_actors::mirror::{Extensions, Mirror, Options, Report};
use factory_adapters::oci_layout::{LayoutTarget, Present};
use factory_adapters::registry::RegistrySource;
use factory_domain::TalosVersion;
use factory_domain::ports::{Amount, ImageTarget};

use crate::cli::MirrorArguments;
use crate::settings::{Checked, Settings};
use crate::verification::{Verification, verification};
use crate::wiring;

/// Names every extension.
const ALL: &str = "all";

/// Copies what the arguments ask for, and tells what came of it.
///
/// # Errors
/// One line that says why nothing, or not everything, was copied.
pub async fn run(settings: &Settings, checked: &Checked, arguments: &MirrorArguments) -> Result<(), String> {
    let source = wiring::source(settings)?;
    let kept = checked.store_path.join(wiring::TRUST);
    let Verification { check, root, .. } =
        verification(&settings.container_signature, &source, &kept).await?;
    if let Some(root) = root {
        drop(tokio::spawn(root.keep_fresh()));
    }
    let target = target(settings, arguments)?;
    let (min_version, broken) = wiring::versions(settings)?;
    let extensions = match arguments.extensions.as_slice() {
        [only] if only == ALL => Extensions::All,
        names => Extensions::Named(names.to_vec()),
    };
    let options = Options {
        namespace: settings.artifacts.core.namespace.clone(),
        components: wiring::components(settings)?,
        min_version,
        broken,
        arches: arguments.arch.clone(),
        extensions,
        transfers: arguments.jobs,
        dry_run: arguments.dry_run,
    };
    let (from, to) = (source.name().to_owned(), target.name().to_owned());
    let mirror = Mirror::new(source, check, target, watch::start(arguments.dry_run), options);
    let versions = mirror.select(&arguments.versions).await.map_err(|error| error.to_string())?;
    let names: Vec<String> = versions.iter().map(TalosVersion::tag).collect();
    eprintln!("{} from {from} to {to}", names.join(", "));
    let report = mirror.run(&versions).await;
    tell(&report, arguments.dry_run)
}

fn target(settings: &Settings, arguments: &MirrorArguments) -> Result<Arc<dyn ImageTarget>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("--to {}: {error}", arguments.to);
    if let Some(directory) = arguments.to.strip_prefix(wiring::OCI_LAYOUT) {
        let present = if arguments.check { Present::Checked } else { Present::Trusted };
        let layouts = LayoutTarget::open(Path::new(directory), present).map_err(|error| wrong(&error))?;
        return Ok(Arc::new(layouts));
    }
    let options = wiring::registry_options(settings);
    let registry = RegistrySource::new(&arguments.to, arguments.insecure, &options);
    Ok(Arc::new(registry.map_err(|error| wrong(&error))?))
}

fn tell(report: &Report, dry_run: bool) -> Result<(), String> {
    let amount =
        |amount: Amount| format!("{} blobs, {}", amount.items, ByteSize(amount.bytes).display().iec());
    let (images, copied) = if dry_run { ("to copy", "to send") } else { ("copied", "sent") };
    println!("{} images {images}, {} manifests", report.images, report.manifests);
    println!("{copied}: {}", amount(report.copied));
    println!("there already: {}", amount(report.skipped));
    if report.failed.is_empty() {
        return Ok(());
    }
    let reasons: Vec<String> =
        report.failed.iter().map(|(image, reason)| format!("\n  {image}: {reason}")).collect();
    Err(format!("{} images are not copied:{}", report.failed.len(), reasons.concat()))
}
