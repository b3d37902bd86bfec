//! Records made by hand, for what a server does not do on demand.

use std::cell::Cell;
use std::rc::Rc;

use pgwal::{
    Block as BlockReference, BlockFlags, BlockNumber, Fork, Image, Lsn, MultiXactId, Record, RelFileLocator, RmgrId,
    TransactionId, Version,
};
use walker_core::Plugin;

use super::{GarbageMap, TransactionStatus};
use crate::question::{Answer, Question, RelationTotals};
use crate::transaction_log::{Known, TransactionLog};

const TABLE: RelFileLocator = RelFileLocator::new(1663, 5, 16384);

/// A map and where its log ends.
struct Log {
    map: GarbageMap,
    end: u64,
}

impl Log {
    fn new() -> Self {
        Self { map: GarbageMap::new(), end: 8000 }
    }

    fn tell(&mut self, rmgr: RmgrId, info: u8, xid: u32, main_data: &[u8], block: Option<BlockReference<'_>>) {
        let start = Lsn::new(self.end);
        self.end += 100;
        let record = Record {
            lsn: start,
            end: Lsn::new(self.end),
            prev: Lsn::INVALID,
            total_len: 100,
            xid: TransactionId::new(xid),
            top_xid: None,
            origin: None,
            rmgr,
            info,
            version: Version::V15,
            main_data,
            blocks: block.into_iter().collect(),
        };
        self.map.record(&record).unwrap();
    }

    /// XLOG_FPI of block 0 with tuples of these inserters and deleters, none of them hinted.
    fn image(&mut self, tuples: &[(u32, u32)]) {
        let page = page(tuples);
        let image = Image::new(&page, 0, 0, 0x02, Version::V15);
        let block = BlockReference { image: Some(image), flags: BlockFlags::HAS_IMAGE, ..block() };
        self.tell(RmgrId::XLOG, 0xB0, 0, &[], Some(block));
    }

    /// XLOG_HEAP_LOCK of block 0 with such a page, which redo does not apply: it is there to compare with.
    fn image_to_compare(&mut self, tuples: &[(u32, u32)]) {
        let page = page(tuples);
        let image = Image::new(&page, 0, 0, 0, Version::V15);
        let block = BlockReference { image: Some(image), flags: BlockFlags::HAS_IMAGE, ..block() };
        self.tell(RmgrId::HEAP, 0x60, 0, &[0; 8], Some(block));
    }

    fn create_table(&mut self) {
        let main: Vec<u8> = [1663u32, 5, 16384, 0].iter().flat_map(|number| number.to_le_bytes()).collect();
        self.tell(RmgrId::STORAGE, 0x10, 0, &main, None);
    }

    /// XLOG_HEAP_INSERT of a tuple of 40 bytes at `offset` of block 0.
    fn insert(&mut self, xid: u32, offset: u16, init: bool) {
        let main = [offset.to_le_bytes().as_slice(), &[0]].concat();
        let flags = if init { BlockFlags::HAS_DATA | BlockFlags::WILL_INIT } else { BlockFlags::HAS_DATA };
        let data = [0u8; 5 + 17];
        let block = BlockReference { data: &data, flags, ..block() };
        self.tell(RmgrId::HEAP, if init { 0x80 } else { 0x00 }, xid, &main, Some(block));
    }

    fn end_transaction(&mut self, xid: u32, committed: bool) {
        self.tell(RmgrId::TRANSACTION, if committed { 0x00 } else { 0x20 }, xid, &[0; 8], None);
    }

    fn running(&mut self, next: u32, oldest: u32) {
        let numbers = [0, 0, 0, next, oldest, oldest - 1];
        let main: Vec<u8> = numbers.iter().flat_map(|number: &u32| number.to_le_bytes()).collect();
        self.tell(RmgrId::STANDBY, 0x10, 0, &main, None);
    }

    fn checkpoint(&mut self, info: u8, redo: u64, full_page_writes: bool, next: u32) {
        let mut main = vec![0; 88];
        main[0..8].copy_from_slice(&redo.to_le_bytes());
        main[16] = u8::from(full_page_writes);
        main[24..32].copy_from_slice(&u64::from(next).to_le_bytes());
        self.tell(RmgrId::XLOG, info, 0, &main, None);
    }

    /// XLOG_PARAMETER_CHANGE.
    fn wal_level(&mut self, level: u32) {
        let main = [0, 0, 0, 0, 0, level, 0].map(u32::to_le_bytes).concat();
        self.tell(RmgrId::XLOG, 0x60, 0, &main, None);
    }

    /// Dead tuples, and why they are not exact.
    fn dead(&self) -> (u64, Option<String>) {
        let question = Question::Relation { relation: (1663, 5, 16384), blocks_per_range: 1, total_blocks: 1 };
        match self.map.ask(&question).unwrap() {
            Answer::Relation(answer) => (answer.ranges[0].dead_tuples, answer.inexact),
            _ => unreachable!(),
        }
    }
}

/// A server that says the same of each transaction.
#[derive(Debug)]
struct Server(Cell<Known>);

impl TransactionLog for Server {
    fn status(&self, _xid: TransactionId) -> Option<Known> {
        Some(self.0.get())
    }

    fn updater(&self, _id: MultiXactId) -> Option<Option<TransactionId>> {
        None
    }
}

const ABORTED: Known = Known::Ended(TransactionStatus::Aborted);

fn block() -> BlockReference<'static> {
    BlockReference {
        id: 0,
        flags: BlockFlags::empty(),
        relation: TABLE,
        fork: Fork::MAIN,
        number: BlockNumber::new(0),
        data: &[],
        image: None,
    }
}

/// A page of a heap: 40 bytes for each tuple, of which the header has 23.
fn page(tuples: &[(u32, u32)]) -> Vec<u8> {
    let mut page = vec![0u8; 8192];
    let upper = 8192 - 40 * tuples.len();
    page[12..14].copy_from_slice(&(24 + 4 * tuples.len() as u16).to_le_bytes());
    page[14..16].copy_from_slice(&(upper as u16).to_le_bytes());
    page[16..18].copy_from_slice(&8192u16.to_le_bytes());
    for (index, (xmin, xmax)) in tuples.iter().enumerate() {
        let offset = upper + 40 * index;
        let item = offset as u32 | 1 << 15 | 40 << 17;
        page[24 + 4 * index..28 + 4 * index].copy_from_slice(&item.to_le_bytes());
        page[offset..offset + 4].copy_from_slice(&xmin.to_le_bytes());
        page[offset + 4..offset + 8].copy_from_slice(&xmax.to_le_bytes());
        let infomask: u16 = if *xmax == 0 { 0x0800 } else { 0 };
        page[offset + 20..offset + 22].copy_from_slice(&infomask.to_le_bytes());
    }
    page
}

#[test]
fn a_transaction_from_before_the_walk_is_told_as_unknown_until_its_end() {
    let mut log = Log::new();
    log.running(800, 790);
    log.image(&[(795, 0), (700, 0)]);
    assert_eq!(log.dead().0, 0);
    assert!(log.dead().1.unwrap().contains("how transaction 7"));
    log.end_transaction(795, false);
    assert_eq!(log.dead().0, 1);
    // 700 is older than all that run: it ended before the walk, nobody knows how.
    log.running(810, 800);
    assert!(log.dead().1.unwrap().contains("how transaction 700 ended"));
}

#[test]
fn an_image_that_tells_more_makes_the_numbers_exact_again() {
    let mut log = Log::new();
    log.running(800, 790);
    log.image(&[(700, 0)]);
    assert!(log.dead().1.is_some());
    // Frozen or hinted meanwhile.
    log.image(&[(2, 0)]);
    log.running(810, 800);
    assert_eq!(log.dead(), (0, None));
}

#[test]
fn a_transaction_that_has_written_in_the_walk_is_open() {
    let mut log = Log::new();
    log.create_table();
    log.insert(795, 1, true);
    log.image(&[(795, 0)]);
    assert_eq!(log.dead(), (0, None));
    log.end_transaction(795, false);
    assert_eq!(log.dead(), (1, None));
}

#[test]
fn what_may_have_been_prepared_before_the_walk_is_not_lost_in_a_restart() {
    let mut log = Log::new();
    // 790 was prepared before: it runs still, and no record told so.
    log.running(800, 790);
    log.image(&[(790, 0)]);
    log.checkpoint(0x00, log.end, true, 820);
    assert_eq!(log.dead().0, 0);
    log.end_transaction(790, true);
    assert_eq!(log.dead(), (0, None));
}

#[test]
fn what_was_open_when_the_server_crashed_is_aborted() {
    let mut log = Log::new();
    log.running(800, 790);
    log.create_table();
    log.insert(805, 1, true);
    log.checkpoint(0x00, log.end, true, 820);
    assert_eq!(log.dead(), (1, None));
    // Also for an image that comes later.
    log.image(&[(805, 0), (806, 0)]);
    assert_eq!(log.dead(), (2, None));
}

#[test]
fn who_wrote_in_the_walk_is_lost_in_a_crash_however_old_it_is() {
    // With and without having been told which transactions run.
    for told in [true, false] {
        let mut log = Log::new();
        if told {
            log.running(800, 790);
        }
        log.create_table();
        log.insert(795, 1, true);
        log.checkpoint(0x00, log.end, true, 820);
        assert_eq!(log.dead(), (1, None), "{told}");
        log.image(&[(795, 0), (795, 0)]);
        assert_eq!(log.dead(), (2, None), "{told}");
    }
}

#[test]
fn the_last_transaction_before_the_numbers_begin_anew_is_lost_in_a_crash() {
    let mut log = Log::new();
    log.running(u32::MAX, u32::MAX);
    log.create_table();
    log.insert(u32::MAX, 1, true);
    log.tell(RmgrId::XLOG, 0x90, 0, &[0; 16], None);
    assert_eq!(log.dead(), (1, None));
}

#[test]
fn after_a_crash_the_server_is_asked_again_for_what_was_open_before_the_walk() {
    let server = Rc::new(Server(Cell::new(Known::Open)));
    let mut log = Log::new();
    log.map.set_transaction_log(server.clone());
    log.running(800, 790);
    log.image(&[(795, 0)]);
    assert_eq!(log.dead(), (0, None));
    server.0.set(ABORTED);
    log.checkpoint(0x00, log.end, true, 820);
    assert_eq!(log.dead(), (1, None));
    // One that was prepared is open still.
    server.0.set(Known::Open);
    log.image(&[(794, 0)]);
    log.checkpoint(0x00, log.end, true, 820);
    assert_eq!(log.dead(), (0, None));
    log.end_transaction(794, false);
    assert_eq!(log.dead(), (1, None));
}

#[test]
fn an_image_to_compare_with_may_know_ends_that_the_log_tells_later() {
    let mut log = Log::new();
    log.map.set_transaction_log(Rc::new(Server(Cell::new(ABORTED))));
    log.create_table();
    log.insert(700, 1, true);
    // The server has said already how transaction 795 ends, which goes on in the log.
    log.image(&[(700, 0), (795, 0)]);
    log.insert(795, 3, false);
    log.image_to_compare(&[(700, 0), (795, 0), (795, 0)]);
    log.end_transaction(795, false);
    log.end_transaction(700, true);
    assert_eq!(log.dead(), (2, None));
}

#[test]
fn without_full_page_writes_nothing_is_settled() {
    let mut log = Log::new();
    log.create_table();
    log.insert(805, 1, true);
    log.end_transaction(805, true);
    let redo = log.end;
    log.running(806, 806);
    // The setting changes between the checkpoint's beginning and its record.
    log.tell(RmgrId::XLOG, 0x80, 0, &[0], None);
    log.checkpoint(0x10, redo, true, 806);
    log.insert(806, 2, false);
    log.end_transaction(806, false);
    assert_eq!(log.dead(), (1, None));
}

#[test]
fn files_are_read_from_the_first_checkpoint_on_that_began_with_full_page_writes() {
    let mut log = Log::new();
    log.create_table();
    log.checkpoint(0x00, log.end, false, 806);
    assert!(!log.map.can_use_files());
    // The server has stopped, and starts with the setting on: nothing tells of it but the next checkpoint.
    let redo = log.end;
    log.running(806, 806);
    log.checkpoint(0x10, redo, true, 806);
    assert!(log.map.can_use_files());
}

#[test]
fn a_settled_page_that_changes_without_an_image_is_given_up() {
    let mut log = Log::new();
    log.create_table();
    log.insert(805, 1, true);
    log.end_transaction(805, true);
    let redo = log.end;
    log.running(806, 806);
    log.checkpoint(0x10, redo, true, 806);
    assert_eq!(log.dead(), (0, None));
    log.insert(806, 2, false);
    assert!(log.dead().1.unwrap().contains("without its page"));
}

#[test]
fn a_checkpoint_that_tells_of_no_running_transactions_is_one_of_wal_level_minimal() {
    let mut log = Log::new();
    log.create_table();
    log.checkpoint(0x10, log.end, true, 806);
    assert!(log.dead().1.unwrap().contains("wal_level is minimal"));
}

#[test]
fn when_wal_level_is_minimal_no_more_the_map_begins_anew() {
    let mut log = Log::new();
    log.create_table();
    log.insert(805, 1, true);
    log.wal_level(0);
    assert!(log.dead().1.unwrap().contains("wal_level is minimal"));
    assert_eq!(log.map.relations().count(), 1);
    log.wal_level(1);
    assert_eq!(log.map.relations().count(), 0);
    log.create_table();
    log.insert(806, 1, true);
    log.end_transaction(806, false);
    assert_eq!(log.dead(), (1, None));
    // Nothing has changed.
    log.wal_level(2);
    assert_eq!(log.dead(), (1, None));
}

#[test]
fn a_line_pointer_that_cannot_be_is_not_counted() {
    let mut log = Log::new();
    log.create_table();
    log.insert(805, u16::MAX, true);
    assert!(log.dead().1.unwrap().contains("could not be understood"));
}

#[test]
fn a_question_for_too_many_ranges_is_refused() {
    let question = Question::Relation { relation: (1, 1, 1), blocks_per_range: 1, total_blocks: u32::MAX };
    assert!(GarbageMap::new().ask(&question).unwrap_err().to_string().contains("summary_size"));
}

/// Dead tuples that were deleted by transactions that do not precede each of these, and the rest of the totals.
fn totals(log: &Log, horizons: &[u32]) -> (Vec<u64>, RelationTotals) {
    let horizons = horizons.iter().copied().map(TransactionId::new).collect();
    let question = Question::Database { database: 5, horizons, time: 0 };
    let Answer::Database(answer) = log.map.ask(&question).unwrap() else { unreachable!() };
    let [totals] = <[RelationTotals; 1]>::try_from(answer.relations).unwrap();
    (totals.not_removable.clone(), totals)
}

#[test]
fn deaths_count_for_horizons_up_to_their_deleter_however_they_are_learned() {
    let mut log = Log::new();
    log.running(900, 800);
    log.end_transaction(850, true);
    // One that was dead in the first image, one by a transaction that ends later, one whose inserter aborted.
    log.end_transaction(860, false);
    log.image(&[(700, 850), (700, 855), (860, 0)]);
    log.end_transaction(855, true);
    assert_eq!(totals(&log, &[700, 850, 851, 855, 856]).0, [2, 2, 1, 1, 0]);
    assert_eq!(log.dead().0, 3);
    // The same page once more is no news.
    log.image(&[(700, 850), (700, 855), (860, 0)]);
    assert_eq!(totals(&log, &[700, 851]).0, [2, 1]);
    // It survives being written and read.
    let bytes = postcard::to_allocvec(&log.map).unwrap();
    log.map = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(totals(&log, &[700, 851]).0, [2, 1]);
    // Numbers before the oldest transaction are forgotten, before they come again.
    log.checkpoint(0x10, 8000, true, 900);
    assert_eq!(totals(&log, &[700, 851]).0, [2, 1]);
}

#[test]
fn not_more_is_held_back_than_is_there() {
    let mut log = Log::new();
    log.running(900, 800);
    log.image(&[(700, 850), (700, 850)]);
    log.end_transaction(850, true);
    assert_eq!(totals(&log, &[700]).0, [2]);
    // A page on which something was removed that was said to be needed: the horizon went back.
    log.image(&[(700, 0)]);
    assert_eq!(totals(&log, &[700]).0, [0]);
}

#[test]
fn blocks_are_told_one_by_one() {
    let mut log = Log::new();
    log.running(900, 800);
    log.image(&[(700, 850), (700, 0)]);
    let blocks = |log: &Log, only_garbage| {
        let question = Question::Blocks { relation: (1663, 5, 16384), first: 0, last: 9, only_garbage };
        let Answer::Blocks(answer) = log.map.ask(&question).unwrap() else { unreachable!() };
        answer
            .blocks
            .iter()
            .map(|block| (block.number, block.counts.unwrap().tuples, block.counts.unwrap().dead_tuples))
            .collect::<Vec<_>>()
    };
    assert_eq!(blocks(&log, false), [(0, 2, 0)]);
    assert_eq!(blocks(&log, true), []);
    log.end_transaction(850, true);
    assert_eq!(blocks(&log, true), [(0, 2, 1)]);
    let question = Question::Blocks { relation: (1, 1, 1), first: 0, last: u32::MAX, only_garbage: false };
    assert!(log.map.ask(&question).is_err());
}
