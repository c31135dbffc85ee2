//! What a version of Talos can do. Numbers in comments are those of the table in the specification,
//! `21-quirks.md` §3.

use super::Core;

/// Answers questions about one version. Pre-releases count as their release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    core: Core,
}

/// Sizes of disk image partitions in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionSizes {
    /// EFI partition that holds nothing but GRUB.
    pub grub_efi: u64,
    /// EFI partition that holds UKIs.
    pub uki_efi: u64,
    /// GRUB's core image.
    pub bios: u64,
    /// Kernels and initramfs for GRUB.
    pub boot: u64,
    /// META.
    pub meta: u64,
    /// STATE.
    pub state: u64,
    /// What EPHEMERAL needs at least; in images it gets the rest of the disk.
    pub ephemeral_min: u64,
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl Quirks {
    /// The quirks of all versions with this core.
    pub const fn of(core: Core) -> Self {
        Self { core }
    }

    fn from(self, major: u64, minor: u64, patch: u64) -> bool {
        self.core >= (major, minor, patch)
    }

    /// Q1: GRUB menus have an entry that resets the machine.
    pub fn has_grub_reset_entry(self) -> bool {
        self.from(1, 4, 0)
    }

    /// Q2: the release has a UKI stub and systemd-boot, which Secure Boot needs too.
    pub fn has_uki(self) -> bool {
        self.from(1, 5, 0)
    }

    /// Q3: machine configuration may have several documents.
    pub fn reads_multi_document_config(self) -> bool {
        self.from(1, 5, 0)
    }

    /// Q4: the META argument may be compressed.
    pub fn reads_compressed_meta(self) -> bool {
        self.from(1, 6, 3)
    }

    /// Q5: overlays exist, and the schematic is stored inside the image.
    pub fn has_overlays(self) -> bool {
        self.from(1, 7, 0)
    }

    /// Q6: initramfs and extensions are compressed with zstd instead of xz.
    pub fn uses_zstd(self) -> bool {
        self.from(1, 8, 0)
    }

    /// Q7: ISO images carry the version in their volume id.
    pub fn labels_iso(self) -> bool {
        self.from(1, 8, 0)
    }

    /// Q8: metal machines of amd64 talk to the serial port too.
    pub fn has_metal_serial_console(self) -> bool {
        !self.from(1, 8, 0)
    }

    /// Q9: an ISO stops when Talos is installed already.
    pub fn halts_if_installed(self) -> bool {
        self.from(1, 8, 0)
    }

    /// Q10: disk images end with META; the node makes STATE and EPHEMERAL itself.
    pub fn leaves_out_data_partitions(self) -> bool {
        self.from(1, 8, 0)
    }

    /// Q11: SELinux is on.
    pub fn has_selinux(self) -> bool {
        self.from(1, 10, 0)
    }

    /// Q12: where kernel modules lie.
    pub fn kernel_modules_path(self) -> &'static str {
        if self.from(1, 10, 0) { "/usr/lib/modules" } else { "/lib/modules" }
    }

    /// Q13: where firmware lies.
    pub fn firmware_path(self) -> &'static str {
        if self.from(1, 10, 0) { "/usr/lib/firmware" } else { "/lib/firmware" }
    }

    /// Q14: the `mkfs.xfs` option file whose features kernel and GRUB can read.
    pub fn xfs_options(self) -> &'static str {
        if self.from(1, 13, 0) {
            "lts_6.18.conf"
        } else if self.from(1, 10, 0) {
            "lts_6.12.conf"
        } else if self.from(1, 8, 0) {
            "lts_6.6.conf"
        } else {
            "lts_6.1.conf"
        }
    }

    /// Q15: the kernel measures files with IMA.
    pub fn has_ima(self) -> bool {
        self.core <= (1, 10, 99)
    }

    /// Q16: systemd-boot starts the system under UEFI.
    pub fn boots_uefi_with_sd_boot(self) -> bool {
        self.from(1, 10, 0)
    }

    /// Q17 and `21-quirks.md` §4.3: how large partitions are.
    pub fn partition_sizes(self) -> PartitionSizes {
        let boot = if self.from(1, 11, 0) { 2000 * MIB } else { 1000 * MIB };
        let (grub_efi, bios) = (100 * MIB, MIB);
        PartitionSizes {
            grub_efi,
            uki_efi: grub_efi + bios + boot,
            bios,
            boot,
            meta: MIB,
            state: 100 * MIB,
            ephemeral_min: 2 * GIB,
        }
    }

    /// Q19: a UKI can hold several boot profiles.
    pub fn has_uki_profiles(self) -> bool {
        self.from(1, 10, 0)
    }

    /// Q20: one installer base for all platforms, with boot assets added by the factory.
    pub fn has_unified_installer(self) -> bool {
        self.from(1, 10, 0)
    }

    /// Q21: a machine configuration can be embedded.
    pub fn has_embedded_config(self) -> bool {
        self.from(1, 12, 0)
    }

    /// Q22: enforcing module signatures is an argument, so that it can be removed.
    pub fn enforces_module_signatures_by_argument(self) -> bool {
        self.from(1, 12, 0)
    }

    /// Q23: the boot loader of an ISO can be chosen.
    pub fn has_iso_bootloader_choice(self) -> bool {
        self.from(1, 12, 0)
    }

    /// Q24: writing to other processes' memory is forbidden.
    pub fn forbids_proc_mem_override(self) -> bool {
        self.from(1, 13, 0)
    }

    /// Q25: the release has `talosctl` for download. The rule names 1.11.0-alpha.3, but all
    /// pre-releases count as 1.11.0.
    pub fn has_talosctl(self) -> bool {
        self.from(1, 11, 0)
    }

    /// Q26: `init_on_alloc` is left to the kernel's own setting.
    pub fn drops_init_on_alloc(self) -> bool {
        self.from(1, 14, 0)
    }

    /// Q27: the long NVMe time-out is set on AWS only.
    pub fn has_nvme_timeout_on_aws_only(self) -> bool {
        self.from(1, 14, 0)
    }

    /// Q28: Secure Boot locks the kernel down by an argument.
    pub fn locks_down_with_secure_boot(self) -> bool {
        !self.from(1, 14, 0)
    }

    /// Q29: smallest XFS allocation group in bytes when the node formats a disk; 0 for no limit.
    pub fn xfs_min_allocation_group(self) -> u64 {
        if self.from(1, 14, 0) { 64 * GIB } else { 0 }
    }

    /// The repository of the image that installers are made from (`20-profiles.md` §10).
    pub fn base_installer(self) -> &'static str {
        if self.has_unified_installer() { "siderolabs/installer-base" } else { "siderolabs/installer" }
    }
}

#[cfg(test)]
mod tests {
    use crate::version::TalosVersion;

    fn quirks(text: &str) -> super::Quirks {
        TalosVersion::parse(text).unwrap().quirks()
    }

    #[test]
    fn each_rule_switches_at_its_version() {
        type Rule = fn(super::Quirks) -> bool;
        let rules: [(&str, &str, Rule); 14] = [
            ("1.3.7", "1.4.0", |q| q.has_grub_reset_entry()),
            ("1.4.9", "1.5.0", |q| q.has_uki()),
            ("1.6.2", "1.6.3", |q| q.reads_compressed_meta()),
            ("1.6.3", "1.7.0-alpha.0", |q| q.has_overlays()),
            ("1.7.3", "1.8.0-alpha.0", |q| q.uses_zstd()),
            ("1.7.3", "1.8.0", |q| !q.has_metal_serial_console()),
            ("1.9.9", "1.10.0-alpha.1", |q| q.has_unified_installer()),
            ("1.10.9", "1.11.0-alpha.0", |q| !q.has_ima()),
            ("1.10.9", "1.11.0-alpha.0", |q| q.has_talosctl()),
            ("1.11.9", "1.12.0-alpha.0", |q| q.has_embedded_config()),
            ("1.12.9", "1.13.0", |q| q.forbids_proc_mem_override()),
            ("1.13.0", "1.14.0-alpha.1", |q| q.drops_init_on_alloc()),
            ("1.13.5", "1.14.0", |q| !q.locks_down_with_secure_boot()),
            ("1.13.5", "2.0.0", |q| q.has_nvme_timeout_on_aws_only()),
        ];
        for (before, from, rule) in rules {
            assert!(!rule(quirks(before)), "{before}");
            assert!(rule(quirks(from)), "{from}");
        }
    }

    #[test]
    fn the_uki_partition_holds_what_three_held() {
        let sizes = quirks("1.10.0").partition_sizes();
        assert_eq!(sizes.uki_efi, 1101 << 20);
        assert_eq!(quirks("1.11.0").partition_sizes().uki_efi, 2101 << 20);
    }
}
