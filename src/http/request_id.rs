//! Request ids.

use uuid::Uuid;

/// Longest request id that is taken over from a client.
const MAX_LEN: usize = 128;

/// The request id to use: the client's when it is short and printable, else a new one.
pub fn choose(given: Option<&[u8]>) -> String {
    match given {
        Some(id) if !id.is_empty() && id.len() <= MAX_LEN && id.iter().all(u8::is_ascii_graphic) => {
            String::from_utf8_lossy(id).into_owned()
        }
        _ => Uuid::new_v4().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_bounded_and_printable() {
        assert_eq!(choose(Some(b"check-17.a")), "check-17.a");
        for bad in [&b""[..], b"a b", b"\xff", b"a\nb", &[b'x'; 129]] {
            let id = choose(Some(bad));
            assert!(Uuid::parse_str(&id).is_ok(), "{id}");
        }
        assert_ne!(choose(None), choose(None));
    }
}
