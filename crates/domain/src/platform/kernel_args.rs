//! Kernel arguments that a platform needs (`20-profiles.md` §6.3).

use super::{Platform, UnknownPlatform};
use crate::arch::Arch;
use crate::version::Quirks;

/// The arguments of a platform in the order in which they appear on the command line, without
/// `talos.platform` itself.
///
/// # Errors
/// [`UnknownPlatform`].
pub fn kernel_args(name: &str, arch: Arch, quirks: Quirks) -> Result<Vec<&'static str>, UnknownPlatform> {
    const NAMES: &str = "net.ifnames=0";
    const NO_DASHBOARD: &str = "talos.dashboard.disabled=1";
    const NO_KEXEC: &str = "sysctl.kernel.kexec_load_disabled=1";
    let amd64 = arch == Arch::Amd64;
    let platform = Platform::find(name)?;
    Ok(match platform.boot_name() {
        "metal" if !amd64 => vec!["console=ttyAMA0", "console=tty0"],
        "metal" if quirks.has_metal_serial_console() => vec!["console=ttyS0", "console=tty0"],
        "metal" => vec!["console=tty0"],
        "aws" if quirks.has_nvme_timeout_on_aws_only() => {
            vec!["console=tty1", "console=ttyS0", NAMES, NVME_TIMEOUT]
        }
        "gcp" => vec!["console=ttyS0", NAMES, NO_DASHBOARD, NO_KEXEC],
        "equinixMetal" if amd64 => vec!["console=ttyS1,115200n8"],
        "equinixMetal" => vec!["console=ttyAMA0,115200"],
        "azure" => vec![
            "console=ttyS0,115200n8",
            "earlyprintk=ttyS0,115200",
            "rootdelay=300",
            NAMES,
            NO_DASHBOARD,
            NO_KEXEC,
        ],
        "digital-ocean" | "akamai" => vec!["console=ttyS0", "console=tty0", "console=tty1", NAMES],
        "oracle" | "scaleway" => vec!["console=tty1", "console=ttyS0", NAMES, NO_DASHBOARD],
        "vmware" if amd64 => {
            vec!["talos.config=guestinfo", "console=tty0", "console=ttyS0", "earlyprintk=ttyS0,115200", NAMES]
        }
        "vmware" => vec!["talos.config=guestinfo", "console=tty0", "console=ttyAMA0", NAMES],
        "upcloud" | "vultr" => vec![NAMES],
        "container" => vec![],
        // aws before 1.14, nocloud, openstack, opennebula, hcloud, cloudstack, exoscale, alibabacloud.
        _ => vec!["console=tty1", "console=ttyS0", NAMES],
    })
}

/// Waits for remote NVMe disks practically for ever.
pub(crate) const NVME_TIMEOUT: &str = "nvme_core.io_timeout=4294967295";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{HIDDEN, PLATFORMS};
    use crate::version::TalosVersion;

    #[test]
    fn every_platform_has_its_own_arguments() {
        let quirks = TalosVersion::parse("1.13.0").unwrap().quirks();
        let common = ["console=tty1", "console=ttyS0", "net.ifnames=0"];
        let shared: Vec<&str> = PLATFORMS
            .iter()
            .chain(&HIDDEN)
            .filter(|p| kernel_args(p.name, Arch::Amd64, quirks).unwrap() == common)
            .map(|p| p.name)
            .collect();
        // A new platform must be looked up before it gets the common arguments.
        let expected =
            ["aws", "nocloud", "openstack", "cloudstack", "hcloud", "exoscale", "opennebula", "alibabacloud"];
        assert_eq!(shared, expected);
        assert!(kernel_args("nosuch", Arch::Amd64, quirks).is_err());
    }
}
