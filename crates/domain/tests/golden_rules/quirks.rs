//! What versions can do.

use factory_domain::version::{Quirks, TalosVersion};
use serde_json::{Value, json};

use crate::support::lines;

#[test]
fn golden_quirks() {
    for line in lines("quirks.jsonl") {
        let input = line["input"].as_str().unwrap();
        let version = TalosVersion::parse_tolerant(input).ok();
        let quirks = version.as_ref().map_or(Quirks::of((u64::MAX, 0, 0)), TalosVersion::quirks);
        let mut made = json(quirks, version.as_ref());
        if version.is_none() {
            // The one rule of the reference that does not hold for "newest".
            made["UseSDBootForUEFI"] = json!(false);
        }
        assert_eq!(made, line["output"], "{input:?}");
    }
}

fn json(quirks: Quirks, version: Option<&TalosVersion>) -> Value {
    let sizes = quirks.partition_sizes();
    json!({
        "Version": version.map(|version| {
            let (major, minor, patch) = version.core();
            format!("{major}.{minor}.{patch}")
        }),
        "SupportsResetGRUBOption": quirks.has_grub_reset_entry(),
        "SupportsUKI": quirks.has_uki(),
        "SupportsMultidoc": quirks.reads_multi_document_config(),
        "SupportsCompressedEncodedMETA": quirks.reads_compressed_meta(),
        "SupportsOverlay": quirks.has_overlays(),
        "UseZSTDCompression": quirks.uses_zstd(),
        "SupportsISOLabel": quirks.labels_iso(),
        "SupportsMetalPlatformConsoleTTYS0": quirks.has_metal_serial_console(),
        "SupportsHaltIfInstalled": quirks.halts_if_installed(),
        "SkipDataPartitions": quirks.leaves_out_data_partitions(),
        "SupportsSELinux": quirks.has_selinux(),
        "KernelModulesPath": quirks.kernel_modules_path(),
        "FirmwarePath": quirks.firmware_path(),
        "XFSMkfsConfig": format!("/usr/share/xfsprogs/mkfs/{}", quirks.xfs_options()),
        "SupportsIMA": quirks.has_ima(),
        "UseSDBootForUEFI": quirks.boots_uefi_with_sd_boot(),
        "SupportsUKIProfiles": quirks.has_uki_profiles(),
        "SupportsUnifiedInstaller": quirks.has_unified_installer(),
        "SupportsEmbeddedConfig": quirks.has_embedded_config(),
        "SupportsDisablingModuleSignatureVerification": quirks.enforces_module_signatures_by_argument(),
        "ISOSupportsSettingBootloader": quirks.has_iso_bootloader_choice(),
        "ProcMemOverrideNever": quirks.forbids_proc_mem_override(),
        "SupportsFactoryTalosctlDownload": quirks.has_talosctl(),
        "DropInitOnAllocInArgs": quirks.drops_init_on_alloc(),
        "NvmeCoreIoTimeoutAWSOnly": quirks.has_nvme_timeout_on_aws_only(),
        "ForcesLockdownConfidentiality": quirks.locks_down_with_secure_boot(),
        "XFSMinAllocationGroupSize": quirks.xfs_min_allocation_group(),
        "PartitionSizes": {
            "GrubEFISize": sizes.grub_efi,
            "UKIEFISize": sizes.uki_efi,
            "GrubBIOSSize": sizes.bios,
            "GrubBootSize": sizes.boot,
            "METASize": sizes.meta,
            "StateSize": sizes.state,
            "EphemeralMinSize": sizes.ephemeral_min,
        },
    })
}
