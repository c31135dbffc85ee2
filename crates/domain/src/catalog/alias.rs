//! Extensions that changed their name (`20-profiles.md` §8).

/// Old and new names below `siderolabs/`. The first four were published under a wrong name, the others
/// renamed.
const RENAMED: [(&str, &str); 11] = [
    ("v4l-uvc", "v4l-uvc-drivers"),
    ("usb-modem", "usb-modem-drivers"),
    ("gasket", "gasket-driver"),
    ("talos-vmtoolsd", "vmtoolsd-guest-agent"),
    ("xe-guest-utilities", "xen-guest-agent"),
    ("nvidia-container-toolkit", "nvidia-container-toolkit-lts"),
    ("nvidia-open-gpu-kernel-modules", "nvidia-open-gpu-kernel-modules-lts"),
    ("nonfree-kmod-nvidia", "nonfree-kmod-nvidia-lts"),
    ("nvidia-fabricmanager", "nvidia-fabric-manager-lts"),
    ("i915-ucode", "i915"),
    ("amdgpu-firmware", "amdgpu"),
];

/// The other name of an extension: the new one of an old name, so that old schematics build new
/// versions, and the old one of a new name, so that new schematics build old versions.
pub(super) fn other_name(name: &str) -> Option<String> {
    let short = name.strip_prefix("siderolabs/")?;
    let other = RENAMED.iter().find_map(|&(old, new)| match short {
        _ if short == old => Some(new),
        _ if short == new => Some(old),
        _ => None,
    })?;
    Some(format!("siderolabs/{other}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for (old, new) in RENAMED {
            assert_eq!(other_name(&format!("siderolabs/{old}")), Some(format!("siderolabs/{new}")));
            assert_eq!(other_name(&format!("siderolabs/{new}")), Some(format!("siderolabs/{old}")));
        }
        assert_eq!(other_name("siderolabs/gvisor"), None);
        assert_eq!(other_name("i915"), None);
    }
}
