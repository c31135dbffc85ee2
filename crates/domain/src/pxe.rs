//! iPXE scripts (`22-cmdline.md` §6).

use crate::asset::Target;
use crate::schematic::SchematicId;
use crate::version::TalosVersion;

/// The script that boots `target` over the network. `base_url` is where machines reach this server,
/// without a slash at its end; it may carry credentials.
///
/// With Secure Boot the machine loads one signed file; else kernel and initramfs.
pub fn script(
    base_url: &str,
    schematic: &SchematicId,
    version: &TalosVersion,
    target: &Target,
    cmdline: &str,
) -> String {
    let images = format!("{}/image/{schematic}/{}", base_url.trim_end_matches('/'), version.tag());
    let arch = target.arch;
    let (kernel, initrd) = if target.secure_boot {
        (format!("{target}-uki.efi"), String::new())
    } else {
        (format!("kernel-{arch}"), format!("initrd {images}/initramfs-{arch}.xz\n"))
    };
    format!("#!ipxe\n\nimgfree\nkernel {images}/{kernel} {cmdline}\n{initrd}boot\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_scripts() {
        let id = SchematicId::of(b"customization: {}\n");
        let version = TalosVersion::parse("1.5.0").unwrap();
        let of = |target, base: &str| script(base, &id, &version, &Target::parse(target).unwrap(), "a=b c");
        assert_eq!(
            of("metal-x86_64", "http://pxe.example/"),
            format!(
                "#!ipxe\n\nimgfree\n\
                 kernel http://pxe.example/image/{id}/v1.5.0/kernel-amd64 a=b c\n\
                 initrd http://pxe.example/image/{id}/v1.5.0/initramfs-amd64.xz\n\
                 boot\n"
            )
        );
        assert_eq!(
            of("packet-arm64-secureboot", "https://u:p@pxe.example"),
            format!(
                "#!ipxe\n\nimgfree\n\
                 kernel https://u:p@pxe.example/image/{id}/v1.5.0/packet-arm64-secureboot-uki.efi a=b c\n\
                 boot\n"
            )
        );
    }
}
