//! Do boards get what their overlays bring: kernel arguments everywhere, boot loaders at their places, boot files
//! where firmware looks for them?

use std::fs;
use std::path::Path;

use crate::support::fixture::NEWEST;
use crate::support::tools::{says, success, text};
use crate::support::{Config, Fixture, Server};

/// A board with systemd-boot, raw data and boot files.
const ROCK64: &str =
    "overlay: {name: rock64, image: siderolabs/sbc-rockchip, options: {dtoverlay: spi, speed: 12}}\n";

/// A board that wants GRUB and writes nothing outside of partitions.
const RASPBERRY_PI: &str = "overlay: {name: rpi_generic, image: siderolabs/sbc-raspberrypi}\n";

/// What the program of `rock64` answers to these options, as a part of a command line.
const ROCK64_ARGUMENTS: &str = "console=tty0 console=ttyS2,1500000n8 talos.dashboard.disabled=1 \
                                fixture.dtoverlay=spi fixture.speed=12 ";

/// Bytes before the entries of the partition table of `rock64`: 20480 sectors are left to its boot loader.
const SKIPPED: u64 = 20_480 * 512;

/// Where that boot loader goes.
const LOADER: usize = 32_768;

struct Board {
    server: Server,
    home: tempfile::TempDir,
}

impl Board {
    fn start() -> Option<Self> {
        let fixture = Fixture::find()?;
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        // Whoever runs this has bubblewrap; nothing else is to be tested.
        let config = Config::on_layouts(&fixture).set("build.overlaySandbox", "required");
        let server = Server::start(&config, &home.path().join("factory"));
        Some(Self { server, home })
    }

    fn save(&self, schematic: &str, name: &str) -> std::path::PathBuf {
        self.server.client.save(&Server::image(schematic, NEWEST, name), self.home.path())
    }
}

/// Names in the root of the EFI system partition, and below it.
fn esp(disk: &Path, start: u64) -> String {
    let image = format!("{}@@{start}", text(disk));
    says("mdir", "mtools", &["-/", "-b", "-i", &image, "::"])
}

#[test]
fn a_board_with_systemd_boot() {
    let Some(board) = Board::start() else { return };
    let schematic = board.server.client.schematic(ROCK64);
    let disk = board.save(&schematic, "metal-arm64.raw");
    let said = says("sgdisk", "gdisk", &["-v", text(&disk)]);
    assert!(said.contains("No problems found"), "{said}");

    let mut start = vec![0; (SKIPPED + (2 << 20)) as usize];
    std::os::unix::fs::FileExt::read_exact_at(&fs::File::open(&disk).unwrap(), &mut start, 0).unwrap();
    let loader = start.get(LOADER..LOADER + 300_000).unwrap();
    assert!(loader.iter().filter(|byte| **byte != 0).count() > 290_000, "the boot loader is in its place");
    assert!(start.get(1024..LOADER).unwrap().iter().all(|byte| *byte == 0));
    let behind = start.get(LOADER + 300_032..SKIPPED as usize + 1024).unwrap();
    assert!(behind.iter().all(|byte| *byte == 0));

    let files = esp(&disk, 11 << 20);
    for path in ["dtb/rockchip/rk3328-rock64.dtb", "fixture-extra.txt", "EFI/boot/BOOTAA64.efi"] {
        assert!(files.contains(&format!("::/{path}")), "{path} is not among {files}");
    }

    let uki = board.home.path().join("uki.efi");
    let image = format!("{}@@{}", text(&disk), 11 << 20);
    success("mcopy", "mtools", &["-i", &image, &format!("::/EFI/Linux/Talos-{NEWEST}.efi"), text(&uki)]);
    // Its command line is a section of plain text. objcopy knows no programs of foreign machines.
    assert!(String::from_utf8_lossy(&fs::read(uki).unwrap()).contains(ROCK64_ARGUMENTS));
}

#[test]
fn a_board_with_grub() {
    let Some(board) = Board::start() else { return };
    let schematic = board.server.client.schematic(RASPBERRY_PI);
    let disk = board.save(&schematic, "metal-arm64.raw");
    let files = esp(&disk, 1 << 20);
    for path in ["config.txt", "start4.elf", "u-boot.bin", "EFI/boot/BOOTAA64.efi"] {
        assert!(files.contains(&format!("::/{path}")), "{path} is not among {files}");
    }
    let table = says("sgdisk", "gdisk", &["-p", text(&disk)]);
    assert!(table.contains("BOOT"), "the overlay's profile chooses GRUB: {table}");
}

#[test]
fn arguments_are_everywhere() {
    let Some(board) = Board::start() else { return };
    let client = &board.server.client;
    let schematic = client.schematic(ROCK64);
    let script = client.get(&format!("/pxe/{schematic}/{NEWEST}/metal-arm64"));
    assert!(script.text().contains(ROCK64_ARGUMENTS), "{}", script.text());
    let uki = board.save(&schematic, "metal-arm64-uki.efi");
    assert!(String::from_utf8_lossy(&fs::read(uki).unwrap()).contains(ROCK64_ARGUMENTS));
    let line = client.get(&Server::image(&schematic, NEWEST, "cmdline-metal-arm64")).text();
    assert!(line.contains(ROCK64_ARGUMENTS), "{line}");
}

#[test]
fn an_installer_carries_the_board() {
    let Some(board) = Board::start() else { return };
    let schematic = board.server.client.schematic(ROCK64);
    let archive = board.save(&schematic, "installer-arm64.tar");
    let layers = says("tar", "tar", &["-xOf", text(&archive), "manifest.json"]);
    let manifest: serde_json::Value = serde_json::from_str(&layers).unwrap();
    let last = manifest[0]["Layers"].as_array().unwrap().last().unwrap().as_str().unwrap().to_owned();
    let layer = board.home.path().join("layer.tar");
    fs::write(&layer, success("tar", "tar", &["-xOf", text(&archive), &last])).unwrap();
    let listed = says("tar", "tar", &["-tvf", text(&layer)]);
    let line =
        |path: &str| listed.lines().find(|line| line.ends_with(path)).unwrap_or_else(|| panic!("{listed}"));
    assert!(line("overlay/installers/default").starts_with("-rwxr-xr-x"), "{listed}");
    line("overlay/artifacts/arm64/dtb/rockchip/rk3328-rock64.dtb");
    let options = says("tar", "tar", &["-xOf", text(&layer), "overlay/extra-options"]);
    assert_eq!(options, "dtoverlay: spi\nspeed: 12\n");
}

#[test]
fn what_a_board_refuses_is_the_users_to_know() {
    let Some(board) = Board::start() else { return };
    let client = &board.server.client;
    let schematic = client.schematic("overlay: {name: rock64, options: {fail: no such board}}\n");
    for name in ["metal-arm64.raw.xz", "metal-arm64.iso", "metal-arm64-uki.efi"] {
        let answer = client.get(&Server::image(&schematic, NEWEST, name));
        assert_eq!(answer.status, 400, "{name}");
        assert!(answer.text().contains("rock64: told to fail: no such board"), "{}", answer.text());
    }
    let unknown = client.schematic("overlay: {name: never-existed}\n");
    for path in [
        Server::image(&unknown, NEWEST, "metal-arm64.raw.xz"),
        format!("/pxe/{unknown}/{NEWEST}/metal-arm64"),
    ] {
        let answer = client.get(&path);
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains("\"never-existed\" is not available"), "{}", answer.text());
    }
    let left: Vec<_> = fs::read_dir(board.server.store.join("sandbox")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn programs_run_once_for_each_set_of_options() {
    let Some(board) = Board::start() else { return };
    let client = &board.server.client;
    let paths = |speed: u32| {
        let schematic = client.schematic(&format!(
            "overlay: {{name: rock64, options: {{speed: {speed}}}}}\ncustomization: {{}}\n"
        ));
        ["metal-arm64.raw", "metal-arm64.raw.zst", "metal-arm64-uki.efi", "metal-arm64.iso"]
            .map(|name| Server::image(&schematic, NEWEST, name))
    };
    for path in paths(1).iter().chain(&paths(1)).chain(&paths(2)) {
        assert_eq!(client.head(path).status, 200, "{path}");
    }
    let log = board.server.process.output();
    let built = |part: &str| log.matches(&format!("built part=\"{part}\"")).count();
    assert_eq!((built("options of overlay rock64"), built("boot files of overlay rock64")), (2, 2), "{log}");
}
