//! Any bytes as a log: no panic, no endless loop, and the same records however the log is asked for and whatever
//! pieces it comes in.
//!
//! The page headers are made right but for their flags and the length of what goes on, unless the input says so: else
//! hardly anything would get past them. Checksums are verified only if the input says so, for the same reason.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use pgwal::{LongPageHeader, Lsn, PageHeader, RawRecord, ReadError, Reader, ReaderOptions, Version};

/// Of the smallest segments that PostgreSQL allows, so that two of them fit into an input now and then.
const SEGMENT_SIZE: u32 = 1024 * 1024;

/// What a record is: where it begins and ends, and its bytes.
type Found = (Lsn, Lsn, Vec<u8>);

struct Log {
    begin: Lsn,
    bytes: Vec<u8>,
}

impl Log {
    /// The log begins where its first page says so.
    fn new(mut bytes: Vec<u8>, version: Version, mend: bool, page_size: u32) -> Self {
        let begin = PageHeader::parse(&bytes).map_or(Lsn::new(0), |header| header.address);
        let begin = begin.floor(page_size);
        if mend {
            mend_page_headers(&mut bytes, begin, version, page_size);
        }
        Self { begin, bytes }
    }

    /// From the reader's position on, as far as it is `given`.
    fn unread(&self, reader: &Reader, given: usize) -> &[u8] {
        let from = usize::try_from(reader.position().since(self.begin)).unwrap_or(usize::MAX);
        self.bytes.get(from..given.max(from).min(self.bytes.len())).unwrap_or_default()
    }

    /// Record by record, `chunk` more bytes each time that they do not suffice.
    fn locate_all(&self, mut reader: Reader, chunk: usize) -> (Vec<Found>, Option<ReadError>) {
        let (mut records, mut given) = (Vec::new(), 0usize);
        loop {
            let position = reader.position();
            let input = self.unread(&reader, given);
            match reader.locate(input) {
                Ok(Some(located)) => self.take(&reader.raw(&located, input), &mut records),
                Ok(None) if given >= self.bytes.len() => return (records, None),
                Ok(None) => given = given.saturating_add(chunk),
                Err(error) => return (records, Some(error)),
            }
            assert!(reader.position() >= position, "the reader goes back");
        }
    }

    /// The same by [`Reader::for_each`].
    fn for_each(&self, mut reader: Reader, chunk: usize) -> (Vec<Found>, Option<ReadError>) {
        let (mut records, mut given) = (Vec::new(), 0usize);
        loop {
            let input = self.unread(&reader, given);
            let outcome = reader.for_each(None, input, &mut |record: &RawRecord<'_>| {
                self.take(record, &mut records);
                ControlFlow::Continue(())
            });
            match outcome {
                Ok(_) if given >= self.bytes.len() => return (records, None),
                Ok(_) => given = given.saturating_add(chunk),
                Err(error) => return (records, Some(error)),
            }
        }
    }

    fn take(&self, record: &RawRecord<'_>, records: &mut Vec<Found>) {
        assert!(record.lsn < record.end, "a record takes room");
        let behind = records.last().map_or(self.begin, |(_, end, _)| *end);
        assert!(record.lsn >= behind, "records do not overlap");
        assert!(record.bytes().len() <= self.bytes.len(), "a record is part of the log");
        if let Ok(decoded) = record.decode() {
            assert_eq!(record.image_len(), Ok(decoded.image_len()), "images are counted alike");
        }
        records.push((record.lsn, record.end, record.bytes().to_vec()));
    }
}

fn mend_page_headers(log: &mut [u8], begin: Lsn, version: Version, page_size: u32) {
    for (number, page) in log.chunks_mut(page_size as usize).enumerate() {
        let address = begin.get().wrapping_add(number as u64 * u64::from(page_size));
        let long = address.is_multiple_of(u64::from(SEGMENT_SIZE));
        let size = if long { LongPageHeader::SIZE } else { PageHeader::SIZE };
        if page.len() < size {
            continue;
        }
        page[0..2].copy_from_slice(&version.page_magic().to_le_bytes());
        page[2] = page[2] & 0x0D | if long { 2 } else { 0 };
        page[3] = 0;
        page[4..8].copy_from_slice(&1u32.to_le_bytes());
        page[8..16].copy_from_slice(&address.to_le_bytes());
        if long {
            page[24..32].copy_from_slice(&7u64.to_le_bytes());
            page[32..36].copy_from_slice(&SEGMENT_SIZE.to_le_bytes());
            page[36..40].copy_from_slice(&page_size.to_le_bytes());
        }
    }
}

// The first bytes: switches, where to begin, version, size of the pieces. `cargo xtask soak` makes seeds of this form.
fuzz_target!(|input: &[u8]| {
    let Some(([switches, offset, version, low, high], log)) = input.split_first_chunk::<5>() else { return };
    let is_on = |switch: u8| switches & switch != 0;
    let version = Version::ALL[usize::from(*version) % Version::ALL.len()];
    let options = ReaderOptions {
        segment_size: SEGMENT_SIZE,
        block_size: if is_on(4) { 8192 } else { 1024 },
        verify_checksums: is_on(2),
        ..ReaderOptions::default()
    };
    let log = Log::new(log.to_vec(), version, !is_on(8), options.block_size);
    let start = log.begin.advanced(u64::from(*offset) * 8);
    let reader = || if is_on(1) { Reader::seek(start, options) } else { Reader::begin(start, options) };
    let chunk = usize::from(u16::from_le_bytes([*low, *high])) + 1;

    let expected = log.locate_all(reader(), usize::MAX);
    let length: usize = expected.0.iter().map(|(_, _, bytes)| bytes.len()).sum();
    assert!(length <= log.bytes.len(), "more came out than went in");
    assert_eq!(log.locate_all(reader(), chunk), expected, "in pieces of {chunk}");
    assert_eq!(log.for_each(reader(), usize::MAX), expected, "for each");
    assert_eq!(log.for_each(reader(), chunk), expected, "for each, in pieces of {chunk}");
});
