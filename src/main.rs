//! Image Factory: any Talos Linux boot asset from a schematic and a version, streamed on demand.

mod cli;
mod gc;
mod http;
mod logging;
mod mirror;
mod places;
mod schematics;
mod secure_boot;
mod serve;
mod settings;
mod telemetry;
mod tls;
mod verification;
mod wiring;

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use url::Url;

use crate::cli::{Cli, Command, ConfigCommand, MirrorArguments, SchematicCommand, SecurebootCommand};
use crate::settings::{Checked, Settings};

fn main() -> ExitCode {
    // Several libraries bring their own provider; without a choice, building any TLS configuration panics.
    // It fails only when one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();

    let (arguments, notes) = settings::translate_arguments(std::env::args());
    let cli = Cli::parse_from(arguments);
    let outcome = match cli.command.as_ref().unwrap_or(&Command::Serve) {
        Command::Serve => serve(&cli, notes),
        Command::Config(ConfigCommand::Check) => check(&cli),
        Command::Config(ConfigCommand::Print { format }) => load(&cli)
            .and_then(|(settings, _)| settings::print(&settings, *format))
            .map(|text| print!("{text}")),
        Command::Mirror(arguments) => mirror(&cli, arguments),
        Command::Gc { dry_run } => collect_garbage(&cli, *dry_run),
        Command::Schematic(SchematicCommand::Apply { path, to }) => apply(&cli, path, to.as_ref()),
        Command::Secureboot(SecurebootCommand::GenerateKeys { directory, name }) => {
            secure_boot::generate(directory, name).map(|text| print!("{text}"))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image-factory: {error}");
            ExitCode::FAILURE
        }
    }
}

fn load(cli: &Cli) -> Result<(Settings, Vec<String>), String> {
    settings::load(&cli.configuration.source()).map_err(|error| error.to_string())
}

fn checked(settings: &Settings) -> Result<Checked, String> {
    let faults = |faults: Vec<String>| format!("the configuration is wrong:\n  {}", faults.join("\n  "));
    settings::check(settings, |name| std::env::var(name).ok()).map_err(faults)
}

fn check(cli: &Cli) -> Result<(), String> {
    let (settings, warnings) = load(cli)?;
    let checked = checked(&settings)?;
    for warning in warnings {
        println!("warning: {warning}");
    }
    println!("listening on       {}", checked.listen);
    if let Some(address) = &checked.pxe_listen {
        println!("plain HTTP on      {address}");
    }
    if let Some(address) = &checked.metrics_listen {
        println!("metrics on         {address}");
    }
    println!("clients see        {}", checked.external_url);
    println!("iPXE scripts see   {}", checked.external_pxe_url);
    println!("state lives in     {}", checked.store_path.display());
    println!("the configuration is fine");
    Ok(())
}

/// The settings of a command that is done when it ends.
fn quiet(cli: &Cli) -> Result<(Settings, Checked), String> {
    let (settings, warnings) = load(cli)?;
    let checked = checked(&settings)?;
    logging::start_quiet(&settings.log)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok((settings, checked))
}

fn wait_for(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::runtime::Runtime::new().map_err(|error| error.to_string())?.block_on(work)
}

fn mirror(cli: &Cli, arguments: &MirrorArguments) -> Result<(), String> {
    let (settings, checked) = quiet(cli)?;
    wait_for(mirror::run(&settings, &checked, arguments))
}

fn collect_garbage(cli: &Cli, dry_run: bool) -> Result<(), String> {
    let (settings, checked) = quiet(cli)?;
    let mode = if dry_run { gc::Mode::DryRun } else { gc::Mode::Collect };
    gc::run(&settings, &checked, mode).map(|text| print!("{text}"))
}

fn apply(cli: &Cli, path: &Path, to: Option<&Url>) -> Result<(), String> {
    let (settings, checked) = quiet(cli)?;
    wait_for(schematics::apply(&settings, &checked, path, to))
}

fn serve(cli: &Cli, notes: Vec<String>) -> Result<(), String> {
    let (settings, warnings) = load(cli)?;
    let checked = checked(&settings)?;
    logging::start(&settings.log)?;
    for warning in warnings.into_iter().chain(notes) {
        tracing::warn!("{warning}");
    }
    actix_web::rt::System::new().block_on(serve::run(settings, checked))
}
