//! Answers and profiles of overlays are read or refused, whatever bytes they are.
#![no_main]

use factory_domain::overlay_program::OverlayOptions;
use factory_domain::profile::OverlayProfile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(options) = OverlayOptions::parse("board", data) {
        let total: usize = options.kernel_args.iter().map(String::len).sum();
        assert!(total <= 1 << 20, "{total} bytes out of {}", data.len());
    }
    let _ = OverlayProfile::parse("board", data);
});
