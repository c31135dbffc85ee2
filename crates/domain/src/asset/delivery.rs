//! How a finished asset is handed over: media type and file name.

use std::fmt::Write as _;

/// The media type of an asset by the last extension of its path (`10-http-api.md` §5.3). The table is
/// ours alone, so that every host answers the same.
pub fn content_type(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "efi" => "application/efi",
        "iso" => "application/x-iso9660-image",
        "xz" => "application/x-xz",
        "gz" => "application/gzip",
        "zst" => "application/zstd",
        "tar" | "ova" => "application/x-tar",
        "qcow2" => "application/x-qemu-disk",
        "txt" => "text/plain; charset=utf-8",
        // Disks (`raw`, `vhd`), and files without an extension: kernel and command line.
        _ => "application/octet-stream",
    }
}

/// Longest file name that file systems take, in bytes.
const MAX_NAME: usize = 255;

/// The name under which a client shall keep an asset: `wanted` when the client asked for one, else the
/// path without its sidecar suffix. What could leave the download folder or break the header is taken
/// out: control characters, quotes, slashes, and dots at the start.
pub fn download_name(path: &str, wanted: Option<&str>) -> String {
    let wanted = wanted.map(clean).filter(|name| !name.is_empty());
    wanted.unwrap_or_else(|| clean(path))
}

fn clean(name: &str) -> String {
    let kept: String = name.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '/' | '\\')).collect();
    let mut kept = kept.trim_start_matches('.').trim().to_owned();
    while kept.len() > MAX_NAME {
        kept.pop();
    }
    kept
}

/// The value of `Content-Disposition` for a name from [`download_name`]. A name beyond ASCII is given
/// twice, once with `?` for old clients and once as RFC 8187 writes it (RFC 6266, 4.3).
pub fn content_disposition(name: &str) -> String {
    if name.is_ascii() {
        return format!("attachment; filename=\"{name}\"");
    }
    let plain: String = name.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
    let mut value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''");
    for byte in name.bytes() {
        // attr-char of RFC 8187, 3.2.1.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            value.push(char::from(byte));
        } else {
            let written = write!(value, "%{byte:02X}");
            debug_assert!(written.is_ok(), "writing to a string cannot fail");
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn media_types() {
        for (path, media_type) in [
            ("metal-amd64-uki.efi", "application/efi"),
            ("metal-amd64.iso", "application/x-iso9660-image"),
            ("initramfs-amd64.xz", "application/x-xz"),
            ("gcp-amd64.raw.tar.gz", "application/gzip"),
            ("metal-amd64.raw.zst", "application/zstd"),
            ("installer-amd64.tar", "application/x-tar"),
            ("vmware-amd64.ova", "application/x-tar"),
            ("oracle-amd64.qcow2", "application/x-qemu-disk"),
            ("metal-amd64.raw", "application/octet-stream"),
            ("azure-amd64.vhd", "application/octet-stream"),
            ("kernel-amd64", "application/octet-stream"),
            ("cmdline-metal-amd64", "application/octet-stream"),
        ] {
            assert_eq!(content_type(path), media_type, "{path}");
        }
    }

    #[test]
    fn names() {
        for (wanted, name) in [
            (None, "metal-amd64.iso"),
            (Some(""), "metal-amd64.iso"),
            (Some("my file.txt"), "my file.txt"),
            (Some("../../etc/\"passwd\"\r\nX: y"), "etcpasswdX: y"),
            (Some(".."), "metal-amd64.iso"),
            (Some("größe.iso"), "größe.iso"),
        ] {
            assert_eq!(download_name("metal-amd64.iso", wanted), name);
        }
        assert!(download_name("x", Some(&"é".repeat(500))).len() <= MAX_NAME);
    }

    #[test]
    fn dispositions() {
        assert_eq!(content_disposition("my file.txt"), "attachment; filename=\"my file.txt\"");
        assert_eq!(
            content_disposition("größe 1.iso"),
            "attachment; filename=\"gr??e 1.iso\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%201.iso"
        );
    }

    proptest! {
        #[test]
        fn no_name_breaks_the_header(path in ".{0,40}", wanted in ".{0,300}") {
            let value = content_disposition(&download_name(&path, Some(&wanted)));
            let name = value.strip_prefix("attachment; filename=\"").unwrap();
            let end = name.find('"').unwrap();
            prop_assert!(value.is_ascii() && !value.bytes().any(|b| b.is_ascii_control()));
            prop_assert!(!name[..end].contains(['/', '\\']));
        }
    }
}
