//! What a schematic asks for and an asset cannot have. Such wishes are left out without an error, so
//! users should be told.

use std::fmt;

use super::model::{Kind, Request};
use crate::schematic::{Bootloader, Schematic};
use crate::version::TalosVersion;

/// One wish that has no effect on one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The field of the schematic.
    pub field: &'static str,
    /// Why it has no effect and what to do.
    pub reason: &'static str,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

/// Every wish of `schematic` without effect on the asset, in the order of the schematic's fields
/// (`20-profiles.md` §7, step 7).
pub fn ignored(request: &Request, schematic: &Schematic, version: &TalosVersion) -> Vec<Ignored> {
    let wanted = &schematic.customization;
    let quirks = version.quirks();
    let kind = request.output.kind;
    let mut out = Vec::new();
    let mut tell = |is_wanted: bool, field, reason: Option<&'static str>| {
        if let Some(reason) = reason.filter(|_| is_wanted) {
            out.push(Ignored { field, reason });
        }
    };

    let on_disks = |reason| (kind != Kind::Image).then_some(reason);
    let args = match kind {
        Kind::Kernel | Kind::Initramfs => Some("the boot loader passes them, use the cmdline asset"),
        Kind::Uki | Kind::Installer if !request.secure_boot && !quirks.has_unified_installer() => {
            Some("before Talos 1.10 the machine's own configuration sets them")
        }
        _ => None,
    };
    let meta = match kind {
        Kind::Kernel | Kind::Initramfs => Some("the boot loader passes them, use the cmdline asset"),
        Kind::Uki | Kind::Installer => Some("only disk images, ISO images and command lines carry them"),
        Kind::Cmdline if request.secure_boot => {
            Some("with Secure Boot the machine does not read arguments from outside the signed image")
        }
        _ => None,
    };
    let in_initramfs = (!kind.has_initramfs()).then_some("it is part of the initramfs");
    let bootloader = match kind {
        Kind::Iso | Kind::Image if request.secure_boot => Some("Secure Boot always uses systemd-boot"),
        Kind::Image => None,
        Kind::Iso if quirks.has_iso_bootloader_choice() => None,
        Kind::Iso => Some("the boot loader of an ISO can be chosen from Talos 1.12 on"),
        _ => Some("only disk images and ISO images have one"),
    };
    let secure_boot = match kind {
        Kind::Iso | Kind::Image if request.secure_boot => None,
        _ => Some("only disk images and ISO images for Secure Boot enroll keys"),
    };

    tell(
        !schematic.overlay.name.is_empty(),
        "overlay",
        (kind == Kind::Kernel).then_some("the kernel is the same on all boards"),
    );
    tell(!wanted.extra_kernel_args.is_empty(), "customization.extraKernelArgs", args);
    tell(!wanted.meta.is_empty(), "customization.meta", meta);
    tell(
        !wanted.official_extensions.is_empty(),
        "customization.systemExtensions.officialExtensions",
        in_initramfs,
    );
    tell(
        !wanted.embedded_machine_configuration.is_empty(),
        "customization.embeddedMachineConfiguration",
        in_initramfs,
    );
    tell(wanted.bootloader != Bootloader::None, "customization.bootloader", bootloader);
    tell(!wanted.secureboot.enroll_keys.is_empty(), "customization.secureboot.enrollKeys", secure_boot);
    tell(
        wanted.secureboot.include_well_known_certificates,
        "customization.secureboot.includeWellKnownCertificates",
        secure_boot,
    );
    tell(
        wanted.disk_image.sector_size != 0,
        "customization.diskImage.sectorSize",
        on_disks("only disk images have sectors"),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::AssetPath;
    use crate::schematic::{DiskImage, MetaValue, SecureBoot};

    fn everything() -> Schematic {
        let mut schematic = Schematic::default();
        schematic.overlay.name = "rpi".into();
        let wanted = &mut schematic.customization;
        wanted.extra_kernel_args = vec!["a".into()];
        wanted.meta = vec![MetaValue { key: 10, value: "x".into() }];
        wanted.official_extensions = vec!["siderolabs/gvisor".into()];
        wanted.embedded_machine_configuration = "x".into();
        wanted.bootloader = Bootloader::Grub;
        wanted.secureboot = SecureBoot { enroll_keys: "force".into(), include_well_known_certificates: true };
        wanted.disk_image = DiskImage { sector_size: 4096 };
        schematic
    }

    fn fields(path: &str, version: &str) -> Vec<&'static str> {
        let request = AssetPath::parse(path).unwrap().request();
        let version = TalosVersion::parse(version).unwrap();
        assert_eq!(ignored(&request, &Schematic::default(), &version), []);
        ignored(&request, &everything(), &version)
            .iter()
            .map(|ignored| ignored.field.rsplit('.').next().unwrap())
            .collect()
    }

    #[test]
    fn by_kind() {
        let keys = ["enrollKeys", "includeWellKnownCertificates"];
        assert_eq!(fields("metal-amd64.raw", "1.13.0"), keys);
        assert_eq!(fields("metal-amd64-secureboot.raw", "1.13.0"), ["bootloader"]);
        assert_eq!(fields("metal-amd64.iso", "1.12.0"), [&keys[..], &["sectorSize"]].concat());
        assert_eq!(fields("metal-amd64.iso", "1.11.0")[0], "bootloader");
        assert_eq!(fields("installer-amd64.tar", "1.9.0")[..2], ["extraKernelArgs", "meta"]);
        assert_eq!(fields("metal-amd64-uki.efi", "1.10.0")[..2], ["meta", "bootloader"]);
        assert_eq!(fields("installer-amd64-secureboot.tar", "1.9.0")[0], "meta");
        assert_eq!(fields("kernel-amd64", "1.13.0").len(), 9);
        let cmdline = ["officialExtensions", "embeddedMachineConfiguration", "bootloader"];
        assert_eq!(fields("cmdline-metal-amd64", "1.13.0")[..3], cmdline);
        assert_eq!(fields("cmdline-metal-amd64-secureboot", "1.13.0")[0], "meta");
    }
}
