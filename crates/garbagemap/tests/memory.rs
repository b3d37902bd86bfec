//! How much memory the map takes for large tables, and what it gives up when that is limited.

use garbagemap::{Answer, GarbageMap, Question, RelationAnswer};
use pgwal::{Block, BlockFlags, BlockNumber, Fork, Image, Lsn, Record, RelFileLocator, RmgrId, TransactionId, Version};
use walker_core::Plugin as _;

const PAGE: usize = 8192;
const TABLE: RelFileLocator = RelFileLocator::new(1663, 5, 16384);

/// How long the rows of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// All 121 bytes, as those of pgbench's largest table.
    Same,
    /// From 40 to 200 bytes.
    Various,
}

/// Numbers that look random, always the same.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A full page of which so many rows are dead.
#[derive(Debug, Clone)]
struct Page {
    bytes: Vec<u8>,
    tuples: u64,
    dead_tuples: u64,
}

fn page(rows: Rows, dead_tuples: u64, random: &mut Random) -> Page {
    let mut bytes = vec![0u8; PAGE];
    let (mut lower, mut upper, mut tuples) = (24, PAGE, 0u64);
    loop {
        let length = if rows == Rows::Same { 121 } else { 40 + random.below(161) as usize };
        let Some(start) = upper.checked_sub((length + 7) & !7).filter(|start| *start >= lower + 4) else { break };
        upper = start;
        let item = start as u32 | 1 << 15 | (length as u32) << 17;
        bytes[lower..lower + 4].copy_from_slice(&item.to_le_bytes());
        lower += 4;
        // Inserted for certain, and deleted for certain or not at all.
        let infomask: u16 = 0x0100 | if tuples < dead_tuples { 0x0400 } else { 0x0800 };
        bytes[start..start + 4].copy_from_slice(&700u32.to_le_bytes());
        bytes[start + 4..start + 8].copy_from_slice(&701u32.to_le_bytes());
        bytes[start + 20..start + 22].copy_from_slice(&infomask.to_le_bytes());
        tuples += 1;
    }
    bytes[12..14].copy_from_slice(&(lower as u16).to_le_bytes());
    bytes[14..16].copy_from_slice(&(upper as u16).to_le_bytes());
    bytes[16..18].copy_from_slice(&(PAGE as u16).to_le_bytes());
    Page { bytes, tuples, dead_tuples }
}

/// A log that is told to a map, and what the table holds by then.
struct Log {
    map: GarbageMap,
    end: u64,
    tuples: u64,
    dead_tuples: u64,
}

impl Log {
    fn new(max_memory: u64) -> Self {
        let mut map = GarbageMap::new();
        map.set_max_memory(max_memory);
        Self { map, end: 8000, tuples: 0, dead_tuples: 0 }
    }

    fn tell(&mut self, rmgr: RmgrId, info: u8, main_data: &[u8], blocks: Vec<Block<'_>>) {
        let lsn = Lsn::new(self.end);
        self.end += 100;
        let record = Record {
            lsn,
            end: Lsn::new(self.end),
            prev: Lsn::INVALID,
            total_len: 100,
            xid: TransactionId::INVALID,
            top_xid: None,
            origin: None,
            rmgr,
            info,
            version: Version::V15,
            main_data,
            blocks: blocks.into(),
        };
        self.map.record(&record).unwrap();
    }

    /// Images of so many blocks of the table, of which one in ten, here and there, has some dead tuples.
    /// A checkpoint comes after so many blocks.
    fn fill(&mut self, blocks: u32, rows: Rows, checkpoint_blocks: u32) {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let pages = |dead: u64, random: &mut Random| -> Vec<Page> {
            (0..512).map(|index| page(rows, if dead > 0 { 1 + index % dead } else { 0 }, random)).collect()
        };
        let (clean, garbage) = (pages(0, &mut random), pages(12, &mut random));
        for first in (0..blocks).step_by(32) {
            let chosen = (first..(first + 32).min(blocks)).map(|number| {
                let kind = if random.below(10) == 0 { &garbage } else { &clean };
                (number, &kind[random.below(512) as usize])
            });
            let chosen: Vec<_> = chosen.collect();
            self.tuples += chosen.iter().map(|(_, page)| page.tuples).sum::<u64>();
            self.dead_tuples += chosen.iter().map(|(_, page)| page.dead_tuples).sum::<u64>();
            self.images(&chosen);
            if first.is_multiple_of(checkpoint_blocks) {
                self.checkpoint();
            }
        }
        self.checkpoint();
    }

    fn images(&mut self, pages: &[(u32, &Page)]) {
        self.images_of(TABLE, pages);
    }

    fn images_of(&mut self, relation: RelFileLocator, pages: &[(u32, &Page)]) {
        let blocks = (0..).zip(pages).map(|(id, (number, page))| Block {
            id,
            flags: BlockFlags::HAS_IMAGE,
            relation,
            fork: Fork::MAIN,
            number: BlockNumber::new(*number),
            data: &[],
            image: Some(Image::new(&page.bytes, 0, 0, 0x02, Version::V15)),
        });
        self.tell(RmgrId::XLOG, 0xB0, &[], blocks.collect());
    }

    fn checkpoint(&mut self) {
        let redo = self.end;
        let running: Vec<u8> = [0u32, 0, 0, 800, 800, 799].iter().flat_map(|number| number.to_le_bytes()).collect();
        self.tell(RmgrId::STANDBY, 0x10, &running, Vec::new());
        let mut main = vec![0; 88];
        main[0..8].copy_from_slice(&redo.to_le_bytes());
        main[16] = 1;
        main[24..32].copy_from_slice(&800u64.to_le_bytes());
        self.tell(RmgrId::XLOG, 0x10, &main, Vec::new());
    }

    fn ask(&self, blocks: u32, blocks_per_range: u32) -> RelationAnswer {
        let question = Question::Relation { relation: (1663, 5, 16384), blocks_per_range, total_blocks: blocks };
        match self.map.ask(&question).unwrap() {
            Answer::Relation(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// Known blocks, tuples, dead tuples, and why they are not exact.
    fn sums(&self, blocks: u32) -> (u64, u64, u64, Option<String>) {
        let answer = self.ask(blocks, 4096);
        let sum = |value: fn(&garbagemap::RangeSummary) -> u64| answer.ranges.iter().map(value).sum();
        (
            sum(|range| range.known_blocks.into()),
            sum(|range| range.tuples),
            sum(|range| range.dead_tuples),
            answer.inexact,
        )
    }

    fn memory(&self) -> u64 {
        let (settled, tracked) = self.map.memory();
        settled + tracked
    }
}

const NO_LIMIT: u64 = u64::MAX;
/// 1 TB.
const TERABYTE_BLOCKS: u32 = 1 << 27;
/// Blocks whose images fill half of the default max_wal_size.
const CHECKPOINT_BLOCKS: u32 = 1 << 16;

#[test]
fn a_terabyte_with_garbage_in_each_tenth_block_takes_less_than_160_megabytes() {
    let blocks = TERABYTE_BLOCKS / 1024;
    let limit = 160_000_000 / 1024;
    let mut log = Log::new(NO_LIMIT);
    log.fill(blocks, Rows::Same, CHECKPOINT_BLOCKS);
    assert!(log.memory() < limit * 3 / 4, "{} bytes for {blocks} blocks", log.memory());
    assert_eq!(log.sums(blocks), (blocks.into(), log.tuples, log.dead_tuples, None));

    // Rows of all lengths take more: what is given up for them are tuples and free bytes of blocks without garbage.
    let mut log = Log::new(limit);
    log.fill(blocks, Rows::Various, CHECKPOINT_BLOCKS / 1024);
    assert!(log.memory() <= limit, "{} bytes for {blocks} blocks", log.memory());
    let (known, tuples, dead_tuples, inexact) = log.sums(blocks);
    assert_eq!((known, tuples, dead_tuples), (blocks.into(), log.tuples, log.dead_tuples));
    assert!(inexact.as_ref().unwrap().starts_with("dead tuples are exact"), "{inexact:?}");
}

#[test]
fn with_less_memory_sums_of_blocks_are_kept_and_said_to_be_averages() {
    let blocks = 1 << 16;
    let mut log = Log::new(NO_LIMIT);
    log.fill(blocks, Rows::Same, CHECKPOINT_BLOCKS);
    let before = log.memory();
    log.map.set_max_memory(before * 2 / 3);
    log.checkpoint();
    assert!(log.memory() <= before * 2 / 3, "{} of {before} bytes", log.memory());
    // All together is still what it was.
    let (known, tuples, dead_tuples, inexact) = log.sums(blocks);
    assert_eq!((known, tuples, dead_tuples), (blocks.into(), log.tuples, log.dead_tuples));
    assert!(inexact.unwrap().starts_with("on average"));
    // A block that is told anew is exact itself, and known once.
    let page = page(Rows::Same, 60, &mut Random(1));
    log.images(&[(0, &page)]);
    let answer = log.ask(1, 1);
    assert_eq!((answer.ranges[0].tuples, answer.ranges[0].dead_tuples), (page.tuples, 60));
    assert_eq!(log.sums(blocks).0, u64::from(blocks));
}

#[test]
fn pages_that_do_not_fit_between_two_checkpoints_are_given_up_until_they_are_told_again() {
    let (blocks, limit) = (20_000, 2_000_000);
    let mut log = Log::new(limit);
    let page = page(Rows::Same, 0, &mut Random(1));
    for number in 0..blocks {
        log.images(&[(number, &page)]);
        assert!(log.memory() < limit * 5 / 4, "{} bytes at block {number}", log.memory());
    }
    let (known, tuples, dead_tuples, inexact) = log.sums(blocks);
    assert!(0 < known && known < u64::from(blocks) / 2, "{known}");
    assert_eq!((tuples, dead_tuples), (known * page.tuples, 0));
    assert!(inexact.unwrap().starts_with("blocks were given up"));
    for first in (0..blocks).step_by(32) {
        log.images(&(first..first + 32).map(|number| (number, &page)).collect::<Vec<_>>());
        if first % 1024 == 0 {
            log.checkpoint();
        }
    }
    // Once they are all told, the next checkpoint notices.
    log.checkpoint();
    assert_eq!(log.sums(blocks), (blocks.into(), u64::from(blocks) * page.tuples, 0, None));
}

#[test]
fn a_limit_below_what_cannot_be_given_up_gives_up_nothing_else() {
    let mut log = Log::new(NO_LIMIT);
    let page = page(Rows::Same, 3, &mut Random(1));
    for number in 0..2000 {
        log.images_of(RelFileLocator::new(1663, 5, 20_000 + number), &[(0, &page)]);
    }
    log.checkpoint();
    log.map.set_max_memory(100_000);
    log.checkpoint();
    assert!(log.memory() > 100_000);
    assert_eq!(log.map.relations().filter(|(_, summary)| summary.inexact.is_some()).count(), 0);
    assert!(log.map.relations().all(|(_, summary)| summary.dead_tuples == 3));
}

/// Bytes of memory that the process has, as Linux says.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn terabyte(rows: Rows, limit: u64) -> (u64, Option<String>) {
    let before = resident();
    let mut log = Log::new(limit);
    log.fill(TERABYTE_BLOCKS, rows, CHECKPOINT_BLOCKS);
    let taken = resident() - before;
    let begin = std::time::Instant::now();
    let (known, tuples, dead_tuples, inexact) = log.sums(TERABYTE_BLOCKS);
    println!("{rows:?} rows, limit {limit}: {taken} bytes resident, {} by its own count", log.memory());
    println!("all asked in {:?}; inexact: {inexact:?}", begin.elapsed());
    assert_eq!((known, tuples, dead_tuples), (TERABYTE_BLOCKS.into(), log.tuples, log.dead_tuples));
    (taken, inexact)
}

#[test]
#[ignore = "takes minutes: run by `cargo xtask soak`"]
fn a_terabyte_of_rows_of_the_same_length() {
    let (taken, inexact) = terabyte(Rows::Same, NO_LIMIT);
    assert!(taken <= 160_000_000 && inexact.is_none(), "{taken} {inexact:?}");
}

#[test]
#[ignore = "takes minutes: run by `cargo xtask soak`"]
fn a_terabyte_of_rows_of_all_lengths() {
    terabyte(Rows::Various, NO_LIMIT);
}

#[test]
#[ignore = "takes minutes: run by `cargo xtask soak`"]
fn a_terabyte_of_rows_of_all_lengths_within_a_limit() {
    let (taken, inexact) = terabyte(Rows::Various, 160_000_000);
    // The allocator keeps some of what was given back.
    assert!(taken <= 200_000_000, "{taken}");
    assert!(inexact.as_ref().unwrap().starts_with("dead tuples are exact"), "{inexact:?}");
}
