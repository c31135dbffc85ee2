//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use factory_domain::Arch;
use factory_domain::mirror::VersionSelection;
use url::Url;

use crate::settings::{Format, Source};

/// Any Talos Linux boot asset from a schematic and a version, streamed on demand.
#[derive(Parser, Debug)]
#[command(name = "image-factory", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub configuration: Configuration,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Serve assets (the default).
    Serve,
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Keys for Secure Boot.
    #[command(subcommand)]
    Secureboot(SecurebootCommand),
    /// Copy releases to a directory or another registry, for places without internet.
    Mirror(MirrorArguments),
    /// Give up what nobody needs in the store of a factory that does not run.
    Gc {
        /// Tell what would be given up, and give up nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Schematics in files.
    #[command(subcommand)]
    Schematic(SchematicCommand),
}

#[derive(Subcommand, Debug)]
pub enum SchematicCommand {
    /// Create the schematics of a directory (*.yaml, *.yml) or a file, and print their ids.
    Apply {
        /// Directory or file.
        path: PathBuf,
        /// Address of a running factory. Without it they go into the store of the configuration, whose factory
        /// must not run then.
        #[arg(long, value_name = "URL")]
        to: Option<Url>,
    },
}

#[derive(Args, Debug)]
pub struct MirrorArguments {
    /// Which versions: v1.12.4, v1.12.* for all releases of 1.12, v1.11.0..v1.12.4 for a range (v1.11.0.. up to
    /// the newest), latest; several joined by commas.
    #[arg(long)]
    pub versions: VersionSelection,
    /// Where to: oci-layout:DIRECTORY, or a registry as HOST or HOST/PREFIX.
    #[arg(long, value_name = "TARGET")]
    pub to: String,
    /// For which machines: amd64, arm64; everything there is when left out.
    #[arg(long, value_delimiter = ',', value_name = "ARCH")]
    pub arch: Vec<Arch>,
    /// Which extensions: all, or names such as siderolabs/gvisor or gvisor, joined by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", default_value = "all")]
    pub extensions: Vec<String>,
    /// The target speaks plain HTTP.
    #[arg(long)]
    pub insecure: bool,
    /// Tell what there is to copy, and copy nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Read again what lies in the directory already, and replace what is damaged.
    #[arg(long)]
    pub check: bool,
    /// Blobs that are copied at the same time.
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub jobs: usize,
}

#[derive(Subcommand, Debug)]
pub enum SecurebootCommand {
    /// Make a full set of keys for development: signing key, certificate, PCR key, enrollment files.
    GenerateKeys {
        /// Directory for the files; it is made where it is missing. Nothing is overwritten.
        directory: PathBuf,
        /// Common name of the certificate.
        #[arg(long, default_value = "Image Factory Secure Boot")]
        name: String,
    },
}

#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Check the configuration and print the addresses that clients will see.
    Check,
    /// Print the configuration in force, secrets masked.
    Print {
        /// Form to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

#[derive(Args, Debug)]
pub struct Configuration {
    /// Configuration file (.toml, .yaml, .json, .env); may be repeated, later ones win.
    #[arg(long, global = true, value_name = "FILE", value_delimiter = ',')]
    pub config: Vec<String>,
    /// One setting, such as http.externalURL=https://factory.example.com/; may be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Warn about unknown keys instead of refusing them.
    #[arg(long, global = true)]
    pub config_lenient: bool,
}

impl Configuration {
    /// Where the settings come from, with the process's environment.
    pub fn source(&self) -> Source {
        // `file=` in front of a path is the reference's spelling; `env=IF_` is always in force here.
        let paths = self.config.iter().filter(|text| !text.starts_with("env="));
        let files = paths.map(|text| PathBuf::from(text.strip_prefix("file=").unwrap_or(text)));
        Source {
            files: files.collect(),
            environment: std::env::vars().collect(),
            overrides: self.set.clone(),
            lenient: self.config_lenient,
        }
    }
}
