//! Random histories of a small server whose pages are known, told to a map by their log alone: the map has to count
//! what is on the pages. `PROPTEST_CASES` sets how many histories are tried.

mod heap;
mod log;
mod operation;
mod page;
mod server;
mod transactions;
mod vacuum;

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use garbagemap::{Answer, GarbageMap, Question, RangeSummary, RelationAnswer, RelationSummary, snapshot};
use pgwal::{Fork, Lsn, RmgrId, TimelineId, Version};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use walker_core::LogPosition;

use crate::log::WrittenBlock;
use crate::operation::{Kind, Operation, operations};
use crate::page::Item;
use crate::server::{Relation, Server, Settings, locator};

/// So many operations happen between two comparisons.
const STEP: usize = 4;

/// Histories of each test, unless `PROPTEST_CASES` says otherwise: some seconds.
const USUAL_CASES: u32 = 24;

/// What the map has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// All blocks, exactly.
    All,
    /// Some blocks, but those exactly.
    KnownBlocks,
    /// What it calls exact is so.
    Honesty,
}

/// A map on its walk over the log.
struct Walk {
    map: GarbageMap,
    /// The next record that it is told.
    next: usize,
    /// It may ask the server for transactions that are older than the walk.
    asks_server: bool,
    directory: tempfile::TempDir,
    kept: Option<usize>,
}

impl Walk {
    fn new(server: &Server, next: usize, asks_server: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut walk = Self { map: GarbageMap::new(), next, asks_server, directory, kept: None };
        walk.connect(server);
        walk
    }

    fn connect(&mut self, server: &Server) {
        if self.asks_server {
            self.map.set_transaction_log(server.transactions.server.clone());
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("map.snapshot")
    }

    /// Tells all records up to the end.
    fn advance(&mut self, server: &Server) {
        for record in &server.records[self.next..] {
            record.tell(&mut self.map);
        }
        self.next = server.records.len();
    }

    /// Writes the map into its file.
    fn keep(&mut self, server: &Server) {
        self.advance(server);
        let lsn = Lsn::new(server.records[self.next - 1].end);
        let position = LogPosition { system_identifier: 1, timeline: TimelineId::new(1), lsn };
        snapshot::write(&self.path(), &position, &self.map).unwrap();
        self.kept = Some(self.next);
    }

    /// Takes the map from its file, if there is one.
    fn go_back(&mut self, server: &Server) {
        if let Some(next) = self.kept {
            let (position, map) = snapshot::read(&self.path()).unwrap().unwrap();
            assert_eq!(position.lsn, Lsn::new(server.records[next - 1].end));
            (self.map, self.next) = (map, next);
            self.connect(server);
        }
    }

    fn answer(&self, number: u32, blocks: u32) -> RelationAnswer {
        let question = Question::Relation { relation: (1663, 5, number), blocks_per_range: 1, total_blocks: blocks };
        match self.map.ask(&question).unwrap() {
            Answer::Relation(answer) => answer,
            other => unreachable!("{other:?}"),
        }
    }

    /// Compares with what is on the pages.
    fn compare(&self, server: &Server, demand: Demand) -> Result<(), TestCaseError> {
        for (number, relation) in &server.relations {
            let answer = self.answer(*number, relation.pages.len() as u32);
            if demand == Demand::Honesty && answer.inexact.is_some() {
                continue;
            }
            prop_assert_eq!(&answer.inexact, &None, "relation {}", number);
            for (found, expected) in answer.ranges.into_iter().zip(summaries(server, relation)) {
                if demand == Demand::All || found.known_blocks > 0 {
                    // Bits of the visibility map from before the walk are in the log only as far as pages tell.
                    let all_visible = if demand == Demand::All { expected.all_visible } else { found.all_visible };
                    let expected = RangeSummary { all_visible, ..expected };
                    prop_assert_eq!(found, expected, "relation {} at {}", number, self.map.position());
                }
            }
        }
        if demand == Demand::All { self.compare_totals(server) } else { Ok(()) }
    }

    /// Compares which relations there are, and their totals.
    fn compare_totals(&self, server: &Server) -> Result<(), TestCaseError> {
        let found: BTreeMap<_, _> = self.map.relations().collect();
        let there: Vec<_> = server.relations.keys().map(|number| locator(*number)).collect();
        prop_assert_eq!(found.keys().copied().collect::<Vec<_>>(), there, "at {}", self.map.position());
        for (found, relation) in found.values().zip(server.relations.values()) {
            let blocks: Vec<_> = summaries(server, relation).collect();
            let sum = |of: fn(&RangeSummary) -> u64| blocks.iter().map(of).sum::<u64>();
            let expected = RelationSummary {
                known_blocks: found.known_blocks,
                lost_blocks: 0,
                complete: true,
                tuples: sum(|block| block.tuples),
                dead_tuples: sum(|block| block.dead_tuples),
                dead_bytes: sum(|block| block.dead_bytes),
                lp_dead: sum(|block| block.lp_dead),
                redirects: sum(|block| block.redirects),
                all_visible_blocks: sum(|block| block.all_visible.into()),
                free_space: sum(|block| block.free_space),
                inexact: None,
            };
            prop_assert_eq!(found, &expected, "at {}", self.map.position());
        }
        Ok(())
    }
}

/// What is on each block, by definition.
fn summaries<'a>(server: &'a Server, relation: &'a Relation) -> impl Iterator<Item = RangeSummary> {
    (0..).zip(&relation.pages).zip(&relation.visibility).map(|((number, page), visibility)| {
        let count = |wanted: fn(&Item) -> bool| page.items.iter().filter(|item| wanted(item)).count() as u64;
        let dead = page.tuples().filter(|(_, tuple)| server.is_dead(tuple));
        let (dead_tuples, dead_bytes) =
            dead.fold((0, 0), |(count, bytes), (_, tuple)| (count + 1, bytes + u64::from(tuple.length)));
        RangeSummary {
            number,
            blocks: 1,
            known_blocks: 1,
            tuples: page.tuples().count() as u64,
            dead_tuples,
            dead_bytes,
            lp_dead: count(|item| *item == Item::Dead),
            redirects: count(|item| matches!(item, Item::Redirect(_))),
            free_space: page.free_space() as u64,
            all_visible: u32::from(visibility & 1),
        }
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    let versions = proptest::sample::select(vec![Version::V15, Version::V16, Version::V17, Version::V18]);
    // Two bits for each transaction are kept on pages of 16384; numbers wrap around.
    let first_xid = proptest::sample::select(vec![750, 16_384 - 20, u32::MAX - 20]);
    (versions, first_xid, any::<[bool; 4]>()).prop_map(|(version, first_xid, [hints, checking, logical, names])| {
        Settings {
            version,
            first_xid,
            hints_are_logged: hints,
            consistency_checking: checking,
            logical,
            names_visibility_map: names && version >= Version::V17,
        }
    })
}

/// A server with a table.
fn server_with_table(settings: Settings, full_page_writes: bool) -> Server {
    let mut server = Server::start(settings, full_page_writes);
    server.create_relation(0);
    server.commit(0);
    server
}

fn walk_on(
    server: &mut Server,
    walk: &mut Walk,
    operations: &[Operation],
    demand: Demand,
) -> Result<(), TestCaseError> {
    for (number, operation) in operations.iter().enumerate() {
        operation.carry_out(server);
        match operation.kind {
            Kind::Keep => walk.keep(server),
            Kind::GoBack => walk.go_back(server),
            _ => {}
        }
        if number % STEP == 0 {
            walk.advance(server);
            walk.compare(server, demand)?;
        }
    }
    walk.advance(server);
    walk.compare(server, demand)
}

/// Kinds of records, by resource manager and operation, that histories have to hold; each with and without an image.
const KINDS_WITH_BLOCKS: [(RmgrId, u8); 13] = [
    (RmgrId::HEAP, 0x00),
    (RmgrId::HEAP, 0x10),
    (RmgrId::HEAP, 0x20),
    (RmgrId::HEAP, 0x40),
    (RmgrId::HEAP, 0x50),
    (RmgrId::HEAP, 0x60),
    (RmgrId::HEAP, 0x70),
    (RmgrId::HEAP2, 0x10),
    (RmgrId::HEAP2, 0x20),
    (RmgrId::HEAP2, 0x30),
    (RmgrId::HEAP2, 0x40),
    (RmgrId::HEAP2, 0x50),
    (RmgrId::HEAP2, 0x60),
];
/// Records that make a page anew have no image, those of whole pages always have one.
const OTHER_KINDS: [(RmgrId, u8, bool); 17] = [
    (RmgrId::HEAP, 0x80, false),
    (RmgrId::HEAP, 0xA0, false),
    (RmgrId::HEAP2, 0xD0, false),
    (RmgrId::XLOG, 0x00, false),
    (RmgrId::XLOG, 0x10, false),
    (RmgrId::XLOG, 0xA0, true),
    (RmgrId::XLOG, 0xB0, true),
    (RmgrId::TRANSACTION, 0x00, false),
    (RmgrId::TRANSACTION, 0x10, false),
    (RmgrId::TRANSACTION, 0x20, false),
    (RmgrId::TRANSACTION, 0xB0, false),
    (RmgrId::TRANSACTION, 0xC0, false),
    (RmgrId::STORAGE, 0x10, false),
    (RmgrId::STORAGE, 0x20, false),
    (RmgrId::MULTI_XACT, 0x20, false),
    (RmgrId::STANDBY, 0x10, false),
    (RmgrId::TRANSACTION, 0x80, false),
];

#[test]
fn histories_hold_records_of_all_kinds() {
    let mut runner = TestRunner::deterministic();
    let mut found = BTreeMap::<_, usize>::new();
    for _ in 0..120 {
        let settings = settings().new_tree(&mut runner).unwrap().current();
        let operations = operations(&RESTARTS).new_tree(&mut runner).unwrap().current();
        let mut server = server_with_table(settings, true);
        operations.iter().for_each(|operation| operation.carry_out(&mut server));
        for record in &server.records {
            let applied = |block: &WrittenBlock| block.image.as_ref().is_some_and(|image| image.apply);
            let image = record.blocks.iter().any(|block| block.fork == Fork::MAIN && applied(block));
            *found.entry((record.rmgr, record.info & 0xF0, image)).or_default() += 1;
        }
    }
    let with_blocks = KINDS_WITH_BLOCKS.iter().flat_map(|(rmgr, info)| [(*rmgr, *info, false), (*rmgr, *info, true)]);
    let missing: Vec<_> = with_blocks.chain(OTHER_KINDS).filter(|kind| !found.contains_key(kind)).collect();
    assert_eq!(missing, [], "{found:?}");
}

const RESTARTS: [(u32, Kind); 2] = [(2, Kind::Crash), (1, Kind::Restart)];

/// Lets a server run for a while, and returns where the redo pointer of its next checkpoint is in the log.
fn run_before(server: &mut Server, before: &[Operation]) -> usize {
    before.iter().for_each(|operation| operation.carry_out(server));
    server.end_checkpoint();
    let redo = server.records.len();
    server.begin_checkpoint();
    redo
}

/// A few histories, unless more are asked for.
fn config() -> ProptestConfig {
    let config = ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() };
    if env::var_os("PROPTEST_CASES").is_some() { config } else { ProptestConfig { cases: USUAL_CASES, ..config } }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_walk_over_the_whole_log_knows_all(settings in settings(), operations in operations(&RESTARTS)) {
        let mut server = server_with_table(settings, true);
        let mut walk = Walk::new(&server, 0, false);
        walk_on(&mut server, &mut walk, &operations, Demand::All)?;
    }

    #[test]
    fn a_walk_that_begins_at_a_checkpoint_knows_what_was_changed_since(
        settings in settings(),
        before in operations(&RESTARTS),
        operations in operations(&RESTARTS),
    ) {
        let mut server = server_with_table(settings, true);
        let redo = run_before(&mut server, &before);
        let mut walk = Walk::new(&server, redo, true);
        walk_on(&mut server, &mut walk, &operations, Demand::KnownBlocks)?;
    }

    #[test]
    fn a_walk_that_begins_at_a_checkpoint_says_what_it_cannot_know(
        settings in settings(),
        before in operations(&RESTARTS),
        operations in operations(&RESTARTS),
    ) {
        let mut server = server_with_table(settings, true);
        let redo = run_before(&mut server, &before);
        let mut walk = Walk::new(&server, redo, false);
        walk_on(&mut server, &mut walk, &operations, Demand::Honesty)?;
    }

    #[test]
    fn full_page_writes_can_be_switched(
        settings in settings(),
        on: bool,
        operations in operations(&[(4, Kind::SwitchFullPageWrites), (1, Kind::Crash), (1, Kind::Restart)]),
    ) {
        let mut server = server_with_table(settings, on);
        let mut walk = Walk::new(&server, 0, false);
        walk_on(&mut server, &mut walk, &operations, Demand::Honesty)?;
    }

    #[test]
    fn without_full_page_writes_all_is_known(settings in settings(), operations in operations(&RESTARTS)) {
        let mut server = server_with_table(settings, false);
        let mut walk = Walk::new(&server, 0, false);
        walk_on(&mut server, &mut walk, &operations, Demand::All)?;
    }

    #[test]
    fn a_standby_takes_over(
        settings in settings(),
        operations in operations(&[(2, Kind::Promote), (1, Kind::Crash)]),
    ) {
        let mut server = server_with_table(settings, true);
        let mut walk = Walk::new(&server, 0, false);
        walk_on(&mut server, &mut walk, &operations, Demand::Honesty)?;
    }
}
