//! The reader against logs written here by the rules of `src/backend/access/transam/xlog.c`: `CopyXLogRecordToWAL`.

use super::*;
use crate::ids::{BlockNumber, Fork, RelFileLocator, TransactionId};
use crate::record::{Block, BlockFlags};
use proptest::prelude::*;

const SEGMENT: u32 = 1024 * 1024;
const PAGE: usize = 8192;
const START: u64 = 3 * SEGMENT as u64;

/// Writes a log from the beginning of a segment on.
struct Writer {
    bytes: Vec<u8>,
    previous: u64,
    ends: Vec<(Lsn, Vec<u8>)>,
    /// Length of the log behind each record, without padding.
    stops: Vec<usize>,
}

impl Writer {
    fn new() -> Self {
        Self { bytes: Vec::new(), previous: START - 100, ends: Vec::new(), stops: Vec::new() }
    }

    fn position(&self) -> u64 {
        START + self.bytes.len() as u64
    }

    fn page_header(&mut self, flags: u16, remaining: u32) {
        let address = self.position();
        let long = address.is_multiple_of(u64::from(SEGMENT));
        self.bytes.extend(Version::V15.page_magic().to_le_bytes());
        self.bytes.extend((flags | if long { 2 } else { 0 }).to_le_bytes());
        self.bytes.extend(1u32.to_le_bytes());
        self.bytes.extend(address.to_le_bytes());
        self.bytes.extend(remaining.to_le_bytes());
        self.bytes.extend([0; 4]);
        if long {
            self.bytes.extend(77u64.to_le_bytes());
            self.bytes.extend(SEGMENT.to_le_bytes());
            self.bytes.extend((PAGE as u32).to_le_bytes());
        }
    }

    fn record(&mut self, main: &[u8]) {
        if self.bytes.len().is_multiple_of(PAGE) {
            self.page_header(0, 0);
        }
        let start = self.position();
        let record = encode(main, self.previous, RmgrId::CLOG, 0);
        let mut rest = &record[..];
        while !rest.is_empty() {
            if self.bytes.len().is_multiple_of(PAGE) {
                self.page_header(1, rest.len() as u32);
            }
            let room = PAGE - self.bytes.len() % PAGE;
            let (here, later) = rest.split_at(room.min(rest.len()));
            self.bytes.extend(here);
            rest = later;
        }
        self.stops.push(self.bytes.len());
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        self.previous = start;
        self.ends.push((Lsn::new(start), main.to_vec()));
    }
}

fn encode(main: &[u8], previous: u64, rmgr: RmgrId, info: u8) -> Vec<u8> {
    let mut body = vec![254];
    body.extend((main.len() as u32).to_le_bytes());
    body.extend(main);
    let mut header = ((24 + body.len()) as u32).to_le_bytes().to_vec();
    header.extend(9u32.to_le_bytes());
    header.extend(previous.to_le_bytes());
    header.extend([info, rmgr.get(), 0, 0]);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&body), &header);
    header.extend(crc.to_le_bytes());
    header.extend(body);
    header
}

fn options() -> ReaderOptions {
    ReaderOptions { segment_size: SEGMENT, ..ReaderOptions::default() }
}

/// Reads all, giving `chunk` bytes more each time it is asked for.
/// By both ways, which must come to the same.
fn read_all(log: &[u8], reader: Reader, chunk: usize) -> (Vec<(Lsn, Vec<u8>)>, Option<ReadError>) {
    let found = visit_all(log, reader.clone(), chunk, usize::MAX);
    assert_eq!(visit_all(log, reader.clone(), chunk, 3), found);
    let read = read_one_by_one(log, reader, chunk);
    assert_eq!(found, read);
    read
}

/// By [`Reader::for_each`], broken off after so many records and begun again with one that was located meanwhile.
fn visit_all(log: &[u8], mut reader: Reader, chunk: usize, pause: usize) -> (Vec<(Lsn, Vec<u8>)>, Option<ReadError>) {
    let mut records = Vec::new();
    let (mut given, mut first) = (0, None);
    loop {
        let from = first.as_ref().map_or(reader.position(), |first: &Located| first.from);
        let from = (from.get() - START) as usize;
        let to = given.max(from).min(log.len());
        let mut left = pause;
        let outcome =
            reader.for_each(first.take(), log.get(from..to).unwrap_or_default(), &mut |record: &RawRecord<'_>| {
                let record = record.decode().unwrap();
                records.push((record.lsn, record.main_data.to_vec()));
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        match outcome {
            Ok(ControlFlow::Break(())) => {
                let from = (reader.position().get() - START) as usize;
                // What is wrong is said again.
                first = reader.locate(log.get(from..to).unwrap_or_default()).unwrap_or_default();
            }
            Ok(ControlFlow::Continue(())) if given >= log.len() => return (records, None),
            Ok(ControlFlow::Continue(())) => given = to + chunk,
            Err(error) => return (records, Some(error)),
        }
    }
}

fn read_one_by_one(log: &[u8], mut reader: Reader, chunk: usize) -> (Vec<(Lsn, Vec<u8>)>, Option<ReadError>) {
    let mut records = Vec::new();
    let mut given = 0;
    loop {
        let from = (reader.position().get() - START) as usize;
        let to = given.max(from).min(log.len());
        match reader.read(log.get(from..to).unwrap_or_default()) {
            Ok(Some(record)) => {
                assert_eq!(record.xid, TransactionId::new(9));
                records.push((record.lsn, record.main_data.to_vec()));
            }
            Ok(None) if given >= log.len() => return (records, None),
            Ok(None) => given = to + chunk,
            Err(error) => return (records, Some(error)),
        }
    }
}

fn sample() -> Writer {
    let mut writer = Writer::new();
    for length in [10, 8100, 40, 0, 30_000, 3, 8152 - 24 - 5, 100, 8168, 7] {
        writer.record(&vec![length as u8; length]);
    }
    writer
}

#[test]
fn records_that_cross_pages_come_out_whole() {
    let writer = sample();
    let (records, error) = read_all(&writer.bytes, Reader::begin(Lsn::new(START), options()), PAGE);
    assert_eq!(error, None);
    assert_eq!(records, writer.ends);
}

#[test]
fn seeking_finds_the_first_record_at_or_behind_the_position() {
    let writer = sample();
    for (number, (lsn, _)) in writer.ends.iter().enumerate() {
        for offset in [0, 1] {
            let (records, error) = read_all(&writer.bytes, Reader::seek(lsn.advanced(offset), options()), 100_000);
            assert_eq!(error, None);
            assert_eq!(records, writer.ends[number + offset as usize..], "from record {number} + {offset}");
        }
    }
}

#[test]
fn the_log_ends_where_zeroes_begin() {
    let mut writer = sample();
    let end = writer.position();
    writer.bytes.resize(writer.bytes.len().next_multiple_of(PAGE) + PAGE, 0);
    let (records, error) = read_all(&writer.bytes, Reader::begin(Lsn::new(START), options()), PAGE);
    assert_eq!(records.len(), writer.ends.len());
    let error = error.unwrap();
    assert!(error.is_end_of_wal());
    assert_eq!((error.lsn.get(), error.kind), (end, ReadErrorKind::RecordLength(0)));
}

#[test]
fn a_recycled_segment_ends_the_log() {
    let mut writer = Writer::new();
    writer.record(&[1; 8192 - 40 - 24 - 5]);
    // What was here before the segment was renamed: a page with a lower address.
    let mut stale = writer.bytes.clone();
    stale[8..16].copy_from_slice(&(START - u64::from(SEGMENT)).to_le_bytes());
    writer.bytes.extend(stale);
    let (records, error) = read_all(&writer.bytes, Reader::begin(Lsn::new(START), options()), PAGE);
    assert_eq!(records.len(), 1);
    assert!(error.unwrap().is_end_of_wal());
}

#[test]
fn a_record_given_up_in_its_middle_is_left_out() {
    let mut writer = Writer::new();
    writer.record(&[1; 100]);
    writer.record(&[2; 20_000]);
    let (given_up, _) = writer.ends.pop().unwrap();
    // The crash left the first page; what follows was written after recovery.
    writer.bytes.truncate(PAGE);
    writer.previous = writer.ends[0].0.get();
    writer.page_header(8, 0);
    writer.record(&[3; 50]);
    let mut reader = Reader::begin(Lsn::new(START), options());
    let (log, mut records) = (writer.bytes.clone(), Vec::new());
    while let Some(record) = {
        let from = (reader.position().get() - START) as usize;
        reader.read(&log[from..]).unwrap()
    } {
        records.push((record.lsn, record.main_data.to_vec()));
    }
    assert_eq!(records, writer.ends);
    assert_eq!(reader.overwritten(), Some(given_up));
}

#[test]
fn a_switch_ends_the_segment() {
    let mut writer = Writer::new();
    writer.record(&[1; 10]);
    let switch = encode(&[], writer.previous, RmgrId::XLOG, rmgr::xlog::SWITCH);
    let start = writer.position();
    writer.bytes.extend(switch);
    writer.bytes.resize(SEGMENT as usize, 0);
    writer.previous = start;
    writer.record(&[2; 10]);
    let (records, error) = read_all(&writer.bytes, Reader::begin(Lsn::new(START), options()), SEGMENT as usize);
    assert_eq!(error, None);
    assert_eq!(records.len(), 3);
    assert_eq!(records[2].0.get(), START + u64::from(SEGMENT) + 40);
}

#[test]
fn what_was_not_there_yet_is_read_when_it_is() {
    let writer = sample();
    let mut torn = writer.bytes.clone();
    let second = (writer.ends[1].0.get() - START) as usize;
    torn[second + 60] ^= 1;
    let mut reader = Reader::begin(Lsn::new(START), options());
    let from = |reader: &Reader| (reader.position().get() - START) as usize;
    assert!(matches!(reader.read(&torn), Ok(Some(_))));
    let position = from(&reader);
    let error = reader.read(&torn[position..]).unwrap_err();
    assert!(matches!(error.kind, ReadErrorKind::Checksum { .. }));
    let (records, error) = read_all(&writer.bytes, reader, PAGE);
    assert_eq!((records, error), (writer.ends[1..].to_vec(), None));
}

#[test]
fn a_wrong_checksum_names_the_record() {
    let mut writer = sample();
    let third = writer.ends[2].0;
    let offset = (third.get() - START) as usize + 30;
    writer.bytes[offset] ^= 4;
    let (records, error) = read_all(&writer.bytes, Reader::begin(Lsn::new(START), options()), PAGE);
    assert_eq!(records.len(), 2);
    let error = error.unwrap();
    assert_eq!(error.lsn, third);
    assert!(matches!(error.kind, ReadErrorKind::Checksum { .. }) && !error.is_end_of_wal());
}

#[test]
fn the_first_record_s_prev_link_leads_back_in_whatever_pieces_it_comes() {
    for (previous, is_right) in [(START - 100, true), (u64::MAX, false), (START + 40, false)] {
        let mut writer = Writer::new();
        writer.previous = previous;
        writer.record(&[1; 10]);
        for chunk in [1, PAGE] {
            let (records, error) = read_all(&writer.bytes, Reader::begin(Lsn::new(START), options()), chunk);
            assert_eq!((records.len(), error.is_none()), (usize::from(is_right), is_right), "in pieces of {chunk}");
        }
    }
}

proptest! {
    #[test]
    fn any_records_in_any_pieces(lengths in proptest::collection::vec(0usize..20_000, 1..20), chunk in 1usize..30_000) {
        let mut writer = Writer::new();
        for length in lengths {
            writer.record(&vec![length as u8; length]);
        }
        let (records, error) = read_all(&writer.bytes, Reader::begin(Lsn::new(START), options()), chunk);
        prop_assert_eq!(error, None);
        prop_assert_eq!(records, writer.ends);
    }

    #[test]
    fn a_flipped_byte_never_gives_a_wrong_record(at in 0usize..60_000, bit in 0u8..8) {
        let mut writer = sample();
        let at = at % writer.bytes.len();
        writer.bytes[at] ^= 1 << bit;
        let (records, _) = read_all(&writer.bytes, Reader::begin(Lsn::new(START), options()), PAGE);
        prop_assert_eq!(&records[..], &writer.ends[..records.len()]);
    }

    #[test]
    fn a_log_cut_off_anywhere_is_read_up_to_there(at in 0usize..60_000) {
        let mut writer = sample();
        let at = at % writer.bytes.len();
        writer.bytes.truncate(at);
        let (records, error) = read_all(&writer.bytes, Reader::begin(Lsn::new(START), options()), PAGE);
        prop_assert_eq!(error, None);
        prop_assert_eq!(&records[..], &writer.ends[..records.len()]);
        prop_assert!(writer.stops[records.len()..].iter().all(|stop| *stop > at));
    }

    #[test]
    fn no_record_makes_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for version in Version::ALL {
            if let Ok(record) = Record::decode(&bytes, Lsn::new(8), Lsn::new(16), version, 8192) {
                let _ = record.describe(&mut String::new());
            }
        }
    }

    #[test]
    fn no_content_makes_describing_panic(
        main in proptest::collection::vec(any::<u8>(), 0..200),
        block in proptest::collection::vec(any::<u8>(), 0..200),
        rmgr in prop_oneof![0u8..22, any::<u8>()],
        info: u8,
    ) {
        let bytes = encode(&main, 0, RmgrId::new(rmgr), info);
        let relation = RelFileLocator::new(1663, 5, 16384);
        let (fork, number) = (Fork::MAIN, BlockNumber::new(7));
        let block = Block { id: 0, flags: BlockFlags::HAS_DATA, relation, fork, number, data: &block, image: None };
        for version in Version::ALL {
            let mut record = Record::decode(&bytes, Lsn::new(8), Lsn::new(16), version, 8192).unwrap();
            let _ = record.describe(&mut String::new());
            record.blocks.push(block);
            let _ = record.describe(&mut String::new());
        }
    }
}
