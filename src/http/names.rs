//! Names that come from clients and go into headers and logs.

use uuid::Uuid;

/// Longest request id that is taken over from a client.
const MAX_REQUEST_ID: usize = 128;

/// The request id to use: the client's when it is short and printable, else a new one.
pub fn request_id(given: Option<&[u8]>) -> String {
    match given {
        Some(id) if !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.iter().all(u8::is_ascii_graphic) => {
            String::from_utf8_lossy(id).into_owned()
        }
        _ => Uuid::new_v4().to_string(),
    }
}

/// Longest file name offered to a browser, in bytes.
const MAX_FILE_NAME: usize = 255;

/// `Content-Disposition` (RFC 6266) that saves as `name`. Path separators, control characters and quotes are
/// replaced, so nothing can break out of the header or the download folder.
pub fn attachment(name: &str) -> String {
    let mut safe = String::new();
    for c in name.chars() {
        let c = if c.is_control() || matches!(c, '/' | '\\' | '"' | ':') { '_' } else { c };
        if safe.len() + c.len_utf8() > MAX_FILE_NAME {
            break;
        }
        safe.push(c);
    }
    // A name of dots alone is a directory.
    if safe.chars().all(|c| c == '.') {
        safe = "download".to_owned();
    }
    if safe.is_ascii() {
        return format!("attachment; filename=\"{safe}\"");
    }
    let plain: String = safe.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let mut encoded = String::new();
    for byte in safe.bytes() {
        // attr-char of RFC 5987, section 3.2.1
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_bounded_and_printable() {
        assert_eq!(request_id(Some(b"check-17.a")), "check-17.a");
        for bad in [&b""[..], b"a b", b"\xff", b"a\nb", &[b'x'; 129]] {
            let id = request_id(Some(bad));
            assert!(Uuid::parse_str(&id).is_ok(), "{id}");
        }
        assert_ne!(request_id(None), request_id(None));
    }

    #[test]
    fn names_cannot_break_out() {
        assert_eq!(attachment("custom-name.bin"), "attachment; filename=\"custom-name.bin\"");
        assert_eq!(attachment("my file.txt"), "attachment; filename=\"my file.txt\"");
        assert_eq!(attachment("a\"; filename=\"b.exe"), "attachment; filename=\"a_; filename=_b.exe\"");
        assert_eq!(attachment("../../etc/passwd"), "attachment; filename=\".._.._etc_passwd\"");
        assert_eq!(attachment("a\r\nX-Injected: 1\0"), "attachment; filename=\"a__X-Injected_ 1_\"");
        assert_eq!(attachment(".."), "attachment; filename=\"download\"");
        assert_eq!(
            attachment("Größe.iso"),
            "attachment; filename=\"Gr__e.iso\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.iso"
        );
        assert!(attachment(&"é".repeat(400)).len() < 1200);
    }
}
