//! A source over files that change while they are read. The log is made of pages that hold nothing but the beginnings
//! and ends of records; what servers write is read in `testing/tests`.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::thread;

use super::*;

const SEGMENT_SIZE: u32 = 1024 * 1024;
const PAGE_SIZE: u32 = 8192;
const SYSTEM_IDENTIFIER: u64 = 7;

/// Writes `count` segments from the second of timeline 1 on. Each page but its header is one record, of the resource
/// manager XLOG, that does nothing (`XLOG_NOOP`).
fn write_log(directory: &Path, count: u64) {
    for number in 1..=count {
        let name = SegmentName::new(TimelineId::new(1), SegmentNo::new(number), SEGMENT_SIZE);
        fs::write(directory.join(name.to_string()), segment(number)).unwrap();
    }
}

fn segment(number: u64) -> Vec<u8> {
    let first = number * u64::from(SEGMENT_SIZE);
    (0..SEGMENT_SIZE / PAGE_SIZE).flat_map(|page| self::page(first + u64::from(page * PAGE_SIZE), 1)).collect()
}

fn header_size(address: u64) -> u64 {
    if address.is_multiple_of(u64::from(SEGMENT_SIZE)) { 40 } else { 24 }
}

fn page(address: u64, timeline: u32) -> Vec<u8> {
    let long = header_size(address) == 40;
    let mut page = Vec::new();
    page.extend(0xD110_u16.to_le_bytes());
    page.extend(if long { 2u16 } else { 0 }.to_le_bytes());
    page.extend(timeline.to_le_bytes());
    page.extend(address.to_le_bytes());
    page.extend([0; 8]);
    if long {
        page.extend(SYSTEM_IDENTIFIER.to_le_bytes());
        page.extend(SEGMENT_SIZE.to_le_bytes());
        page.extend(PAGE_SIZE.to_le_bytes());
    }
    let before = address - u64::from(PAGE_SIZE);
    page.extend(record(PAGE_SIZE - page.len() as u32, before + header_size(before)));
    page
}

/// A record of that length whose data is all sevens.
fn record(length: u32, previous: u64) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(length.to_le_bytes());
    header.extend(0u32.to_le_bytes());
    header.extend(previous.to_le_bytes());
    header.extend([0x20, 0, 0, 0]);
    // A block of data without blocks (`XLR_BLOCK_ID_DATA_LONG`).
    let mut body = vec![0xFE];
    body.extend((length - 24 - 5).to_le_bytes());
    body.resize(length as usize - 24, 7);
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&body), &header);
    header.extend(checksum.to_le_bytes());
    header.extend(body);
    header
}

fn source(directory: &Path) -> FileSource {
    FileSource::new(&WalDirectory::open(directory, None).unwrap(), FileSourceOptions::default())
}

/// Reads to the end; returns how many records there were, each of which must be right.
fn count(source: &mut FileSource) -> Result<u64, SourceError> {
    let mut count = 0;
    let check = |record: &Record<'_>| assert!(record.main_data.iter().all(|byte| *byte == 7), "{}", record.lsn);
    while source.next_record(check)?.is_some() {
        count += 1;
    }
    Ok(count)
}

const RECORDS: u64 = (SEGMENT_SIZE / PAGE_SIZE) as u64;

fn cut(directory: &Path, number: u64, length: u64) -> PathBuf {
    let path = directory.join(SegmentName::new(TimelineId::new(1), SegmentNo::new(number), SEGMENT_SIZE).to_string());
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
    path
}

fn is_mapped(source: &FileSource) -> bool {
    source.segment.as_ref().is_some_and(|segment| segment.bytes.is_mapped())
}

#[test]
fn a_source_can_be_given_to_a_thread() {
    fn is_send<T: Send>() {}
    is_send::<FileSource>();
    is_send::<WalDirectory>();
}

#[test]
fn all_is_read_mapped_or_not() {
    let directory = tempfile::tempdir().unwrap();
    write_log(directory.path(), 3);
    for memory_map in [true, false] {
        let options = FileSourceOptions { memory_map, ..Default::default() };
        let mut source = FileSource::new(&WalDirectory::open(directory.path(), None).unwrap(), options);
        assert!(source.next_record(|_| ()).unwrap().is_some());
        assert_eq!(is_mapped(&source), memory_map);
        assert_eq!(count(&mut source).unwrap(), 3 * RECORDS - 1);
        // The newest may be written by somebody.
        assert!(!is_mapped(&source));
    }
}

#[test]
fn a_file_that_shrinks_gives_an_error() {
    // In the middle of a page of memory, between two pages of the log, and all of it.
    for length in [100_000, u64::from(PAGE_SIZE) * 5, 0] {
        let directory = tempfile::tempdir().unwrap();
        write_log(directory.path(), 2);
        let mut source = source(directory.path());
        for _ in 0..3 {
            assert!(source.next_record(|_| ()).unwrap().is_some());
        }
        assert!(is_mapped(&source));
        let path = cut(directory.path(), 1, length);
        let error = count(&mut source).unwrap_err();
        assert_eq!(error.to_string(), format!("\"{}\" shrank while it was read", path.display()));
    }
}

#[test]
fn a_file_that_shrinks_gives_an_error_in_each_thread() {
    let directory = tempfile::tempdir().unwrap();
    write_log(directory.path(), 2);
    let wal_directory = WalDirectory::open(directory.path(), None).unwrap();
    let mut sources = [0, 1].map(|_| FileSource::new(&wal_directory, FileSourceOptions::default()));
    for source in &mut sources {
        assert!(source.next_record(|_| ()).unwrap().is_some());
        assert!(is_mapped(source));
    }
    cut(directory.path(), 1, 3 * u64::from(PAGE_SIZE));
    let threads = sources.map(|mut source| thread::spawn(move || count(&mut source)));
    for thread in threads {
        assert!(matches!(thread.join().unwrap(), Err(SourceError::Shrank(_))));
    }
}

#[test]
fn each_part_of_a_log_can_have_its_own_source() {
    let directory = tempfile::tempdir().unwrap();
    write_log(directory.path(), 4);
    let wal_directory = WalDirectory::open(directory.path(), None).unwrap();
    assert_eq!(wal_directory.start(), Lsn::new(0x10_0000));
    assert_eq!(wal_directory.end(), Lsn::new(0x50_0000));
    let starts: Vec<_> = (1..=4).map(|number| Lsn::new(number * u64::from(SEGMENT_SIZE))).collect();
    let threads = starts.into_iter().map(|start| {
        let options = FileSourceOptions { start: Some(start), ..Default::default() };
        let mut source = FileSource::new(&wal_directory, options);
        thread::spawn(move || {
            let (mut records, mut bytes) = (0, 0);
            while source.position() < start.advanced(u64::from(SEGMENT_SIZE)) {
                let Some(record) = source.next_raw_record().unwrap() else { break };
                (records, bytes) = (records + 1, bytes + record.header.total_len);
            }
            (records, bytes)
        })
    });
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap().0, RECORDS);
    }
}

#[test]
fn a_source_goes_on_in_segments_that_come_later() {
    let directory = tempfile::tempdir().unwrap();
    write_log(directory.path(), 1);
    let mut source = source(directory.path());
    assert_eq!(count(&mut source).unwrap(), RECORDS);
    assert_eq!(count(&mut source).unwrap(), 0);
    write_log(directory.path(), 3);
    assert_eq!(count(&mut source).unwrap(), 2 * RECORDS);
}

#[test]
fn a_source_follows_a_server_to_its_new_timeline() {
    let directory = tempfile::tempdir().unwrap();
    let (first, switch) = (u64::from(SEGMENT_SIZE), u64::from(SEGMENT_SIZE + 10 * PAGE_SIZE));
    let mut content = segment(1);
    content[10 * PAGE_SIZE as usize..].fill(0);
    fs::write(directory.path().join("000000010000000000000001"), &content).unwrap();
    let mut source = source(directory.path());
    assert_eq!(count(&mut source).unwrap(), 10);

    fs::write(directory.path().join("00000002.history"), format!("1\t{}\tpromoted\n", Lsn::new(switch))).unwrap();
    content.truncate(10 * PAGE_SIZE as usize);
    content.extend((0..5).flat_map(|number| page(switch + number * u64::from(PAGE_SIZE), 2)));
    content.resize(SEGMENT_SIZE as usize, 0);
    fs::write(directory.path().join("000000020000000000000001"), &content).unwrap();
    assert_eq!(count(&mut source).unwrap(), 5);
    assert_eq!(source.reader().timeline(), Some(TimelineId::new(2)));
    assert_eq!(source.position(), Lsn::new(first + 15 * u64::from(PAGE_SIZE)));

    // The old timeline went on elsewhere: what it has behind the switch point is another log.
    write_log(directory.path(), 2);
    let whole = count(&mut self::source(directory.path())).unwrap();
    assert_eq!(whole, 15);
    let old = WalDirectory::open(directory.path(), Some(TimelineId::new(1))).unwrap();
    assert_eq!(count(&mut FileSource::new(&old, FileSourceOptions::default())).unwrap(), 2 * RECORDS);
}

#[test]
fn what_was_peeked_is_the_next_record() {
    let directory = tempfile::tempdir().unwrap();
    write_log(directory.path(), 1);
    let mut source = source(directory.path());
    let first = Lsn::new(u64::from(SEGMENT_SIZE) + 40);
    assert_eq!(source.peek().unwrap(), Some(first));
    assert_eq!(source.peek().unwrap(), Some(first));
    assert_eq!(source.position(), first);
    assert_eq!(source.next_record(|record| record.lsn).unwrap().unwrap(), first);
    assert_eq!(count(&mut source).unwrap(), RECORDS - 1);
    assert_eq!(source.peek().unwrap(), None);
}

#[test]
fn a_segment_that_was_archived_meanwhile_is_found_again() {
    let directory = tempfile::tempdir().unwrap();
    write_log(directory.path(), 2);
    let mut source = source(directory.path());
    assert!(source.next_record(|_| ()).unwrap().is_some());
    let plain = directory.path().join("000000010000000000000002");
    let compressed = zstd::encode_all(fs::read(&plain).unwrap().as_slice(), 1).unwrap();
    fs::write(directory.path().join("000000010000000000000002.zst"), compressed).unwrap();
    fs::remove_file(plain).unwrap();
    assert_eq!(count(&mut source).unwrap(), 2 * RECORDS - 1);
}

#[test]
fn a_segment_that_was_removed_meanwhile_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    write_log(directory.path(), 3);
    let mut source = source(directory.path());
    assert!(source.next_record(|_| ()).unwrap().is_some());
    fs::remove_file(directory.path().join("000000010000000000000002")).unwrap();
    let error = count(&mut source).unwrap_err();
    assert!(error.to_string().starts_with("could not find WAL segment 000000010000000000000002 in"), "{error}");
}

#[test]
fn what_was_lost_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    write_log(directory.path(), 3);
    let path = directory.path().join("000000010000000000000002");
    let mut content = fs::read(&path).unwrap();
    content[5 * PAGE_SIZE as usize + 100] = 0;
    fs::write(&path, content).unwrap();
    let options = FileSourceOptions { skip_damage: true, ..Default::default() };
    let mut source = FileSource::new(&WalDirectory::open(directory.path(), None).unwrap(), options);
    let (mut records, mut gaps) = (0, Vec::new());
    while source.next_raw_record().unwrap().is_some() {
        records += 1;
        gaps.extend(source.take_gap());
    }
    assert_eq!(records, 3 * RECORDS - 1);
    let [gap] = &gaps[..] else { panic!("{gaps:?}") };
    assert_eq!((gap.from, gap.to), (Lsn::new(0x20_A000), Lsn::new(0x20_C018)));
    assert!(gap.to_string().contains("lost WAL from 0/20A000 to 0/20C018: incorrect resource manager data checksum"));
    assert!(gap.to_string().contains("000000010000000000000002"));
}

#[test]
fn whatever_is_changed_little_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    write_log(directory.path(), 2);
    let options = FileSourceOptions { skip_damage: true, ..Default::default() };
    for step in 0..400u32 {
        let (number, offset) = (1 + step % 2, (40 + step * 7919 * 13) % SEGMENT_SIZE);
        let offset = if step % 4 < 2 { offset - offset % PAGE_SIZE + step % 24 } else { offset };
        if number == 1 && offset < 40 {
            continue;
        }
        let path = directory.path().join(format!("00000001000000000000000{number}"));
        let mut content = fs::read(&path).unwrap();
        content[offset as usize] ^= 1 << (step / 4 % 8);
        fs::write(&path, content).unwrap();
        let mut source = FileSource::new(&WalDirectory::open(directory.path(), None).unwrap(), options);
        let records = count(&mut source).unwrap_or_else(|error| panic!("{number} {offset}: {error}"));
        assert!((2 * RECORDS - 2..=2 * RECORDS).contains(&records), "{number} {offset}: {records}");
        fs::write(&path, segment(u64::from(number))).unwrap();
    }
}

#[test]
fn a_partial_file_may_end_anywhere_but_not_a_whole_one() {
    let directory = tempfile::tempdir().unwrap();
    write_log(directory.path(), 2);
    let plain = directory.path().join("000000010000000000000002");
    for (ending, compressed) in [
        (".zst", zstd::encode_all(fs::read(&plain).unwrap().as_slice(), 1).unwrap()),
        (".lz4", {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            std::io::Write::write_all(&mut encoder, &fs::read(&plain).unwrap()).unwrap();
            encoder.finish().unwrap()
        }),
        (".gz", {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, &fs::read(&plain).unwrap()).unwrap();
            encoder.finish().unwrap()
        }),
    ] {
        let directory = tempfile::tempdir().unwrap();
        write_log(directory.path(), 1);
        let whole = directory.path().join(format!("000000010000000000000002{ending}"));
        let partial = directory.path().join(format!("000000010000000000000002{ending}.partial"));
        fs::write(&whole, &compressed[..compressed.len() - 8]).unwrap();
        let error = count(&mut source(directory.path())).expect_err(ending);
        assert!(matches!(error, SourceError::Compressed { .. }), "{ending}: {error}");
        fs::rename(&whole, &partial).unwrap();
        let records = count(&mut source(directory.path())).unwrap();
        assert!((RECORDS..=2 * RECORDS).contains(&records), "{ending}: {records}");
    }
}
