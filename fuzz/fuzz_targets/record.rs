//! Any bytes as a record of each version: decoding does not panic, and its line can be told.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgwal::{Lsn, Record, TextBuffer, Version};

fuzz_target!(|bytes: &[u8]| {
    let mut text = TextBuffer::new();
    for version in Version::ALL {
        let Ok(record) = Record::decode(bytes, Lsn::new(0x100_0028), Lsn::new(0x100_0100), version, 8192) else {
            continue;
        };
        let held = record.blocks.iter().map(|block| block.data.len()).sum::<usize>() + record.main_data.len();
        assert!(held + record.image_len() as usize <= bytes.len(), "more came out than went in");
        let _ = record.identify();
        text.clear();
        record.append_line(&mut text);
        record.append_line_and_blocks(&mut text);
        // Each byte is told once at most, as a number of three digits or four more letters.
        assert!(text.len() < 4000 + 64 * bytes.len(), "{} bytes of text", text.len());
    }
});
