//! Any bytes as a page image, compressed or not: no panic, and the page that comes out can be looked at.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgwal::{BlockNumber, HeapPage, Image, Version, VisibilityMapPage};

// The first bytes are the image's header, as in a record: where the hole begins, its length, flags.
fuzz_target!(|input: &[u8]| {
    let Some(([offset_low, offset_high, length_low, length_high, info], bytes)) = input.split_first_chunk::<5>() else {
        return;
    };
    let hole_offset = u16::from_le_bytes([*offset_low, *offset_high]);
    let hole_length = u16::from_le_bytes([*length_low, *length_high]);
    let mut page = vec![0; 8192];
    // The bits of the header changed with 15.
    for version in [Version::V14, Version::V15] {
        page.fill(0xEE);
        if Image::new(bytes, hole_offset, hole_length, *info, version).restore(&mut page).is_err() {
            continue;
        }
        let hole = usize::from(hole_offset)..usize::from(hole_offset) + usize::from(hole_length);
        assert!(page[hole].iter().all(|byte| *byte == 0), "a hole is empty");
        if let Ok(heap) = HeapPage::parse(&page) {
            for (_, item) in heap.items() {
                let _ = heap.tuple(&item);
            }
        }
        let _ = VisibilityMapPage::new(&page, BlockNumber::new(1)).set_bits().count();
    }
});
