//! Any bytes as a log: no panic, no endless loop, and every record takes room.
//!
//! The page headers are made right but for their flags and the length of what goes on: else nothing would get past
//! them. Checksums are not verified, for the same reason, unless the input says so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgwal::{Lsn, Reader, ReaderOptions, Version};

const START: u64 = 16 * 1024 * 1024;
const PAGE: usize = 1024;

fn mend_page_headers(log: &mut [u8]) {
    for (number, page) in log.chunks_mut(PAGE).enumerate().filter(|(_, page)| page.len() >= 40) {
        let address = START + (number * PAGE) as u64;
        let long = if number == 0 { 2 } else { 0 };
        page[0..2].copy_from_slice(&Version::V15.page_magic().to_le_bytes());
        page[2] = page[2] & 0x0D | long;
        page[3] = 0;
        page[4..8].copy_from_slice(&1u32.to_le_bytes());
        page[8..16].copy_from_slice(&address.to_le_bytes());
        page[18..20].fill(0);
        if number == 0 {
            page[24..32].copy_from_slice(&7u64.to_le_bytes());
            page[32..36].copy_from_slice(&(16u32 << 20).to_le_bytes());
            page[36..40].copy_from_slice(&(PAGE as u32).to_le_bytes());
        }
    }
}

fuzz_target!(|input: (bool, bool, u8, Vec<u8>)| {
    let (seek, verify_checksums, offset, mut log) = input;
    mend_page_headers(&mut log);
    let options = ReaderOptions { verify_checksums, block_size: PAGE as u32, ..ReaderOptions::default() };
    let start = Lsn::new(START + u64::from(offset) * 8);
    let mut reader = if seek { Reader::seek(start, options) } else { Reader::begin(start, options) };
    loop {
        let position = reader.position();
        let from = usize::try_from(position.since(Lsn::new(START))).unwrap_or(usize::MAX);
        match reader.read(log.get(from..).unwrap_or_default()) {
            Ok(Some(record)) => {
                assert!(record.lsn < record.end, "a record takes room");
                let _ = record.describe(&mut String::new());
            }
            Ok(None) | Err(_) => break,
        }
        assert!(reader.position() > position, "the reader goes on");
    }
});
