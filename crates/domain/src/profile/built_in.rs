//! The profiles that the image builder knows by name (`20-profiles.md` §6.3).

use super::model::{Compression, DiskFormat, EnrollKeys, ImageOptions, IsoOptions, Kind, Output, Request};
use crate::arch::Arch;

/// A profile with a name. Its disk size and options are the defaults of a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// Platform.
    pub platform: &'static str,
    /// Whether the machine checks signatures.
    pub secure_boot: bool,
    /// What to make.
    pub output: Output,
}

const MIB: u64 = 1 << 20;
const CLUSTERS: &str = "cluster_size=8k";
const FIXED: &str = "subformat=fixed,force_size";

/// Disk of paths whose platform has no built-in profile, in bytes.
const DEFAULT_SIZE: u64 = 8192 * MIB;

impl BuiltIn {
    /// The request that the profile stands for on one architecture.
    pub fn request(&self, arch: Arch) -> Request {
        let Self { platform, secure_boot, output } = self.clone();
        Request { platform: platform.to_owned(), arch, secure_boot, output }
    }
}

/// The profile of this name, if there is one. `secureboot-` before a name gives its signed twin.
pub fn built_in(name: &str) -> Option<BuiltIn> {
    if let Some(name) = name.strip_prefix("secureboot-") {
        let has_twin = matches!(
            name,
            "iso"
                | "metal"
                | "metal-uki"
                | "installer"
                | "azure"
                | "cloudstack"
                | "nocloud"
                | "opennebula"
                | "openstack"
                | "vmware"
        );
        let mut twin = built_in(name).filter(|_| has_twin)?;
        twin.secure_boot = true;
        if twin.output.kind == Kind::Iso {
            twin.output.iso = Some(IsoOptions { enroll_keys: EnrollKeys::IfSafe, ..IsoOptions::default() });
        }
        return Some(twin);
    }
    let of = |platform, output| Some(BuiltIn { platform, secure_boot: false, output });
    match name {
        "iso" => return of("metal", Output::of(Kind::Iso)),
        "metal-uki" => return of("metal", Output::of(Kind::Uki)),
        "installer" => return of("metal", Output::of(Kind::Installer)),
        "metal-4k" => {
            let mut metal = built_in("metal")?;
            if let Some(image) = &mut metal.output.image {
                image.sector_size = 4096;
            }
            return Some(metal);
        }
        _ => {}
    }
    let (platform, size, format, format_options, compression) = disk(name)?;
    let image = ImageOptions {
        base_size: size * MIB,
        format: Some(format),
        format_options,
        ..ImageOptions::default()
    };
    of(platform, Output::image(image, compression))
}

/// Name, MiB, format, options and packing of a platform's disk.
type Disk = (&'static str, u64, DiskFormat, &'static str, Compression);

fn disk(platform: &str) -> Option<Disk> {
    use Compression::{Gz, None as Unpacked, TarGz, Zst};
    use DiskFormat::{Ova, Qcow2, Raw, Vhd};
    const DISKS: [Disk; 18] = [
        ("metal", 1246, Raw, "", Zst),
        ("aws", 8192, Raw, "", Zst),
        ("gcp", 8192, Raw, "", TarGz),
        ("azure", 8192, Vhd, FIXED, Zst),
        ("digital-ocean", 8192, Raw, "", Gz),
        ("nocloud", 1246, Raw, "", Zst),
        ("openstack", 1246, Raw, "", Zst),
        ("vmware", 8192, Ova, "", Unpacked),
        ("akamai", 1246, Raw, "", Gz),
        ("cloudstack", 8192, Raw, "", Zst),
        ("hcloud", 1246, Raw, "", Zst),
        ("oracle", 8192, Qcow2, CLUSTERS, Zst),
        ("upcloud", 8192, Raw, "", Zst),
        ("vultr", 8192, Raw, "", Zst),
        ("exoscale", 10240, Qcow2, CLUSTERS, Zst),
        ("opennebula", 1246, Raw, "", Zst),
        ("scaleway", 1246, Raw, "", Zst),
        ("alibabacloud", 1246, Qcow2, CLUSTERS, Unpacked),
    ];
    DISKS.into_iter().find(|disk| disk.0 == platform)
}

/// Options of a disk image by platform and format as the path parser of the reference finds them. A
/// platform's own format options win over those of the format, even where they do not belong to it.
pub fn built_in_image(platform: &str, format: DiskFormat) -> ImageOptions {
    let mut options = ImageOptions {
        base_size: DEFAULT_SIZE,
        format: Some(format),
        format_options: if format == DiskFormat::Qcow2 { CLUSTERS } else { "" },
        ..ImageOptions::default()
    };
    if let Some((_, size, _, format_options, _)) = disk(platform) {
        options.base_size = size * MIB;
        if !format_options.is_empty() {
            options.format_options = format_options;
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{PLATFORMS, Platform};

    #[test]
    fn every_platform_but_one_has_a_disk() {
        let without: Vec<&str> =
            PLATFORMS.iter().map(|platform| platform.name).filter(|name| built_in(name).is_none()).collect();
        assert_eq!(without, ["equinixMetal"]);
        for name in ["metal-4k", "secureboot-iso", "secureboot-installer"] {
            assert!(Platform::find(built_in(name).unwrap().platform).is_ok(), "{name}");
        }
    }

    #[test]
    fn twins_exist_where_they_do() {
        assert!(built_in("secureboot-vmware").unwrap().secure_boot);
        for name in ["secureboot-aws", "secureboot-metal-4k", "secureboot-secureboot-metal", "", "nosuch"] {
            assert_eq!(built_in(name), None, "{name}");
        }
    }

    #[test]
    fn sizes_and_options_of_paths() {
        let of = |platform, format| {
            let options = built_in_image(platform, format);
            (options.base_size / MIB, options.format_options)
        };
        assert_eq!(of("metal", DiskFormat::Raw), (1246, ""));
        assert_eq!(of("equinixMetal", DiskFormat::Qcow2), (8192, CLUSTERS));
        assert_eq!(of("azure", DiskFormat::Qcow2), (8192, FIXED));
        assert_eq!(of("exoscale", DiskFormat::Vhd), (10240, CLUSTERS));
    }
}
