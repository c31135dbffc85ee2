//! What stands on an EFI system partition (specification 40, 4; 41, 4.2 and 4.3).

use crate::Layout;
use crate::fat::FatFile;

/// Label of the volume.
pub const LABEL: &str = "EFI";
/// Serial number of the volume, the reference's.
pub const SERIAL: u32 = 0x1234_ABCD;

/// Machines that firmware of the kind "UEFI" comes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// x86-64.
    X64,
    /// 64-bit ARM.
    Aa64,
}

/// What the partition is part of. Case differs, and nodes look for file names with case in mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// An ISO image, `EFI/BOOT/BOOTX64.EFI`.
    Iso,
    /// A disk, `EFI/boot/BOOTX64.efi`.
    Disk,
}

impl Machine {
    /// Path of the program that firmware starts when nothing else is said.
    pub const fn boot_path(self, medium: Medium) -> &'static str {
        match (self, medium) {
            (Self::X64, Medium::Iso) => "EFI/BOOT/BOOTX64.EFI",
            (Self::X64, Medium::Disk) => "EFI/boot/BOOTX64.efi",
            (Self::Aa64, Medium::Iso) => "EFI/BOOT/BOOTAA64.EFI",
            (Self::Aa64, Medium::Disk) => "EFI/boot/BOOTAA64.efi",
        }
    }
}

/// Signed variable updates that systemd-boot enrols.
#[derive(Clone, Debug)]
pub struct EnrollmentKeys {
    /// Platform key.
    pub platform: Layout,
    /// Key exchange key.
    pub key_exchange: Layout,
    /// Signature database.
    pub database: Layout,
}

/// systemd-boot with a UKI.
#[derive(Clone, Debug)]
pub struct SystemdBoot {
    /// Machine.
    pub machine: Machine,
    /// Talos version with its `v`, part of the UKI's file name.
    pub version: String,
    /// The boot loader.
    pub loader: Layout,
    /// The UKI.
    pub uki: Layout,
    /// Value of `secure-boot-enroll`; without it the line is left out.
    pub enroll: Option<String>,
    /// Keys to enrol.
    pub keys: Option<EnrollmentKeys>,
    /// Certificate of the UKI's signature, in DER, for people who enrol by hand.
    pub certificate: Option<Layout>,
}

/// `loader.conf`.
pub fn loader_config(enroll: Option<&str>) -> String {
    let enroll = enroll.map_or_else(String::new, |mode| format!("\nsecure-boot-enroll {mode}\n"));
    format!("# systemd-boot configuration\n\ntimeout 10\n{enroll}")
}

impl SystemdBoot {
    /// Path of the UKI.
    pub fn uki_path(&self) -> String {
        format!("EFI/Linux/Talos-{}.efi", self.version)
    }

    /// All files of the partition.
    pub fn files(&self, medium: Medium) -> Vec<FatFile> {
        let config = loader_config(self.enroll.as_deref()).into_bytes();
        let mut files = vec![
            FatFile::new(self.machine.boot_path(medium), self.loader.clone()),
            FatFile::new(self.uki_path(), self.uki.clone()),
            FatFile::new("loader/loader.conf", Layout::from_bytes(config)),
        ];
        if medium == Medium::Iso {
            // systemd-boot makes the file when it is missing, and firmware may crash on a write to a CD.
            let mut seed = FatFile::new("loader/random-seed", Layout::from_bytes(vec![0; 32]));
            seed.read_only = true;
            files.push(seed);
        }
        let certificate = self.certificate.iter();
        files.extend(certificate.map(|der| FatFile::new("EFI/keys/uki-signing-cert.der", der.clone())));
        if let Some(keys) = &self.keys {
            for (name, key) in [("PK", &keys.platform), ("KEK", &keys.key_exchange), ("db", &keys.database)] {
                files.push(FatFile::new(format!("loader/keys/auto/{name}.auth"), key.clone()));
            }
        }
        files
    }
}

/// The files of a partition that boots GRUB.
pub fn grub_files(machine: Machine, core: &Layout, medium: Medium) -> Vec<FatFile> {
    vec![FatFile::new(machine.boot_path(medium), core.clone())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_have_the_known_lengths() {
        assert_eq!(loader_config(None), "# systemd-boot configuration\n\ntimeout 10\n");
        assert_eq!(loader_config(None).len(), 41);
        assert_eq!(loader_config(Some("off")).len(), 65);
        assert!(loader_config(Some("if-safe")).ends_with("\n\nsecure-boot-enroll if-safe\n"));
    }

    #[test]
    fn media_differ_in_case_and_seed() {
        let boot = SystemdBoot {
            machine: Machine::Aa64,
            version: "v1.14.0".to_owned(),
            loader: Layout::default(),
            uki: Layout::default(),
            enroll: None,
            keys: Some(EnrollmentKeys {
                platform: Layout::default(),
                key_exchange: Layout::default(),
                database: Layout::default(),
            }),
            certificate: Some(Layout::default()),
        };
        let paths = |medium| boot.files(medium).into_iter().map(|file| file.path).collect::<Vec<_>>();
        let keys = ["loader/keys/auto/PK.auth", "loader/keys/auto/KEK.auth", "loader/keys/auto/db.auth"];
        let iso = [
            "EFI/BOOT/BOOTAA64.EFI",
            "EFI/Linux/Talos-v1.14.0.efi",
            "loader/loader.conf",
            "loader/random-seed",
            "EFI/keys/uki-signing-cert.der",
        ];
        assert_eq!(paths(Medium::Iso), [&iso[..], &keys].concat());
        let disk = paths(Medium::Disk);
        assert_eq!(disk[0], "EFI/boot/BOOTAA64.efi");
        assert!(!disk.contains(&"loader/random-seed".to_owned()));
    }
}
