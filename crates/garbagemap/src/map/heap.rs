//! Records of the heap. The deleter is the record's own transaction, never the `xmax` in it, which may be a set of
//! transactions. Sources: `src/backend/access/heap/heapam_xlog.c` (before 18 `heapam.c`).

use pgwal::rmgr::heap::{DeleteFlags, Heap, Insert, InsertFlags, NewTuple, Update, UpdateFlags};
use pgwal::rmgr::heap2::{Heap2, MultiInsert};
use pgwal::{Block as BlockReference, Malformed, OffsetNumber, Record, RecordError, VisibilityMapPage, infomask};

use super::{GarbageMap, PAGE_SIZE};
use crate::block_range::Block;
use crate::page::check_offset;

/// A record without an image that does not tell what it puts on the page.
const NO_TUPLE: Malformed = Malformed::Truncated { field: "tuple", wanted: 1, available: 0 };

/// The bits of a record's info that tell its operation (`XLOG_HEAP_OPMASK`).
const OPERATION_MASK: u8 = 0x70;
/// `XLOG_HEAP2_PRUNE`, from 17 on `XLOG_HEAP2_PRUNE_ON_ACCESS`; in 13 `XLOG_HEAP2_CLEAN`, which vacuum writes too.
const PRUNE: u8 = 0x10;

/// The block reference that this kind of record always has.
fn needed<'r, 'a>(record: &'r Record<'a>, id: u8) -> Result<&'r BlockReference<'a>, RecordError> {
    record.block(id).ok_or_else(|| record.error(Malformed::NoBlock(id)))
}

/// The block that a vacuum has worked on, if the record is one that only vacuum writes. A vacuum that finds nothing to do
/// writes none.
///
/// - Line pointers freed by its second pass (14 to 16: `xl_heap_vacuum`), and pruning by it (17 and later, where the
///   operation tells it from that of a reader).
/// - Freezing (before 17 a record of its own).
/// - Bits of the visibility map, set by no transaction: `COPY FREEZE` sets them too, but has one.
fn vacuumed_block<'r, 'a>(record: &'r Record<'a>, heap2: &Heap2<'_>) -> Option<&'r BlockReference<'a>> {
    match heap2 {
        Heap2::Prune(_) if record.info & OPERATION_MASK != PRUNE => record.block(0),
        Heap2::FreezePage(_) => record.block(0),
        Heap2::Visible(_) if !record.xid.is_valid() => record.block(1),
        _ => None,
    }
}

impl GarbageMap {
    pub(super) fn apply_heap(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        let heap = Heap::parse(record)?;
        match &heap {
            Heap::Insert(insert) => {
                let block = needed(record, 0)?;
                if insert.flags.contains(InsertFlags::ALL_VISIBLE_CLEARED) {
                    self.clear_all_visible(block);
                }
                self.insert(record, block, insert)?;
            }
            Heap::Delete(delete) => {
                let block = needed(record, 0)?;
                if delete.flags.contains(DeleteFlags::ALL_VISIBLE_CLEARED) {
                    self.clear_all_visible(block);
                }
                let at_once = delete.flags.contains(DeleteFlags::IS_SUPER);
                self.delete(record, block, delete.offset, at_once)?;
            }
            Heap::Update(update) | Heap::HotUpdate(update) => {
                let block = needed(record, 0)?;
                let hot = matches!(heap, Heap::HotUpdate(_));
                self.relation(block.relation).activity.updated(hot);
                self.update(record, block, update)?;
            }
            Heap::Lock(_) | Heap::Confirm(_) | Heap::Inplace(_) | Heap::Truncate(_) => self.touch(record),
        }
        Ok(())
    }

    pub(super) fn insert(
        &mut self,
        record: &Record<'_>,
        block: &BlockReference<'_>,
        insert: &Insert,
    ) -> Result<(), RecordError> {
        let tuple = insert.new_tuple(block).map_err(|cause| record.error(cause))?;
        self.add_tuples(record, block, std::iter::once(insert.offset), tuple.as_slice())
    }

    /// Puts tuples on the page, unless the record holds the page.
    pub(super) fn add_tuples(
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
                check_offset(offset).map_err(|cause| record.error(cause))?;
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

    pub(super) fn delete(
        &mut self,
        record: &Record<'_>,
        block: &BlockReference<'_>,
        offset: OffsetNumber,
        at_once: bool,
    ) -> Result<(), RecordError> {
        check_offset(offset).map_err(|cause| record.error(cause))?;
        let Some(page) = self.page_to_change(record, block) else { return Ok(()) };
        if at_once {
            let died = u64::from(page.kill(offset));
            let (time, removable_before) = (self.time.unwrap_or(0), self.removable_before);
            self.relation(block.relation).activity.died(died, None, time, removable_before);
        } else {
            page.delete(offset, record.xid);
            self.transactions.wait(record.xid, block.relation, block.number);
        }
        Ok(())
    }

    pub(super) fn update(
        &mut self,
        record: &Record<'_>,
        new_block: &BlockReference<'_>,
        update: &Update,
    ) -> Result<(), RecordError> {
        let tuple = update.new_tuple(new_block).map_err(|cause| record.error(cause))?;
        let old_block = update.old_block(record).unwrap_or(new_block);
        if update.flags.contains(UpdateFlags::OLD_ALL_VISIBLE_CLEARED) {
            self.clear_all_visible(old_block);
        }
        if update.flags.contains(UpdateFlags::NEW_ALL_VISIBLE_CLEARED) {
            self.clear_all_visible(new_block);
        }
        if old_block.id == new_block.id {
            // One page, one image.
            if let Some(page) = self.page_to_change(record, new_block) {
                let tuple = tuple.ok_or_else(|| record.error(NO_TUPLE))?;
                for offset in [update.old_offset, update.new_offset] {
                    check_offset(offset).map_err(|cause| record.error(cause))?;
                }
                page.delete(update.old_offset, record.xid);
                page.insert(update.new_offset, tuple.length, Some(record.xid));
                self.transactions.wait(record.xid, new_block.relation, new_block.number);
            }
            return Ok(());
        }
        self.delete(record, old_block, update.old_offset, false)?;
        self.add_tuples(record, new_block, std::iter::once(update.new_offset), tuple.as_slice())
    }

    pub(super) fn apply_heap2(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        let heap2 = Heap2::parse(record)?;
        if let Some(block) = vacuumed_block(record, &heap2) {
            let time = self.time;
            self.relation(block.relation).activity.vacuumed(record.end, time);
        }
        match heap2 {
            Heap2::Prune(prune) => {
                let block = needed(record, 0)?;
                if let Some(page) = self.page_to_change(record, block)
                    && let Some(changes) = &prune.changes
                {
                    let redirected = changes.redirected.pairs().map(|(from, _)| from);
                    for offset in redirected.chain(changes.dead.iter()).chain(changes.unused.iter()) {
                        check_offset(offset).map_err(|cause| record.error(cause))?;
                    }
                    page.prune(changes, PAGE_SIZE, record.version);
                }
            }
            Heap2::Visible(visible) => {
                // Block 0 is the visibility map's, block 1 the heap's.
                let block = needed(record, 1)?;
                let relation = self.relation(block.relation);
                if visible.bits() & VisibilityMapPage::ALL_VISIBLE != 0 {
                    relation.set_all_visible(block.number, true);
                }
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
            Heap2::LockUpdated(_) | Heap2::FreezePage(_) => self.touch(record),
            Heap2::Rewrite | Heap2::CleanupInfo(_) | Heap2::NewCommandId(_) => {}
        }
        Ok(())
    }

    pub(super) fn multi_insert(&mut self, record: &Record<'_>, insert: &MultiInsert<'_>) -> Result<(), RecordError> {
        let block = needed(record, 0)?;
        if insert.flags.contains(InsertFlags::ALL_VISIBLE_CLEARED) {
            self.clear_all_visible(block);
        }
        let tuples = insert.new_tuples(block).map_err(|cause| record.error(cause))?;
        self.add_tuples(record, block, insert.offsets(), &tuples)?;
        if insert.flags.contains(InsertFlags::ALL_FROZEN_SET) {
            self.relation(block.relation).set_all_visible(block.number, true);
        }
        Ok(())
    }
}
