//! Putting the command line of a profile together (`22-cmdline.md` §2 and §3).

use super::args::{ExtraArgs, KernelArgs};
use crate::meta;
use crate::platform::{NVME_TIMEOUT, Platform, UnknownPlatform, kernel_args};
use crate::profile::{Kind, Profile};
use crate::version::Quirks;

/// Added to a command line, it wipes the whole system disk.
const WIPE_SYSTEM: &str = "talos.experimental.wipe=system";

/// Added to a command line, it wipes state and data and leaves the installed system.
const WIPE_DATA: &str = "talos.experimental.wipe=system:EPHEMERAL,STATE";

/// The kernel command line of a profile. `overlay_args` is what the overlay's own program asks for.
///
/// # Errors
/// [`UnknownPlatform`] when the profile's platform does not exist.
pub fn assemble<S: AsRef<str>>(profile: &Profile, overlay_args: &[S]) -> Result<KernelArgs, UnknownPlatform> {
    let quirks = profile.version.quirks();
    let kind = profile.output.kind;
    let mut line = KernelArgs::new();
    line.append("talos.platform", Platform::find(&profile.platform)?.boot_name());
    line.set_all(&kernel_args(&profile.platform, profile.arch, quirks)?);
    if kind == Kind::Iso && quirks.halts_if_installed() {
        line.append("talos.halt_if_installed", "1");
    }
    line.set_all(overlay_args);
    line.append_all(&default_args(quirks));
    if profile.secure_boot.is_some() && quirks.locks_down_with_secure_boot() {
        line.append("lockdown", "confidentiality");
    }
    if kind != Kind::Image
        && let Some((key, value)) = meta::argument(&profile.meta, quirks)
    {
        line.append(key, &value);
    }
    let rules = ExtraArgs { replaces: &["console", "talos.platform"], negates: true };
    line.append_extra(&profile.extra_kernel_args, rules);
    Ok(line)
}

/// The arguments of all platforms, in order.
fn default_args(quirks: Quirks) -> Vec<&'static str> {
    let when = |holds: bool, args: &'static [&'static str]| if holds { args } else { &[] };
    [
        when(!quirks.drops_init_on_alloc(), &["init_on_alloc=1"]),
        &["slab_nomerge", "pti=on", "consoleblank=0"],
        when(!quirks.has_nvme_timeout_on_aws_only(), &[NVME_TIMEOUT]),
        &["printk.devkmsg=on"],
        when(quirks.has_ima(), &["ima_template=ima-ng", "ima_appraise=fix", "ima_hash=sha512"]),
        when(quirks.has_selinux(), &["selinux=1"]),
        when(quirks.enforces_module_signatures_by_argument(), &["module.sig_enforce=1"]),
        when(quirks.forbids_proc_mem_override(), &["proc_mem.force_override=never"]),
    ]
    .concat()
}

/// A further entry of a boot menu with a command line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootProfile {
    /// Short name, unique within the image.
    pub id: &'static str,
    /// What the menu shows.
    pub title: &'static str,
    /// The whole command line.
    pub cmdline: String,
}

/// The entries that an image has besides the main one, when a UKI can hold them (`20-profiles.md` §10).
pub fn boot_profiles(kind: Kind, quirks: Quirks, cmdline: &str) -> Vec<BootProfile> {
    if !quirks.has_uki_profiles() {
        return Vec::new();
    }
    let (id, title) = match kind {
        Kind::Iso => ("reset", "Reset system disk"),
        Kind::Image | Kind::Installer => ("reset-maintenance", "Reset to maintenance mode"),
        Kind::Kernel | Kind::Cmdline | Kind::Initramfs | Kind::Uki => return Vec::new(),
    };
    vec![BootProfile { id, title, cmdline: format!("{cmdline} {}", wipe_argument(kind)) }]
}

/// What the entry that resets a machine adds to the command line.
pub(crate) fn wipe_argument(kind: Kind) -> &'static str {
    if kind == Kind::Iso { WIPE_SYSTEM } else { WIPE_DATA }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::AssetPath;
    use crate::schematic::MetaValue;
    use crate::version::TalosVersion;

    const R: &str = "init_on_alloc=1 slab_nomerge pti=on consoleblank=0 nvme_core.io_timeout=4294967295 \
                     printk.devkmsg=on selinux=1 module.sig_enforce=1 proc_mem.force_override=never";

    fn profile(path: &str, version: &str, extra: &[&str]) -> Profile {
        let request = AssetPath::parse(path).unwrap().request();
        let mut profile = Profile::plain(request, TalosVersion::parse(version).unwrap());
        profile.extra_kernel_args = extra.iter().map(ToString::to_string).collect();
        profile
    }

    fn line(path: &str, version: &str, overlay: &[&str], extra: &[&str]) -> String {
        assemble(&profile(path, version, extra), overlay).unwrap().to_string()
    }

    #[test]
    fn extra_arguments() {
        for (path, extra, expected) in [
            (
                "cmdline-metal-amd64",
                &["console=ttyS1,115200n8"][..],
                "talos.platform=metal console=ttyS1,115200n8 R",
            ),
            ("cmdline-metal-amd64", &["-console", "console=ttyS0"], "talos.platform=metal R console=ttyS0"),
            ("cmdline-aws-amd64", &["-console=tty1", "-net.ifnames"], "talos.platform=aws console=ttyS0 R"),
            (
                "cmdline-metal-amd64",
                &["talos.platform=nocloud", "talos.config=https://example.com/c?u=${uuid}"],
                "talos.platform=nocloud console=tty0 R talos.config=https://example.com/c?u=${uuid}",
            ),
            (
                "metal-amd64-secureboot.iso",
                &["-lockdown=confidentiality", "lockdown=integrity"],
                "talos.platform=metal console=tty0 talos.halt_if_installed=1 R lockdown=integrity",
            ),
            ("metal-amd64.iso", &["-talos.halt_if_installed"], "talos.platform=metal console=tty0 R"),
            (
                "cmdline-metal-amd64",
                &["-foo=bar", "foo=bar", "-foo=bar"],
                "talos.platform=metal console=tty0 R foo=bar",
            ),
        ] {
            assert_eq!(line(path, "1.13.0", &[], extra), expected.replace('R', R), "{extra:?}");
        }
        let zero = line("cmdline-metal-amd64", "1.13.0", &[], &["-selinux=1", "selinux=0"]);
        assert!(zero.contains("printk.devkmsg=on selinux=0 module.sig_enforce=1"), "{zero}");
    }

    #[test]
    fn overlay_arguments_come_before_the_defaults() {
        let boards = ["console=tty0", "console=ttyS2,1500000n8", "sysctl.kernel.kexec_load_disabled=1"];
        assert_eq!(
            line("metal-arm64.raw", "1.13.0", &boards, &["nolapic"]),
            format!(
                "talos.platform=metal console=tty0 console=ttyS2,1500000n8 \
                 sysctl.kernel.kexec_load_disabled=1 {R} nolapic"
            )
        );
        let kept = line("installer-arm64.tar", "1.13.0", &["x=1", "console=ttyS0", "selinux=0"], &[]);
        assert!(kept.starts_with("talos.platform=metal console=ttyS0 x=1 selinux=0 selinux=1 "), "{kept}");
        // A machine that boots over the network gets them too.
        assert!(line("cmdline-metal-arm64", "1.13.0", &["x=1"], &[]).contains(" x=1 "));
    }

    #[test]
    fn meta_stands_before_the_users_own_environment() {
        let mut profile =
            profile("cmdline-metal-amd64", "1.13.0", &["talos.environment=HTTP_PROXY=http://p:3128"]);
        profile.meta = vec![MetaValue { key: 10, value: "foo".into() }];
        let text = assemble::<&str>(&profile, &[]).unwrap().to_string();
        let end = " talos.environment=INSTALLER_META_BASE64=MHhhPWZvbw== talos.environment=HTTP_PROXY=http://p:3128";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn further_boot_entries() {
        let of = |kind, version: &str| {
            boot_profiles(kind, TalosVersion::parse(version).unwrap().quirks(), "a b")
                .into_iter()
                .map(|entry| format!("{}|{}|{}", entry.id, entry.title, entry.cmdline))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(Kind::Iso, "1.10.0"), ["reset|Reset system disk|a b talos.experimental.wipe=system"]);
        let maintenance = [
            "reset-maintenance|Reset to maintenance mode|a b talos.experimental.wipe=system:EPHEMERAL,STATE",
        ];
        assert_eq!(of(Kind::Image, "1.10.0"), maintenance);
        assert_eq!(of(Kind::Installer, "1.13.0"), maintenance);
        assert_eq!(of(Kind::Uki, "1.13.0"), [""; 0]);
        assert_eq!(of(Kind::Iso, "1.9.5"), [""; 0]);
    }
}
