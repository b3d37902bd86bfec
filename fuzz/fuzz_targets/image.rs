//! Any bytes as a page image, compressed or not: no panic, and the page that comes out can be looked at.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgwal::{BlockNumber, HeapPage, Image, Version, VisibilityMapPage};

fuzz_target!(|input: (u16, u16, u8, Vec<u8>)| {
    let (hole_offset, hole_length, info, bytes) = input;
    let mut page = vec![0; 8192];
    for version in Version::ALL {
        if Image::new(&bytes, hole_offset, hole_length, info, version).restore(&mut page).is_err() {
            continue;
        }
        if let Ok(heap) = HeapPage::parse(&page) {
            for (_, item) in heap.items() {
                let _ = heap.tuple(&item);
            }
        }
        let _ = VisibilityMapPage::new(&page, BlockNumber::new(1)).set_bits().count();
    }
});
