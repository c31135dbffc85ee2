//! Archives of any bytes are read or refused.
#![no_main]

use std::io::Read;

use factory_formats::cpio::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new(data);
    loop {
        loop {
            match reader.next_entry() {
                Ok(Some(mut entry)) => {
                    let mut content = Vec::new();
                    // Every other content is left unread, which must come to the same.
                    if entry.name.len() % 2 == 0 && entry.read_to_end(&mut content).is_ok() {
                        assert_eq!(content.len() as u64, entry.size);
                    }
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        if !matches!(reader.next_archive(), Ok(true)) {
            return;
        }
    }
});
