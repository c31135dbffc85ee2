//! The fixture release: a miniature of a Talos release in OCI layouts (hack/fixture/README.md).

use std::io::Write;
use std::path::PathBuf;

/// The newest final version of the fixture: images signed by Sigstore bundle, systemd-boot 257.
pub const NEWEST: &str = "v1.12.4";

/// The oldest version whose media boot with systemd-boot: images signed in the old form only.
pub const OLDEST_UKI: &str = "v1.10.3";

/// Every version that `/versions` must list, in order: of the imager's tags those that are versions, without
/// the pre-releases of a release that is out.
pub const VERSIONS: [&str; 6] = ["v1.7.7", "v1.9.5", "v1.10.3", "v1.11.2", "v1.12.4", "v1.14.0-alpha.2"];

/// A release and the public half of the key that it is signed with.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// Directory of OCI layouts.
    pub release: PathBuf,
    /// PEM file.
    pub key: PathBuf,
}

impl Fixture {
    /// The fixture that `hack/environment` names.
    ///
    /// Without one a test cannot tell anything: it fails under `hack/test`, and says aloud that it is left out
    /// when somebody runs plain `cargo test`.
    pub fn find() -> Option<Self> {
        let release = wanted("IMAGE_FACTORY_FIXTURE")?;
        let key = wanted("IMAGE_FACTORY_FIXTURE_KEY")?;
        Some(Self { release, key })
    }
}

/// The real cosign.
pub fn cosign() -> Option<PathBuf> {
    wanted("IMAGE_FACTORY_COSIGN")
}

/// The S3 server.
pub fn versitygw() -> Option<PathBuf> {
    wanted("IMAGE_FACTORY_VERSITYGW")
}

/// A stand-in for AWS KMS.
pub fn local_kms() -> Option<PathBuf> {
    wanted("IMAGE_FACTORY_LOCAL_KMS")
}

/// A client of registries that follows referrers.
pub fn oras() -> Option<PathBuf> {
    wanted("IMAGE_FACTORY_ORAS")
}

/// The conformance suite of the OCI distribution specification.
pub fn distribution_suite() -> Option<PathBuf> {
    wanted("IMAGE_FACTORY_DISTRIBUTION_SUITE")
}

/// The program that boots what was made.
pub fn qemu_boot() -> Option<PathBuf> {
    wanted("IMAGE_FACTORY_QEMU_BOOT")
}

/// A path out of the environment. `hack/test` sets `IMAGE_FACTORY_COMPLETE` to the names that it could provide.
fn wanted(name: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(name).map(PathBuf::from) {
        assert!(path.exists(), "{name} is {}, which does not exist: run make fixture", path.display());
        return Some(path);
    }
    let complete = std::env::var("IMAGE_FACTORY_COMPLETE").unwrap_or_default();
    assert!(
        !complete.split_whitespace().any(|provided| provided == name),
        "{name} is not set: run eval \"$(hack/environment)\", or hack/test, which does it all"
    );
    let thread = std::thread::current();
    // The test harness would swallow what print macros say.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED {}: {name} is not set: run make test, or first eval \"$(hack/environment)\"",
        thread.name().unwrap_or("a test")
    );
    None
}
