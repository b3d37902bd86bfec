//! Any bytes as a record of any resource manager and version: decoding and describing do not panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgwal::{Lsn, Record, Version};

fuzz_target!(|bytes: &[u8]| {
    for version in Version::ALL {
        if let Ok(record) = Record::decode(bytes, Lsn::new(0x100_0028), Lsn::new(0x100_0100), version, 8192) {
            let _ = record.identify();
            let _ = record.describe(&mut String::new());
        }
    }
});
