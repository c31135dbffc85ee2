//! The text `Linux version <release> (…)` in the bytes of a kernel.

use std::io::Read;

use super::KernelError;

const BANNER: &[u8] = b"Linux version ";
/// Longest release: what `uname` has room for.
const MAX_RELEASE: usize = 64;
/// Bytes that are looked at together.
const WINDOW: usize = 256 << 10;
/// Bytes of a kernel that are searched at most.
const MAX_KERNEL: u64 = 1 << 30;

/// Whether a text can be a release: digits first, nothing unusual after.
fn is_release(text: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b".-+_~".contains(&byte);
    text.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && text.len() <= MAX_RELEASE
        && text.bytes().all(is_usual)
}

/// The release in the first banner that has one; format strings like `Linux version %s` have none.
pub(super) fn find(kernel: &mut dyn Read) -> Result<String, KernelError> {
    // A banner may lie across two windows, so the end of each is kept.
    let keep = BANNER.len() + MAX_RELEASE + 1;
    let mut window: Vec<u8> = Vec::with_capacity(WINDOW + keep);
    let mut left = MAX_KERNEL;
    while left > 0 {
        let had = window.len();
        let read = kernel.take(left.min(WINDOW as u64)).read_to_end(&mut window);
        let n = (window.len() - had) as u64;
        // First what came: the end of a payload may be damaged, or padded, behind the banner.
        if let Some(release) = search(&window) {
            return Ok(release);
        }
        read?;
        if n == 0 {
            break;
        }
        left -= n;
        window.drain(..window.len().saturating_sub(keep));
    }
    Err(KernelError::NoRelease)
}

fn search(window: &[u8]) -> Option<String> {
    let mut rest = window;
    while let Some(at) = position(rest, BANNER) {
        rest = rest.get(at + BANNER.len()..)?;
        let end = rest.iter().take(MAX_RELEASE + 1).position(|&byte| byte == b' ' || byte == 0);
        let text = end.and_then(|end| std::str::from_utf8(rest.get(..end)?).ok());
        if let Some(release) = text.filter(|text| is_release(text)) {
            return Some(release.to_owned());
        }
    }
    None
}

/// Where `needle` begins.
fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let (&first, _) = needle.split_first()?;
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|&byte| byte == first)?;
        if bytes.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}
