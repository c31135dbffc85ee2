//! Kernels of any bytes tell a release or are refused.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(release) = factory_formats::kernel::release(&mut Cursor::new(data)) {
        assert!(!release.is_empty() && release.len() <= 256 && !release.contains(['\0', ' ']));
    }
});
