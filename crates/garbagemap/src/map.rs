//! What each record means for garbage.
//!
//! Only the main fork counts, and the visibility map. The deleter is the record's own transaction, never the `xmax` in
//! it, which may be a set of transactions. An image that redo applies is the page after the record: then the record's
//! other content is not applied on top. Sources: `src/backend/access/heap/heapam_xlog.c` (before 18 `heapam.c`),
//! `src/backend/access/transam/xact.c`, `src/backend/catalog/storage.c`.

use std::collections::HashMap;

use pgwal::rmgr::dbase::Dbase;
use pgwal::rmgr::heap::{DeleteFlags, Heap, Insert, InsertFlags, LockFlags, NewTuple, Update, UpdateFlags};
use pgwal::rmgr::heap2::{Heap2, MultiInsert};
use pgwal::rmgr::multixact::MultiXact;
use pgwal::rmgr::smgr::Smgr;
use pgwal::rmgr::standby::Standby;
use pgwal::rmgr::xact::Xact;
use pgwal::rmgr::xlog::{Checkpoint, Xlog};
use pgwal::{
    Block as BlockReference, Fork, HeapPage, Image, Lsn, Malformed, OffsetNumber, Record, RecordError, RelFileLocator,
    TransactionId, VisibilityMapPage, infomask,
};
use walker_core::{Plugin, PluginError};

use crate::block_range::Block;
use crate::inexact::Inexact;
use crate::multixacts::MultiXacts;
use crate::page::TrackedPage;
use crate::page_image;
use crate::question::{Answer, Question, RelationAnswer};
use crate::relation::{Relation, RelationSummary};
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
const PAGE_SIZE: u16 = 8192;
/// A question that a person can ask, for the answer to one that is none.
const EXAMPLE_QUESTION: &str = "\"Position\"";
/// A record without an image that does not tell what it puts on the page.
const NO_TUPLE: Malformed = Malformed::Truncated { field: "tuple", wanted: 1, available: 0 };
/// Both bits of the visibility map.
const BOTH: u8 = VisibilityMapPage::ALL_VISIBLE | VisibilityMapPage::ALL_FROZEN;

/// The dead tuples of all heaps, by block.
#[derive(Debug)]
pub struct GarbageMap {
    relations: HashMap<RelFileLocator, Relation>,
    transactions: Transactions,
    multixacts: MultiXacts,
    position: Lsn,
    full_page_writes: bool,
    /// What makes all numbers inexact.
    everywhere: Option<Inexact>,
    page: Box<[u8]>,
    images_compared: u64,
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
            relations: HashMap::new(),
            transactions: Transactions::default(),
            multixacts: MultiXacts::default(),
            position: Lsn::INVALID,
            full_page_writes: true,
            everywhere: None,
            page: vec![0; usize::from(PAGE_SIZE)].into_boxed_slice(),
            images_compared: 0,
        }
    }

    /// End of the last record that it was told: the position for which all answers hold.
    #[must_use]
    pub fn position(&self) -> Lsn {
        self.position
    }

    /// Page images that were compared with what the records before them had led to, as there are where
    /// `wal_consistency_checking` is set. A difference makes the relation inexact.
    #[must_use]
    pub fn images_compared(&self) -> u64 {
        self.images_compared
    }

    /// Totals of the relations of which something is known, in no order.
    pub fn relations(&self) -> impl Iterator<Item = (RelFileLocator, RelationSummary)> {
        self.relations.iter().map(|(locator, relation)| (*locator, relation.summary(self.everywhere)))
    }

    /// Answers a question for the present position.
    #[must_use]
    pub fn ask(&self, question: &Question) -> Answer {
        match question {
            Question::Position => Answer::Position(self.position.get()),
            Question::Relation { relation: (tablespace, database, number), blocks_per_range, total_blocks } => {
                let unknown = Relation::default();
                let locator = RelFileLocator::new(*tablespace, *database, *number);
                let relation = self.relations.get(&locator).unwrap_or(&unknown);
                Answer::Relation(RelationAnswer {
                    position: self.position.get(),
                    ranges: relation.range_summaries(*blocks_per_range, *total_blocks),
                    inexact: relation.inexact.or(self.everywhere).map(|cause| cause.to_string()),
                })
            }
        }
    }

    /// The log is written with `wal_level = minimal`: nothing is exact then.
    pub fn set_wal_level_minimal(&mut self, minimal: bool) {
        if minimal {
            self.everywhere = Some(Inexact::WalLevelMinimal);
        }
    }

    fn relation(&mut self, locator: RelFileLocator) -> &mut Relation {
        self.relations.entry(locator).or_default()
    }

    /// The page that the record changes, as it was before, unless the record holds it as it is afterwards (then it is
    /// taken from there) or it is not known.
    fn page_to_change(&mut self, record: &Record<'_>, block: &BlockReference<'_>) -> Option<&mut TrackedPage> {
        if block.fork != Fork::MAIN {
            return None;
        }
        if let Some(image) = block.applied_image() {
            self.take_image(record, block, image);
            return None;
        }
        let relation = self.relations.entry(block.relation).or_default();
        if block.will_init() {
            let page = TrackedPage::initialised(PAGE_SIZE);
            relation.set_block(block.number, Block::Tracked(Box::new(page)));
        }
        let complete = relation.complete;
        match relation.block(block.number) {
            Some(Block::Tracked(_)) => {}
            // Not seen yet in a relation that was there before, or already given up.
            None if !complete => return None,
            Some(Block::Lost) => return None,
            None | Some(Block::Counted(_)) => {
                relation.set_block(block.number, Block::Lost);
                relation.note(Inexact::ChangedWithoutImage(record.lsn));
                return None;
            }
        }
        match relation.block(block.number) {
            Some(Block::Tracked(page)) => {
                page.last_lsn = record.end;
                Some(page)
            }
            _ => None,
        }
    }

    /// The image is the page after the record.
    fn take_image(&mut self, record: &Record<'_>, block: &BlockReference<'_>, image: &Image<'_>) {
        let read = self.read_image(image);
        let relation = self.relation(block.relation);
        match read {
            Ok(None) => {}
            Ok(Some((mut page, inexact))) => {
                page.last_lsn = record.end;
                if let Some(cause) = inexact {
                    relation.note(cause);
                }
                let waiting: Vec<_> = page.pending.iter().map(|pending| pending.xid).collect();
                relation.set_block(block.number, Block::Tracked(Box::new(page)));
                for xid in waiting {
                    self.transactions.wait(xid, block.relation, block.number);
                }
            }
            Err(NotUnderstood) => {
                relation.set_block(block.number, Block::Lost);
                relation.note(Inexact::NotUnderstood(record.lsn));
            }
        }
    }

    /// `None` for a page with special space: that of an index or a sequence.
    fn read_image(&mut self, image: &Image<'_>) -> Result<Option<(TrackedPage, Option<Inexact>)>, NotUnderstood> {
        image.restore(&mut self.page).map_err(|_| NotUnderstood)?;
        let page = HeapPage::parse(&self.page).map_err(|_| NotUnderstood)?;
        if page.has_special_space() {
            return Ok(None);
        }
        page_image::read(&page, &self.transactions, &self.multixacts).map(Some).map_err(|_| NotUnderstood)
    }

    /// An image that redo does not apply is there to check redo by: it must be what the record led to.
    fn compare_image(&mut self, record: &Record<'_>, block: &BlockReference<'_>) {
        let Some(image) = block.image.filter(|image| !image.apply) else { return };
        if block.fork != Fork::MAIN {
            return;
        }
        let Ok(Some((after, _))) = self.read_image(&image) else { return };
        let Some(relation) = self.relations.get_mut(&block.relation) else { return };
        if let Some(Block::Tracked(page)) = relation.block(block.number) {
            let same = page.same_items(&after) && page.counts().dead_tuples == after.counts().dead_tuples;
            self.images_compared += 1;
            if !same {
                relation.note(Inexact::DiffersFromImage(record.lsn));
            }
        }
    }

    /// A record of a kind or form that is not understood: what it changed is not known any more.
    fn give_up(&mut self, record: &Record<'_>) {
        for block in record.blocks.iter().filter(|block| block.fork == Fork::MAIN) {
            if let Some(relation) = self.relations.get_mut(&block.relation) {
                relation.set_block(block.number, Block::Lost);
                relation.note(Inexact::NotUnderstood(record.lsn));
            }
        }
    }

    fn clear_visibility(&mut self, block: Option<&BlockReference<'_>>, bits: u8) {
        if let Some(block) = block.filter(|block| block.fork == Fork::MAIN)
            && let Some(relation) = self.relations.get_mut(&block.relation)
        {
            relation.set_visibility(block.number, 0, bits);
        }
    }

    fn apply_heap(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        let heap = Heap::parse(record)?;
        let first = record.block(0);
        match &heap {
            Heap::Insert(insert) => {
                let block = needed(record, first)?;
                if insert.flags.contains(InsertFlags::ALL_VISIBLE_CLEARED) {
                    self.clear_visibility(first, BOTH);
                }
                self.insert(record, block, insert)?;
            }
            Heap::Delete(delete) => {
                let block = needed(record, first)?;
                if delete.flags.contains(DeleteFlags::ALL_VISIBLE_CLEARED) {
                    self.clear_visibility(first, BOTH);
                }
                let at_once = delete.flags.contains(DeleteFlags::IS_SUPER);
                self.delete(record, block, delete.offset, at_once);
            }
            Heap::Update(update) | Heap::HotUpdate(update) => self.update(record, needed(record, first)?, update)?,
            Heap::Lock(lock) => {
                if lock.flags.contains(LockFlags::ALL_FROZEN_CLEARED) {
                    self.clear_visibility(first, VisibilityMapPage::ALL_FROZEN);
                }
                self.touch(record);
            }
            Heap::Confirm(_) | Heap::Inplace(_) | Heap::Truncate(_) => self.touch(record),
        }
        Ok(())
    }

    /// The record changes nothing that counts, but may hold images, and makes pages younger.
    fn touch(&mut self, record: &Record<'_>) {
        for block in &record.blocks {
            self.page_to_change(record, block);
        }
    }

    fn insert(&mut self, record: &Record<'_>, block: &BlockReference<'_>, insert: &Insert) -> Result<(), RecordError> {
        let tuple = insert.new_tuple(block).map_err(|cause| record.error(cause))?;
        self.add_tuples(record, block, std::iter::once(insert.offset), tuple.as_slice())
    }

    /// Puts tuples on the page, unless the record holds the page.
    fn add_tuples(
        &mut self,
        record: &Record<'_>,
        block: &BlockReference<'_>,
        offsets: impl Iterator<Item = OffsetNumber>,
        tuples: &[NewTuple],
    ) -> Result<(), RecordError> {
        let mut waits = false;
        if let Some(page) = self.page_to_change(record, block) {
            let mut tuples = tuples.iter();
            for offset in offsets {
                let tuple = tuples.next().ok_or_else(|| record.error(NO_TUPLE))?;
                let frozen = tuple.infomask & infomask::XMIN_FROZEN == infomask::XMIN_FROZEN;
                page.insert(offset, tuple.length, (!frozen).then_some(record.xid));
                waits |= !frozen;
            }
        }
        if waits {
            self.transactions.wait(record.xid, block.relation, block.number);
        }
        Ok(())
    }

    fn delete(&mut self, record: &Record<'_>, block: &BlockReference<'_>, offset: OffsetNumber, at_once: bool) {
        let Some(page) = self.page_to_change(record, block) else { return };
        if at_once {
            page.kill(offset);
        } else {
            page.delete(offset, record.xid);
            self.transactions.wait(record.xid, block.relation, block.number);
        }
    }

    fn update(
        &mut self,
        record: &Record<'_>,
        new_block: &BlockReference<'_>,
        update: &Update,
    ) -> Result<(), RecordError> {
        let tuple = update.new_tuple(new_block).map_err(|cause| record.error(cause))?;
        let old_block = update.old_block(record).unwrap_or(new_block);
        if update.flags.contains(UpdateFlags::OLD_ALL_VISIBLE_CLEARED) {
            self.clear_visibility(Some(old_block), BOTH);
        }
        if update.flags.contains(UpdateFlags::NEW_ALL_VISIBLE_CLEARED) {
            self.clear_visibility(Some(new_block), BOTH);
        }
        if old_block.id == new_block.id {
            // One page, one image.
            if let Some(page) = self.page_to_change(record, new_block) {
                let tuple = tuple.ok_or_else(|| record.error(NO_TUPLE))?;
                page.delete(update.old_offset, record.xid);
                page.insert(update.new_offset, tuple.length, Some(record.xid));
                self.transactions.wait(record.xid, new_block.relation, new_block.number);
            }
            return Ok(());
        }
        self.delete(record, old_block, update.old_offset, false);
        self.add_tuples(record, new_block, std::iter::once(update.new_offset), tuple.as_slice())
    }

    fn apply_heap2(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        match Heap2::parse(record)? {
            Heap2::Prune(prune) => {
                let block = needed(record, record.block(0))?;
                if let Some(page) = self.page_to_change(record, block)
                    && let Some(changes) = &prune.changes
                {
                    page.prune(changes, PAGE_SIZE, record.version);
                }
            }
            Heap2::Visible(visible) => {
                // Block 0 is the visibility map's, block 1 the heap's.
                let block = needed(record, record.block(1))?;
                let relation = self.relation(block.relation);
                relation.set_visibility(block.number, visible.bits(), 0);
                // The page itself is not changed, though with checksums its LSN is: so nothing is lost of a settled
                // one.
                if let Some(Block::Tracked(page)) = relation.block(block.number) {
                    page.last_lsn = record.end;
                }
                if let Some(image) = block.applied_image() {
                    self.take_image(record, block, image);
                }
            }
            Heap2::MultiInsert(insert) => self.multi_insert(record, &insert)?,
            Heap2::LockUpdated(lock) => {
                if lock.flags.contains(LockFlags::ALL_FROZEN_CLEARED) {
                    self.clear_visibility(record.block(0), VisibilityMapPage::ALL_FROZEN);
                }
                self.touch(record);
            }
            Heap2::FreezePage(_) => self.touch(record),
            Heap2::Rewrite | Heap2::CleanupInfo | Heap2::NewCommandId(_) => {}
        }
        Ok(())
    }

    fn multi_insert(&mut self, record: &Record<'_>, insert: &MultiInsert<'_>) -> Result<(), RecordError> {
        let block = needed(record, record.block(0))?;
        if insert.flags.contains(InsertFlags::ALL_VISIBLE_CLEARED) {
            self.clear_visibility(Some(block), BOTH);
        }
        let tuples = insert.new_tuples(block).map_err(|cause| record.error(cause))?;
        self.add_tuples(record, block, insert.offsets(), &tuples)?;
        if insert.flags.contains(InsertFlags::ALL_FROZEN_SET) {
            self.relation(block.relation).set_visibility(block.number, BOTH, 0);
        }
        Ok(())
    }

    fn apply_xlog(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        match Xlog::parse(record)? {
            Xlog::Image | Xlog::ImageForHint => self.take_page_images(record),
            Xlog::CheckpointShutdown(checkpoint) => {
                self.end_lost_transactions(checkpoint.next_xid());
                self.checkpoint(&checkpoint);
            }
            Xlog::CheckpointOnline(checkpoint) => self.checkpoint(&checkpoint),
            Xlog::EndOfRecovery(_) => self.end_of_recovery(),
            Xlog::FullPageWrites(on) => self.full_page_writes = on,
            Xlog::ParameterChange(change) => self.set_wal_level_minimal(change.wal_level == 0),
            _ => {}
        }
        Ok(())
    }

    /// Pages of any kind that were logged as a whole.
    fn take_page_images(&mut self, record: &Record<'_>) {
        for block in &record.blocks {
            let Some(image) = block.applied_image() else { continue };
            match block.fork {
                Fork::MAIN => self.take_image(record, block, image),
                Fork::VISIBILITY_MAP => self.take_visibility_map(block, image),
                _ => {}
            }
        }
    }

    fn take_visibility_map(&mut self, block: &BlockReference<'_>, image: &Image<'_>) {
        if image.restore(&mut self.page).is_err() {
            return;
        }
        let map = VisibilityMapPage::new(&self.page, block.number);
        let relation = self.relations.entry(block.relation).or_default();
        relation.clear_visibility(map.blocks().start, map.blocks().end);
        for (number, bits) in map.set_bits() {
            relation.set_visibility(number, bits, 0);
        }
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        self.full_page_writes = checkpoint.full_page_writes;
        if checkpoint.wal_level == Some(0) {
            self.set_wal_level_minimal(true);
        }
        self.transactions.forget_before(checkpoint.oldest_xid);
        self.multixacts.forget_before(checkpoint.oldest_multi);
        if self.full_page_writes {
            self.relations.values_mut().for_each(|relation| relation.settle(checkpoint.redo));
        }
    }

    /// All transactions before `next` that did not end and were not prepared are lost.
    fn end_lost_transactions(&mut self, next: TransactionId) {
        for xid in self.transactions.restart(next) {
            self.end_transaction(xid, false);
        }
    }

    /// Recovery ended without a checkpoint. Which transaction comes next is not told: all that blocks wait for count.
    fn end_of_recovery(&mut self) {
        if let Some(newest) = self.transactions.newest_pending() {
            self.end_lost_transactions(TransactionId::new(newest.get().wrapping_add(1)));
        }
    }

    fn end_transaction(&mut self, xid: TransactionId, committed: bool) {
        for (locator, number) in self.transactions.end(xid, committed) {
            if let Some(relation) = self.relations.get_mut(&locator)
                && let Some(Block::Tracked(page)) = relation.block(number)
            {
                page.finish(xid, committed);
            }
        }
    }

    fn apply_xact(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        let (end, committed) = match Xact::parse(record)? {
            Xact::Commit(end) => (end, true),
            Xact::Abort(end) => (end, false),
            Xact::Prepare(prepare) => {
                self.transactions.prepare(prepare.xid);
                prepare.subtransactions.iter().for_each(|xid| self.transactions.prepare(*xid));
                return Ok(());
            }
            _ => return Ok(()),
        };
        for xid in end.subtransactions.iter().copied().chain(end.xid.is_valid().then_some(end.xid)) {
            self.end_transaction(xid, committed);
        }
        for locator in &end.relations {
            self.relations.remove(locator);
        }
        Ok(())
    }

    fn apply_smgr(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        match Smgr::parse(record)? {
            Smgr::Create { relation, fork } if fork == Fork::MAIN => {
                self.relations.insert(relation, Relation::created());
            }
            Smgr::Truncate(truncate) => {
                if let Some(relation) = self.relations.get_mut(&truncate.relation) {
                    relation.truncate(truncate.block, truncate.heap(), truncate.visibility_map());
                }
            }
            Smgr::Create { .. } | Smgr::Unknown => {}
        }
        Ok(())
    }

    fn apply_dbase(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        if let Dbase::Drop { database, tablespaces } = Dbase::parse(record)? {
            self.relations
                .retain(|locator, _| locator.database != database || !tablespaces.contains(&locator.tablespace));
        }
        Ok(())
    }

    fn apply_standby(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        if let Standby::RunningXacts(running) = Standby::parse(record)? {
            for xid in self.transactions.running(running.oldest_running_xid) {
                self.give_up_transaction(xid);
            }
        }
        Ok(())
    }

    /// The transaction ended before the walk began: whether it committed is not in the log.
    fn give_up_transaction(&mut self, xid: TransactionId) {
        for (locator, _) in self.transactions.give_up(xid) {
            if let Some(relation) = self.relations.get_mut(&locator) {
                relation.note(Inexact::UnknownTransaction(xid));
            }
        }
    }

    /// After a record: it is part of the answers now. What was not understood is given up.
    fn done(&mut self, record: &Record<'_>, result: Result<(), RecordError>) -> Result<(), PluginError> {
        match result {
            Ok(()) => record.blocks.iter().for_each(|block| self.compare_image(record, block)),
            Err(_) => self.give_up(record),
        }
        Ok(())
    }
}

/// A page image could not be turned into a page.
struct NotUnderstood;

fn needed<'r, 'a>(
    record: &Record<'_>,
    block: Option<&'r BlockReference<'a>>,
) -> Result<&'r BlockReference<'a>, RecordError> {
    block.ok_or_else(|| record.error(Malformed::NoBlock(0)))
}

impl Plugin for GarbageMap {
    fn name(&self) -> &str {
        "garbagemap"
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        let result = walker_core::dispatch(self, record);
        self.position = record.end;
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
        let question: Question = serde_json::from_slice(question)
            .map_err(|error| format!("the question is not understood: {error}; try {EXAMPLE_QUESTION}"))?;
        Ok(serde_json::to_vec(&self.ask(&question))?)
    }
}
