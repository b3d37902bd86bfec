//! The map itself: who is told what, and what it answers.
//!
//! What each record means is in the modules below: [`heap`], [`transactions`], [`storage`], and [`pages`] for what all
//! of them do with pages. Only the main fork counts, and the visibility map. An image that redo applies is the page
//! after the record: then the record's other content is not applied on top.

mod answers;
mod files;
mod heap;
mod memory;
mod pages;
mod storage;
mod transactions;

#[cfg(test)]
mod tests;

use std::rc::Rc;

pub(crate) use self::files::FilePage;
use self::memory::Memory;
use pgwal::rmgr::multixact::MultiXact;
use pgwal::{Fork, Lsn, Record, RecordError, RelFileLocator, TransactionId};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use walker_core::{Plugin, PluginError};

use crate::codec;
use crate::inexact::Inexact;
use crate::log_line::log_line;
use crate::multixacts::MultiXacts;
use crate::relation::{Relation, RelationSummary};
use crate::transaction_log::TransactionLog;
use crate::transactions::Transactions;

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// It committed.
    Committed,
    /// It aborted, or was lost in a crash.
    Aborted,
}

/// Size of a data page in bytes: PostgreSQL's default, the only one supported here.
pub(crate) const PAGE_SIZE: u16 = 8192;

/// Most ranges that are told in a line of a log.
const MOST_RANGES_OF_A_LINE: u32 = 1 << 16;

/// The dead tuples of all heaps, by block.
#[derive(Debug, Serialize, Deserialize)]
pub struct GarbageMap {
    relations: FxHashMap<RelFileLocator, Relation>,
    transactions: Transactions,
    multixacts: MultiXacts,
    position: Lsn,
    /// Beginning of the first record that it was told.
    first: Option<Lsn>,
    full_page_writes: bool,
    /// Pages that were changed before may have been changed without a word of the whole page; the last position of all
    /// while `full_page_writes` is off.
    incomplete_before: Lsn,
    /// Where the last checkpoint began that began in the part of the log that was read: all pages that were changed
    /// before are in their files.
    flushed: Lsn,
    /// Where `full_page_writes` changed last.
    full_page_writes_changed: Lsn,
    /// Where the running transactions were told last.
    running_told: Lsn,
    /// When the last transaction ended that was told of, in microseconds since the year 2000.
    time: Option<i64>,
    /// What was deleted by transactions before this one may be removed from all tables, as the server said last.
    #[serde(skip)]
    removable_before: Option<TransactionId>,
    /// What makes all numbers inexact.
    everywhere: Option<Inexact>,
    /// How much memory it takes.
    #[serde(skip)]
    memory: Memory,
    /// Who is asked for what the log does not tell.
    #[serde(skip)]
    server: Option<Rc<dyn TransactionLog>>,
    /// Where images are restored.
    #[serde(skip, default = "page_buffer")]
    page: Box<[u8]>,
}

fn page_buffer() -> Box<[u8]> {
    vec![0; usize::from(PAGE_SIZE)].into_boxed_slice()
}

impl Default for GarbageMap {
    fn default() -> Self {
        Self::new()
    }
}

impl GarbageMap {
    /// A map that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            relations: FxHashMap::default(),
            transactions: Transactions::default(),
            multixacts: MultiXacts::default(),
            position: Lsn::INVALID,
            first: None,
            full_page_writes: true,
            incomplete_before: Lsn::INVALID,
            flushed: Lsn::INVALID,
            full_page_writes_changed: Lsn::INVALID,
            running_told: Lsn::INVALID,
            time: None,
            removable_before: None,
            everywhere: None,
            memory: Memory::default(),
            server: None,
            page: page_buffer(),
        }
    }

    /// End of the last record that it was told: the position for which all answers hold.
    #[must_use]
    pub fn position(&self) -> Lsn {
        self.position
    }

    /// Totals of the relations of which something is known, in no order.
    pub fn relations(&self) -> impl Iterator<Item = (RelFileLocator, RelationSummary)> {
        self.relations.iter().map(|(locator, relation)| (*locator, relation.summary(self.everywhere)))
    }

    /// A line for each relation that has dead tuples, in the order of tablespaces, databases and file numbers:
    /// `(1663,5,16384) garbagemap (0:13, 1248, 7232, ?, 0:1008)`, with the dead tuples of each range of so many blocks, `0:13`
    /// for thirteen ranges without one, `?` where no block is known and `12+` where not all are. Of a relation with more than
    /// 65,536 ranges they are larger.
    pub fn log_lines(&self, blocks_per_range: u32) -> impl Iterator<Item = String> {
        let mut relations: Vec<_> =
            self.relations.iter().filter(|(_, relation)| relation.summary(None).dead_tuples > 0).collect();
        relations.sort_unstable_by_key(|(locator, _)| **locator);
        relations.into_iter().map(move |(locator, relation)| {
            let end = relation.known_end();
            let blocks_per_range = blocks_per_range.max(end.div_ceil(MOST_RANGES_OF_A_LINE));
            log_line(*locator, &relation.range_summaries(blocks_per_range, end))
        })
    }

    /// The log is written with `wal_level = minimal`: nothing is exact then.
    pub fn set_wal_level_minimal(&mut self, minimal: bool) {
        if minimal {
            self.everywhere = Some(Inexact::WalLevelMinimal);
        }
    }

    /// The server can be asked for transactions that are older than what is read of the log.
    pub fn set_transaction_log(&mut self, server: Rc<dyn TransactionLog>) {
        self.server = Some(server);
    }

    /// Forgets all that was told before this record.
    fn begin_anew(&mut self, record: &Record<'_>) {
        let mut fresh = Self::new();
        fresh.inherit(self);
        (fresh.everywhere, fresh.first) = (None, Some(record.lsn));
        fresh.full_page_writes = self.full_page_writes;
        *self = fresh;
    }

    /// What `other` knows of the server beside the log holds here too.
    pub(crate) fn inherit(&mut self, other: &Self) {
        self.everywhere = self.everywhere.or(other.everywhere);
        self.server.clone_from(&other.server);
        self.memory = other.memory;
        self.save_memory();
    }

    fn relation(&mut self, locator: RelFileLocator) -> &mut Relation {
        self.relations.entry(locator).or_default()
    }

    /// After a record: it is part of the answers now. What was not understood is given up.
    fn done(&mut self, record: &Record<'_>, result: Result<(), RecordError>) -> Result<(), PluginError> {
        match result {
            Ok(()) => record.blocks.iter().for_each(|block| self.compare_image(record, block)),
            Err(_) => self.give_up(record),
        }
        Ok(())
    }

    /// A record of a kind or form that is not understood: what it changed is not known any more.
    fn give_up(&mut self, record: &Record<'_>) {
        for block in record.blocks.iter().filter(|block| block.fork == Fork::MAIN) {
            let cause = Inexact::NotUnderstood(record.lsn);
            self.relation(block.relation).lose(block.number, cause, record.lsn);
        }
    }
}

impl Plugin for GarbageMap {
    fn name(&self) -> &str {
        "garbagemap"
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        self.first.get_or_insert(record.lsn);
        self.transactions.saw(record.xid);
        let result = walker_core::dispatch(self, record);
        self.position = record.end;
        self.memory.records += 1;
        if self.memory.may_be_short() {
            self.save_memory();
        }
        result
    }

    fn heap(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        let result = self.apply_heap(record);
        self.done(record, result)
    }

    fn heap2(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        let result = self.apply_heap2(record);
        self.done(record, result)
    }

    fn xlog(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        let result = self.apply_xlog(record);
        self.done(record, result)
    }

    fn xact(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        // How a transaction ended must be known for certain.
        Ok(self.apply_xact(record)?)
    }

    fn smgr(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        Ok(self.apply_smgr(record)?)
    }

    fn dbase(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        Ok(self.apply_dbase(record)?)
    }

    fn multixact(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        if let MultiXact::Create(create) = MultiXact::parse(record)? {
            self.multixacts.create(&create);
        }
        Ok(())
    }

    fn standby(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        Ok(self.apply_standby(record)?)
    }

    fn answer(&mut self, question: &[u8], position: Lsn) -> Result<Vec<u8>, PluginError> {
        self.position = self.position.max(position);
        codec::answer(question, |question| self.ask(question))
    }
}
