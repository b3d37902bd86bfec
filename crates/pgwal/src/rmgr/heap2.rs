//! Records of the heap, second part: pruning, freezing, visibility, several tuples at once.
//! Source: `src/include/access/heapam_xlog.h`.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::heap_page::TupleHeader;
use crate::ids::{OffsetNumber, RelFileLocator, TransactionId};
use crate::record::{Block, Record};
use crate::rmgr::heap::{INIT_PAGE, InsertFlags, Lock, NewTuple, OPERATION_MASK};
use crate::rmgr::{Offsets, locator, parse_main};
use crate::version::Version;

/// A record of resource manager Heap2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heap2<'a> {
    /// Logical rewrite mappings; no blocks.
    Rewrite,
    /// Line pointers were redirected, marked dead or freed.
    Prune(Prune<'a>),
    /// Tuples were frozen; nobody's visibility changes (before 17).
    FreezePage(FreezePage),
    /// Conflict information without a block (13 only).
    CleanupInfo,
    /// Bits of the visibility map (block 0) were set for a page (block 1).
    Visible(Visible),
    /// Several tuples were put on the page of block 0.
    MultiInsert(MultiInsert<'a>),
    /// An updated version of a row was locked.
    LockUpdated(Lock),
    /// Command numbers, for logical decoding; no blocks.
    NewCommandId(NewCommandId),
}

/// What became of line pointers of block 0: `xl_heap_prune` in all its forms, `xl_heap_clean`, `xl_heap_vacuum`.
///
/// If the record holds a page image, the lists are mostly not in it: [`Prune::changes`] is `None` then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune<'a> {
    /// Transactions up to this one conflict with it on a standby, where the record says so.
    pub conflict_horizon: Option<TransactionId>,
    /// Number of redirections, as far as the main data tells (before 17).
    pub redirected_count: u16,
    /// Number of line pointers marked dead, as far as the main data tells (before 17).
    pub dead_count: u16,
    /// Number of line pointers freed, as far as the main data tells (`xl_heap_vacuum`, 14 to 16).
    pub unused_count: u16,
    /// The line pointers.
    pub changes: Option<PruneChanges<'a>>,
}

/// The line pointers of a [`Prune`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PruneChanges<'a> {
    /// Pairs: from and to.
    pub redirected: Offsets<'a>,
    /// Now dead.
    pub dead: Offsets<'a>,
    /// Now unused.
    pub unused: Offsets<'a>,
    /// Whether the page's tuples were moved together (`PageRepairFragmentation`), or only line pointers freed.
    pub repairs_fragmentation: bool,
}

/// `xl_heap_freeze_page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreezePage {
    /// Transactions before this one were frozen (15), or conflict (16).
    pub cutoff: TransactionId,
    /// Tuples (before 16), or plans (16).
    pub count: u16,
}

/// `xl_heap_visible`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visible {
    /// Transactions up to this one conflict on a standby.
    pub cutoff: TransactionId,
    /// Bits of the visibility map, and 4 for a catalogue (16 and later).
    pub flags: u8,
}

impl Visible {
    /// The bits that were set: see [`crate::VisibilityMapPage`].
    #[must_use]
    pub const fn bits(&self) -> u8 {
        self.flags & 3
    }
}

/// `xl_heap_multi_insert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiInsert<'a> {
    /// `XLH_INSERT_*`.
    pub flags: InsertFlags,
    /// How many tuples.
    pub count: u16,
    /// Whether the page is made anew; the line pointers are 1 to `count` then.
    pub init_page: bool,
    offsets: Offsets<'a>,
}

/// `xl_heap_new_cid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewCommandId {
    /// The top transaction.
    pub top_xid: TransactionId,
    /// `cmin`.
    pub cmin: u32,
    /// `cmax`.
    pub cmax: u32,
    /// `combocid`.
    pub combo: u32,
    /// The relation.
    pub relation: RelFileLocator,
    /// Block of the tuple.
    pub block: u32,
    /// Line pointer of the tuple.
    pub offset: OffsetNumber,
}

impl<'a> Heap2<'a> {
    /// Reads a record of resource manager Heap2.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'a>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match (record.info & OPERATION_MASK, record.version) {
                (0x00, _) => Self::Rewrite,
                (0x10 | 0x20 | 0x30, Version::V17 | Version::V18) => Self::Prune(Prune::parse_17(cursor, record)?),
                (0x10, _) => Self::Prune(Prune::parse_prune(cursor, record)?),
                (0x20, Version::V13) => Self::FreezePage(FreezePage::parse(cursor)?),
                (0x30, Version::V13) => Self::CleanupInfo,
                (0x20, _) => Self::Prune(Prune::parse_vacuum(cursor, record)?),
                (0x30, _) => Self::FreezePage(FreezePage::parse(cursor)?),
                (0x40, _) => Self::Visible(Visible {
                    cutoff: TransactionId::new(cursor.u32("snapshotConflictHorizon")?),
                    flags: cursor.u8("flags")?,
                }),
                (0x50, _) => Self::MultiInsert(MultiInsert::parse(cursor, record.info & INIT_PAGE != 0)?),
                (0x60, _) => Self::LockUpdated(Lock::parse(cursor)?),
                _ => Self::NewCommandId(NewCommandId::parse(cursor)?),
            })
        })
    }
}

/// Data of block 0, or `None` if there is none: then the page has an image.
fn block_data<'a>(record: &Record<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    let block = record.block(0).ok_or(Malformed::NoBlock(0))?;
    Ok((!block.data.is_empty()).then_some(block.data))
}

impl<'a> Prune<'a> {
    /// `xl_heap_prune` of 14 to 16, `xl_heap_clean` of 13.
    fn parse_prune(cursor: &mut Cursor<'a>, record: &Record<'a>) -> Result<Self, Malformed> {
        let conflict_horizon = Some(TransactionId::new(cursor.u32("latestRemovedXid")?));
        let redirected_count = cursor.u16("nredirected")?;
        let dead_count = cursor.u16("ndead")?;
        let changes = block_data(record)?.map(|data| {
            let mut data = Cursor::new(data);
            Ok(PruneChanges {
                redirected: Offsets::take(&mut data, "redirected", redirected_count.saturating_mul(2))?,
                dead: Offsets::take(&mut data, "nowdead", dead_count)?,
                unused: Offsets::new(data.rest()),
                repairs_fragmentation: true,
            })
        });
        let changes = changes.transpose()?;
        Ok(Self { conflict_horizon, redirected_count, dead_count, unused_count: 0, changes })
    }

    /// `xl_heap_vacuum` of 14 to 16.
    fn parse_vacuum(cursor: &mut Cursor<'a>, record: &Record<'a>) -> Result<Self, Malformed> {
        let unused_count = cursor.u16("nunused")?;
        let changes = block_data(record)?.map(|data| {
            let unused = Offsets::take(&mut Cursor::new(data), "nowunused", unused_count)?;
            Ok(PruneChanges { unused, ..PruneChanges::default() })
        });
        let changes = changes.transpose()?;
        Ok(Self { conflict_horizon: None, redirected_count: 0, dead_count: 0, unused_count, changes })
    }

    /// `xl_heap_prune` of 17 and later. Its `reason` is never written: the operation tells.
    fn parse_17(cursor: &mut Cursor<'a>, record: &Record<'a>) -> Result<Self, Malformed> {
        const CLEANUP_LOCK: u8 = 1 << 2;
        const HAS_CONFLICT_HORIZON: u8 = 1 << 3;
        const HAS_FREEZE_PLANS: u8 = 1 << 4;
        const HAS_REDIRECTIONS: u8 = 1 << 5;
        const HAS_DEAD_ITEMS: u8 = 1 << 6;
        const HAS_NOW_UNUSED_ITEMS: u8 = 1 << 7;
        const FREEZE_PLAN_SIZE: usize = 12;

        cursor.u8("reason")?;
        let flags = cursor.u8("flags")?;
        let has = |flag| flags & flag != 0;
        let conflict_horizon = match has(HAS_CONFLICT_HORIZON) {
            true => Some(TransactionId::new(cursor.u32("snapshotConflictHorizon")?)),
            false => None,
        };
        let mut changes = None;
        if let Some(data) = block_data(record)? {
            let mut data = Cursor::new(data);
            if has(HAS_FREEZE_PLANS) {
                let plans = usize::from(data.u16("nplans")?);
                data.skip("padding", 2)?;
                data.skip("plans", plans.saturating_mul(FREEZE_PLAN_SIZE))?;
            }
            let mut list = |flag, field, each: u16| match has(flag) {
                true => {
                    let count = data.u16(field)?;
                    Offsets::take(&mut data, field, count.saturating_mul(each))
                }
                false => Ok(Offsets::default()),
            };
            changes = Some(PruneChanges {
                redirected: list(HAS_REDIRECTIONS, "redirected", 2)?,
                dead: list(HAS_DEAD_ITEMS, "nowdead", 1)?,
                unused: list(HAS_NOW_UNUSED_ITEMS, "nowunused", 1)?,
                repairs_fragmentation: has(CLEANUP_LOCK),
            });
        }
        Ok(Self { conflict_horizon, redirected_count: 0, dead_count: 0, unused_count: 0, changes })
    }
}

impl FreezePage {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let cutoff = TransactionId::new(cursor.u32("cutoff_xid")?);
        Ok(Self { cutoff, count: cursor.u16("ntuples")? })
    }
}

impl<'a> MultiInsert<'a> {
    fn parse(cursor: &mut Cursor<'a>, init_page: bool) -> Result<Self, Malformed> {
        let flags = InsertFlags::from_bits_retain(cursor.u8("flags")?);
        cursor.skip("padding", 1)?;
        let count = cursor.u16("ntuples")?;
        let offsets = if init_page { Offsets::default() } else { Offsets::take(cursor, "offsets", count)? };
        Ok(Self { flags, count, init_page, offsets })
    }

    /// Line pointers of the tuples, in order.
    pub fn offsets(&self) -> impl Iterator<Item = OffsetNumber> + use<'a> {
        let given = self.offsets;
        let numbered = if self.init_page { self.count } else { 0 };
        (1..=numbered).map(OffsetNumber::new).chain(given.iter())
    }

    /// What the record says of each tuple, in the order of [`MultiInsert::offsets`]; empty if block 0 has no data.
    ///
    /// # Errors
    /// [`Malformed`] if the data is cut off.
    pub fn new_tuples(&self, block: &Block<'_>) -> Result<Vec<NewTuple>, Malformed> {
        let mut tuples = Vec::new();
        if block.data.is_empty() {
            return Ok(tuples);
        }
        let mut cursor = Cursor::new(block.data);
        for _ in 0..self.count {
            // Each xl_multi_insert_tuple begins at an even offset (SHORTALIGN).
            if !cursor.taken().is_multiple_of(2) {
                cursor.skip("padding", 1)?;
            }
            let data_len = cursor.u16("datalen")?;
            let infomask2 = cursor.u16("t_infomask2")?;
            let infomask = cursor.u16("t_infomask")?;
            cursor.u8("t_hoff")?;
            cursor.skip("tuple data", usize::from(data_len))?;
            tuples.push(NewTuple { infomask2, infomask, length: data_len.saturating_add(TupleHeader::SIZE) });
        }
        Ok(tuples)
    }
}

impl NewCommandId {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let top_xid = TransactionId::new(cursor.u32("top_xid")?);
        let cmin = cursor.u32("cmin")?;
        let cmax = cursor.u32("cmax")?;
        let combo = cursor.u32("combocid")?;
        let relation = locator(cursor)?;
        let block = u32::from(cursor.u16("bi_hi")?) << 16 | u32::from(cursor.u16("bi_lo")?);
        let offset = OffsetNumber::new(cursor.u16("ip_posid")?);
        Ok(Self { top_xid, cmin, cmax, combo, relation, block, offset })
    }
}

/// Name of the operation as in `heap2_identify`; `None` for one that does not exist.
#[must_use]
pub fn identify(info: u8, version: Version) -> Option<&'static str> {
    let pruning_has_reasons = version >= Version::V17;
    Some(match (info & 0xF0, pruning_has_reasons) {
        (0x00, _) => "REWRITE",
        (0x10, true) => "PRUNE_ON_ACCESS",
        (0x20, true) => "PRUNE_VACUUM_SCAN",
        (0x30, true) => "PRUNE_VACUUM_CLEANUP",
        (0x10, false) if version == Version::V13 => "CLEAN",
        (0x20, false) if version == Version::V13 => "FREEZE_PAGE",
        (0x30, false) if version == Version::V13 => "CLEANUP_INFO",
        (0x10, false) => "PRUNE",
        (0x20, false) => "VACUUM",
        (0x30, false) => "FREEZE_PAGE",
        (0x40, _) => "VISIBLE",
        (0x50, _) => "MULTI_INSERT",
        (0xD0, _) => "MULTI_INSERT+INIT",
        (0x60, _) => "LOCK_UPDATED",
        (0x70, _) => "NEW_CID",
        _ => return None,
    })
}
