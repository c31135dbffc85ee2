//! Is what is streamed what the field's own tools take it for?

use std::fs;
use std::path::{Path, PathBuf};

use crate::EXTENDED;
use crate::support::fixture::NEWEST;
use crate::support::tools::{says, success, text};
use crate::support::{Config, Fixture, Server};

/// Type of an EFI system partition in a GPT.
const ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

struct Downloads {
    server: Server,
    schematic: String,
    home: tempfile::TempDir,
}

impl Downloads {
    fn start() -> Option<Self> {
        let fixture = Fixture::find()?;
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let server = Server::start(&Config::on_layouts(&fixture), &home.path().join("factory"));
        let schematic = server.client.schematic(EXTENDED);
        Some(Self { server, schematic, home })
    }

    fn path(&self, name: &str) -> String {
        Server::image(&self.schematic, NEWEST, name)
    }

    fn save(&self, name: &str) -> PathBuf {
        self.server.client.save(&self.path(name), self.home.path())
    }

    fn line(&self, name: &str) -> String {
        self.server.client.get(&self.path(name)).text()
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.home.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}

/// Splits concatenated newc archives, and unpacks each over the one before, as the kernel does.
fn unpack(archives: &[u8], folder: &Path) -> usize {
    const END: &[u8] = b"TRAILER!!!\0";
    let (mut rest, mut count) = (archives, 0);
    while let Some(start) = rest.iter().position(|byte| *byte != 0) {
        rest = &rest[start..];
        assert!(rest.starts_with(b"070701"), "something that is no archive: {:?}", &rest[..6]);
        let end =
            rest.windows(END.len()).position(|bytes| bytes == END).expect("the archive ends") + END.len();
        let file = folder.with_extension("cpio");
        // cpio reads whole blocks.
        let mut archive = rest[..end].to_vec();
        archive.resize(end.next_multiple_of(512), 0);
        fs::write(&file, archive).unwrap();
        let command =
            format!("cd {} && cpio -idmu --quiet --no-absolute-filenames < {}", text(folder), text(&file));
        success("sh", "cpio", &["-c", &command]);
        rest = &rest[end..];
        count += 1;
    }
    count
}

#[test]
fn a_bill_of_materials_names_what_is_inside() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let schematic = server.client.schematic(EXTENDED);
    let path = |version: &str, arch: &str| format!("/spdx/{schematic}/{version}/{arch}");
    let answer = server.client.get(&path(NEWEST, "amd64"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/spdx+json");
    let wanted = format!("attachment; filename=\"{schematic}-{NEWEST}-amd64.spdx.json\"");
    assert_eq!(answer.header("content-disposition"), wanted);
    let document: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(document["spdxVersion"], "SPDX-2.3");
    let packages = document["packages"].as_array().unwrap();
    for name in ["talos", "hello-world-service"] {
        assert!(packages.iter().any(|package| package["name"] == name), "{name} is not in {packages:?}");
    }
    for (version, arch, status) in
        [(NEWEST, "arm64", 200), (NEWEST, "mips", 400), ("v1.9.5", "amd64", 400), ("v1.99.0", "amd64", 404)]
    {
        assert_eq!(server.client.get(&path(version, arch)).status, status, "{version} {arch}");
    }
}

#[test]
fn an_initramfs_is_what_the_kernel_unpacks() {
    let Some(downloads) = Downloads::start() else { return };
    let file = downloads.save("initramfs-amd64.xz");
    let bytes = fs::read(&file).unwrap();
    // Microcode comes first, as it is; the rest is compressed.
    let zstd = bytes.windows(4).position(|magic| magic == [0x28, 0xb5, 0x2f, 0xfd]).expect("a zstd frame");
    let early = downloads.folder("early");
    assert_eq!(unpack(&bytes[..zstd], &early), 1);
    assert!(early.join("kernel/x86/microcode/GenuineIntel.bin").exists());

    let packed = downloads.home.path().join("rest.zst");
    fs::write(&packed, &bytes[zstd..]).unwrap();
    success("zstd", "zstd", &["-tq", text(&packed)]);
    let root = downloads.folder("root");
    let archives = success("zstd", "zstd", &["-dcq", text(&packed)]);
    assert!(unpack(&archives, &root) >= 2, "base and layers");
    let is_here = |path: &str| root.join(path).exists();
    assert!(is_here("init") && is_here("rootfs.sqsh") && is_here("extensions.yaml"));
    let list = fs::read_to_string(root.join("extensions.yaml")).unwrap();
    for name in [
        "hello-world-service",
        "util-tools",
        "intel-ucode",
        "wifi-firmware",
        "drbd",
        "schematic",
        "modules.dep",
    ] {
        assert!(list.contains(&format!("name: {name}\n")), "{name} is not in {list}");
    }
    let layers: Vec<&str> = list.lines().filter_map(|line| line.trim().strip_prefix("- image: ")).collect();
    assert_eq!(layers.len(), 7, "{list}");
    let mut files = String::new();
    for layer in layers {
        files.push_str(&says("unsquashfs", "squashfs-tools", &["-lc", text(&root.join(layer))]));
    }
    for path in [
        "usr/local/lib/containers/hello-world/hello-world",
        "usr/local/share/util-tools/a/b/c/deep.txt",
        "modules.dep.bin",
    ] {
        assert!(files.contains(path), "{path} is in no layer:\n{files}");
    }
    let firmware = walk(&root);
    assert!(firmware.iter().any(|path| path.ends_with("vendor/card.bin")), "{firmware:?}");
}

fn walk(folder: &Path) -> Vec<String> {
    says("find", "findutils", &[text(folder), "-type", "f"]).lines().map(str::to_owned).collect()
}

#[test]
fn a_uki_has_its_sections() {
    let Some(downloads) = Downloads::start() else { return };
    let uki = downloads.save("metal-amd64-uki.efi");
    let section = |name: &str| {
        let out = downloads.home.path().join(format!("section{name}"));
        let spec = format!("{name}={}", text(&out));
        let copy = downloads.home.path().join("copy.efi");
        success("objcopy", "binutils", &["--dump-section", &spec, text(&uki), text(&copy)]);
        fs::read(out).unwrap()
    };
    let table = says("objdump", "binutils", &["-h", text(&uki)]);
    for name in [".osrel", ".cmdline", ".uname", ".linux", ".initrd", ".sbat"] {
        assert!(table.contains(name), "{name} is not in {table}");
    }
    let plain = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned();
    // META goes to the kernel in other ways when the machine boots from a UKI.
    let line = downloads.line("cmdline-metal-amd64");
    let line: Vec<_> = line.split(' ').filter(|word| !word.starts_with("talos.environment=")).collect();
    assert_eq!(plain(section(".cmdline")), line.join(" "));
    assert!(plain(section(".osrel")).contains("Talos"));
    let same = |section: Vec<u8>, asset: &str| {
        let asset = fs::read(downloads.save(asset)).unwrap();
        assert!(section.starts_with(&asset) && section.len() - asset.len() < 8192, "another {}", asset.len());
    };
    same(section(".linux"), "kernel-amd64");
    same(section(".initrd"), "initramfs-amd64.xz");
}

#[test]
fn an_iso_is_one() {
    let Some(downloads) = Downloads::start() else { return };
    let iso = downloads.save("metal-amd64.iso");
    let report = |what: &str| {
        says("xorriso", "xorriso", &["-abort_on", "FAILURE", "-indev", text(&iso), what, "plain"])
    };
    let boot = report("-report_el_torito");
    assert!(boot.contains("El Torito boot img :   1  UEFI  y"), "{boot}");
    // Written to a disk, firmware finds the partition.
    let info = says("sfdisk", "fdisk", &["--json", text(&iso)]);
    let table: serde_json::Value = serde_json::from_str(&info).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    assert!(partitions.iter().any(|p| p["type"] == "ef" || p["type"] == ESP), "{info}");
    let name = says("xorriso", "xorriso", &["-indev", text(&iso), "-pvd_info"]);
    assert!(name.to_uppercase().contains("TALOS"), "{name}");
}

/// The first EFI system partition of an image as a file of its own.
fn esp(image: &Path, home: &Path) -> PathBuf {
    let info = says("sfdisk", "fdisk", &["--json", text(image)]);
    let table: serde_json::Value = serde_json::from_str(&info).unwrap();
    let table = &table["partitiontable"];
    let partitions = table["partitions"].as_array().unwrap();
    let esp = partitions.iter().find(|p| p["type"] == ESP).expect("an ESP");
    let sector = table["sectorsize"].as_u64().unwrap_or(512);
    let out = home.join("esp.img");
    let arguments = [
        format!("if={}", text(image)),
        format!("of={}", text(&out)),
        format!("bs={sector}"),
        format!("skip={}", esp["start"]),
        format!("count={}", esp["size"]),
        "conv=sparse".to_owned(),
        "status=none".to_owned(),
    ];
    success("dd", "coreutils", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    out
}

#[test]
fn a_disk_is_one() {
    let Some(downloads) = Downloads::start() else { return };
    let disk = downloads.save("metal-amd64.raw");
    let verdict = says("sgdisk", "gdisk", &["-v", text(&disk)]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let table = says("sgdisk", "gdisk", &["-p", text(&disk)]);
    for name in ["EFI", "META"] {
        assert!(table.lines().any(|line| line.ends_with(name)), "{name} is not in {table}");
    }
    let esp = esp(&disk, downloads.home.path());
    success("fsck.vfat", "dosfstools", &["-n", text(&esp)]);
    let files = says("mdir", "mtools", &["-b", "-/", "-i", text(&esp), "::"]);
    for path in ["::/EFI/BOOT/BOOTX64.EFI", "::/LOADER/LOADER.CONF"] {
        assert!(files.to_uppercase().contains(path), "{path} is not in {files}");
    }
    let is_uki = |line: &&str| line.starts_with("::/EFI/Linux/") && line.ends_with(".efi");
    let uki = files.lines().find(is_uki).expect("a UKI");
    let out = downloads.home.path().join("from-esp.efi");
    success("mcopy", "mtools", &["-i", text(&esp), uki, text(&out)]);
    let table = says("objdump", "binutils", &["-h", text(&out)]);
    assert!(table.contains(".linux") && table.contains(".initrd"), "{table}");
}

#[test]
fn packed_disks_are_the_disk() {
    let Some(downloads) = Downloads::start() else { return };
    let (raw, len) = downloads.server.client.digest(&downloads.path("metal-amd64.raw"));
    for (suffix, tool, package) in [("xz", "xz", "xz-utils"), ("zst", "zstd", "zstd"), ("gz", "gzip", "gzip")]
    {
        let packed = downloads.save(&format!("metal-amd64.raw.{suffix}"));
        success(tool, package, &["-t", "-q", text(&packed)]);
        let command = format!("{tool} -dcq {} | sha256sum", text(&packed));
        let sum = says("bash", "bash", &["-o", "pipefail", "-c", &command]);
        assert_eq!(sum.split(' ').next(), Some(raw.as_str()), "{suffix}");
        let size = fs::metadata(&packed).unwrap().len();
        assert!(size < len / 4, "{suffix}: {size} of {len} bytes");
        fs::remove_file(packed).unwrap();
    }
}
