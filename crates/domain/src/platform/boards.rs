//! The table of single-board computers (`20-profiles.md` §6.4).

use crate::version::TalosVersion;

/// A single-board computer: a `metal` machine of arm64 that needs an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Our name for it.
    pub name: &'static str,
    /// Name of its overlay in a version's overlay list.
    pub overlay_name: &'static str,
    /// Repository of the image that holds the overlay.
    pub overlay_image: &'static str,
    /// The name to show.
    pub label: &'static str,
    /// First version that supports it, as a text; empty for all that know overlays.
    pub min_version: &'static str,
    /// Path of its page below the documentation's base address; empty when there is none.
    pub documentation: &'static str,
}

/// The board to select at first.
pub const DEFAULT_BOARD: &str = "rpi_generic";

impl Board {
    /// The board of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        BOARDS.iter().find(|board| board.name == name)
    }

    /// Whether users of this version may be offered the board (full order).
    pub fn is_offered_for(&self, version: &TalosVersion) -> bool {
        version.quirks().has_overlays() && version.is_at_least(self.min_version)
    }

    /// The boards to offer for a version, in the order of [`BOARDS`]: those that its overlay list has.
    pub fn offered<'a>(
        version: &TalosVersion,
        overlay_names: impl IntoIterator<Item = &'a str>,
    ) -> Vec<&'static Self> {
        let names: Vec<&str> = overlay_names.into_iter().collect();
        BOARDS
            .iter()
            .filter(|board| board.is_offered_for(version) && names.contains(&board.overlay_name))
            .collect()
    }
}

const fn board(
    [name, overlay_name]: [&'static str; 2],
    overlay_image: &'static str,
    label: &'static str,
    min_version: &'static str,
    documentation: &'static str,
) -> Board {
    Board { name, overlay_name, overlay_image, label, min_version, documentation }
}

const RASPBERRY_PI: &str = "siderolabs/sbc-raspberrypi";
const ALLWINNER: &str = "siderolabs/sbc-allwinner";
const JETSON: &str = "siderolabs/sbc-jetson";
const ROCKCHIP: &str = "siderolabs/sbc-rockchip";

macro_rules! page {
    ($name:literal) => {
        concat!("/platform-specific-installations/single-board-computers/", $name)
    };
}

/// Every board, in the order to list them.
#[rustfmt::skip]
pub const BOARDS: [Board; 29] = [
    board(["rpi_5", "rpi_5"], RASPBERRY_PI, "Raspberry Pi 5", "1.12.3", ""),
    board(["rpi_generic", "rpi_generic"], RASPBERRY_PI, "Raspberry Pi Series", "", page!("rpi_generic")),
    board(["revpi_generic", "revpi_generic"], RASPBERRY_PI, "Revolution Pi Series", "1.10.0-beta.0", ""),
    board(["bananapi_m64", "bananapi_m64"], ALLWINNER, "Banana Pi M64", "", page!("bananapi_m64")),
    board(["nanopi_r4s", "nanopi-r4s"], ROCKCHIP, "Friendlyelec Nano PI R4S", "1.3.0", page!("nanopi_r4s")),
    board(["nanopi_r5s", "nanopi-r5s"], ROCKCHIP, "Friendlyelec Nano PI R5S", "1.8.0-alpha.2", ""),
    board(["jetson_nano", "jetson_nano"], JETSON, "Jetson Nano", "", page!("jetson_nano")),
    board(["libretech_all_h3_cc_h5", "libretech_all_h3_cc_h5"], ALLWINNER, "Libre Computer Board ALL-H3-CC", "", page!("libretech_all_h3_cc_h5")),
    board(["orangepi_r1_plus_lts", "orangepi-r1-plus-lts"], ROCKCHIP, "Orange Pi R1 Plus LTS", "1.7.0", page!("orangepi_r1_plus_lts")),
    board(["pine64", "pine64"], ALLWINNER, "Pine64", "", page!("pine64")),
    board(["rock64", "rock64"], ROCKCHIP, "Pine64 Rock64", "", page!("rock64")),
    board(["rock4cplus", "rock4cplus"], ROCKCHIP, "Radxa ROCK 4C Plus", "1.7.0", page!("rock4cplus")),
    board(["rock4se", "rock4se"], ROCKCHIP, "Radxa ROCK 4SE", "1.8.0-alpha.1", ""),
    board(["rock5a", "rock5a"], ROCKCHIP, "Radxa ROCK 5A", "1.10.0-beta.0", page!("rock5b")),
    board(["rock5b", "rock5b"], ROCKCHIP, "Radxa ROCK 5B", "1.9.2", page!("rock5b")),
    board(["rockpi_4", "rockpi4"], ROCKCHIP, "Radxa ROCK PI 4", "", page!("rockpi_4")),
    board(["rockpi_4c", "rockpi4c"], ROCKCHIP, "Radxa ROCK PI 4C", "", page!("rockpi_4c")),
    board(["helios64", "helios64"], ROCKCHIP, "Kobol Helios64", "1.8.0-alpha.2", ""),
    board(["turingrk1", "turingrk1"], ROCKCHIP, "Turing RK1", "1.9.0-beta.0", page!("turing_rk1")),
    board(["orangepi-5", "orangepi-5"], ROCKCHIP, "Orange Pi 5", "1.9.2", page!("orangepi_5")),
    board(["orangepi-5-plus", "orangepi-5-plus"], ROCKCHIP, "Orange Pi 5 Plus", "1.10.0-beta.0", ""),
    board(["rockpro64", "rockpro64"], ROCKCHIP, "Pine64 RockPro64", "1.10.0-beta.0", ""),
    board(["odroid-m1", "odroid-m1"], ROCKCHIP, "Odroid M1", "1.12.0-beta.0", ""),
    board(["radxa-zero-3e", "radxa-zero-3e"], ROCKCHIP, "Radxa Zero 3E", "1.12.0-beta.0", ""),
    board(["rock3b", "rock3b"], ROCKCHIP, "Rock 3B", "1.12.0-beta.0", ""),
    board(["orangepi-5-max", "orangepi-5-max"], ROCKCHIP, "Orange Pi 5 Max", "1.12.0-beta.0", ""),
    board(["rock5t", "rock5t"], ROCKCHIP, "Rock 5T", "1.12.0-beta.0", ""),
    board(["friendlyelec-cm3588-nas", "friendlyelec-cm3588-nas"], ROCKCHIP, "FriendlyELEC CM3588 NAS", "1.13.0-alpha.1", ""),
    board(["rock5b-plus", "rock5b-plus"], ROCKCHIP, "Rock 5B Plus", "1.13.0-alpha.1", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_are_offered_when_their_overlay_is_there() {
        let version = |text| TalosVersion::parse(text).unwrap();
        let names = ["rock5b", "rpi_5", "rpi_generic", "unknown"];
        let offered = |text| -> Vec<&str> {
            Board::offered(&version(text), names).iter().map(|board| board.name).collect()
        };
        assert_eq!(offered("1.12.3"), ["rpi_5", "rpi_generic", "rock5b"]);
        assert_eq!(offered("1.12.2"), ["rpi_generic", "rock5b"]);
        assert_eq!(offered("1.7.0-beta.0"), ["rpi_generic"]);
        assert_eq!(offered("1.6.7"), [""; 0]);
    }

    #[test]
    fn names_are_unique_and_the_default_exists() {
        for (index, board) in BOARDS.iter().enumerate() {
            assert!(BOARDS[..index].iter().all(|other| other.name != board.name), "{}", board.name);
        }
        assert!(Board::find(DEFAULT_BOARD).is_some());
    }
}
