//! A board with an overlay: its boot loader in front of the partitions must not be in the way, and its kernel
//! arguments must arrive.

use crate::machine::Lab;
use crate::support::fixture::NEWEST;
use crate::support::tools::text;

const SCHEMATIC: &str =
    "overlay: {name: qemu_board, image: siderolabs/sbc-virtual, options: {color: blue}}\n";

#[test]
fn disk_of_a_board_under_both_firmwares() {
    let Some(lab) = Lab::open() else { return };
    let schematic = lab.server.client.schematic(SCHEMATIC);
    let disk = lab.save(&schematic, NEWEST, "metal-amd64.raw");
    for (firmware, reported) in [("uefi", "efi64"), ("bios", "bios")] {
        let report = lab.boot(&["--disk", text(&disk), "--firmware", firmware]);
        assert_eq!(report.value("firmware"), reported);
        let arguments = report.arguments();
        for argument in ["console=ttyS0", "fixture.board=qemu", "fixture.color=blue"] {
            assert!(arguments.contains(&argument), "{argument} is not in {arguments:?}");
        }
        assert!(report.partitions().contains(&"META"), "{:?}", report.partitions());
    }
}
