//! Records of the heap, second part: pruning, freezing, visibility, several tuples at once.
//! Source: `src/include/access/heapam_xlog.h`.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::heap_page::TupleHeader;
use crate::ids::{BlockNumber, OffsetNumber, RelFileLocator, TransactionId};
use crate::record::{Block, Record};
use crate::rmgr::heap::{INIT_PAGE, InsertFlags, Lock, NewTuple, OPERATION_MASK};
use crate::rmgr::{Offsets, block_id, is_catalog, locator, parse_main};
use crate::version::Version;

/// A record of resource manager Heap2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heap2<'a> {
    /// Logical rewrite mappings; no blocks.
    Rewrite,
    /// Line pointers were redirected, marked dead or freed.
    Prune(Prune<'a>),
    /// Tuples were frozen; nobody's visibility changes (before 17).
    FreezePage(FreezePage<'a>),
    /// Conflict information without a block (13 only): transactions up to this one conflict with it on a standby.
    CleanupInfo(TransactionId),
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prune<'a> {
    /// Transactions up to this one conflict with it on a standby, where the record says so.
    pub conflict_horizon: Option<TransactionId>,
    /// Whether the table is a catalogue as far as logical decoding is concerned (16 and later).
    pub is_catalog: bool,
    /// Number of redirections, as far as the main data tells (before 17).
    pub redirected_count: u16,
    /// Number of line pointers marked dead, as far as the main data tells (before 17).
    pub dead_count: u16,
    /// Number of line pointers freed, as far as the main data tells (`xl_heap_vacuum`, 14 to 16).
    pub unused_count: u16,
    /// The line pointers.
    pub changes: Option<PruneChanges<'a>>,
    /// Tuples that were frozen at the same time (17 and later).
    pub freeze_plans: Vec<FreezePlan<'a>>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezePage<'a> {
    /// Transactions before this one were frozen (15), or conflict (16).
    pub cutoff: TransactionId,
    /// Tuples (before 16), or plans (16).
    pub count: u16,
    /// Whether the table is a catalogue as far as logical decoding is concerned (16).
    pub is_catalog: bool,
    /// How the tuples were frozen (16), unless there is an image.
    pub plans: Option<Vec<FreezePlan<'a>>>,
}

/// Tuples that were frozen in the same way: `xl_heap_freeze_plan` of 16, `xlhp_freeze_plan` of 17 and later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreezePlan<'a> {
    /// Their new `xmax`, perhaps a set of transactions.
    pub xmax: TransactionId,
    /// Their new `t_infomask2`.
    pub infomask2: u16,
    /// Their new `t_infomask`.
    pub infomask: u16,
    /// `XLH_FREEZE_XVAC`, `XLH_INVALID_XVAC`.
    pub flags: u8,
    /// The tuples' line pointers.
    pub offsets: Offsets<'a>,
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
    pub block: BlockNumber,
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
                (0x20, Version::V13) => Self::FreezePage(FreezePage::parse(cursor, record)?),
                (0x30, Version::V13) => {
                    locator(cursor)?;
                    Self::CleanupInfo(TransactionId::new(cursor.u32("latestRemovedXid")?))
                }
                (0x20, _) => Self::Prune(Prune::parse_vacuum(cursor, record)?),
                (0x30, _) => Self::FreezePage(FreezePage::parse(cursor, record)?),
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
        let is_catalog = is_catalog(cursor, record.version)?;
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
        Ok(Self { conflict_horizon, is_catalog, redirected_count, dead_count, changes, ..Self::default() })
    }

    /// `xl_heap_vacuum` of 14 to 16.
    fn parse_vacuum(cursor: &mut Cursor<'a>, record: &Record<'a>) -> Result<Self, Malformed> {
        let unused_count = cursor.u16("nunused")?;
        let changes = block_data(record)?.map(|data| {
            let unused = Offsets::take(&mut Cursor::new(data), "nowunused", unused_count)?;
            Ok(PruneChanges { unused, ..PruneChanges::default() })
        });
        let changes = changes.transpose()?;
        Ok(Self { unused_count, changes, ..Self::default() })
    }

    /// `xl_heap_prune` of 17 and later. Its `reason` is never written: the operation tells.
    fn parse_17(cursor: &mut Cursor<'a>, record: &Record<'a>) -> Result<Self, Malformed> {
        const IS_CATALOG: u8 = 1 << 1;
        const CLEANUP_LOCK: u8 = 1 << 2;
        const HAS_CONFLICT_HORIZON: u8 = 1 << 3;
        const HAS_FREEZE_PLANS: u8 = 1 << 4;
        const HAS_REDIRECTIONS: u8 = 1 << 5;
        const HAS_DEAD_ITEMS: u8 = 1 << 6;
        const HAS_NOW_UNUSED_ITEMS: u8 = 1 << 7;

        cursor.u8("reason")?;
        let flags = cursor.u8("flags")?;
        let has = |flag| flags & flag != 0;
        let mut prune = Self { is_catalog: has(IS_CATALOG), ..Self::default() };
        if has(HAS_CONFLICT_HORIZON) {
            prune.conflict_horizon = Some(TransactionId::new(cursor.u32("snapshotConflictHorizon")?));
        }
        if let Some(data) = block_data(record)? {
            let mut data = Cursor::new(data);
            let mut plans = Cursor::new(&[]);
            if has(HAS_FREEZE_PLANS) {
                let count = usize::from(data.u16("nplans")?);
                data.skip("padding", 2)?;
                plans = Cursor::new(data.take("plans", count.saturating_mul(FreezePlan::SIZE))?);
            }
            let mut list = |flag, field, each: u16| match has(flag) {
                true => {
                    let count = data.u16(field)?;
                    Offsets::take(&mut data, field, count.saturating_mul(each))
                }
                false => Ok(Offsets::default()),
            };
            prune.changes = Some(PruneChanges {
                redirected: list(HAS_REDIRECTIONS, "redirected", 2)?,
                dead: list(HAS_DEAD_ITEMS, "nowdead", 1)?,
                unused: list(HAS_NOW_UNUSED_ITEMS, "nowunused", 1)?,
                repairs_fragmentation: has(CLEANUP_LOCK),
            });
            prune.freeze_plans = FreezePlan::list(plans, &mut data)?;
        }
        Ok(prune)
    }
}

impl<'a> FreezePlan<'a> {
    const SIZE: usize = 12;

    /// Plans, and line pointers for all of them behind them.
    fn list(mut plans: Cursor<'a>, offsets: &mut Cursor<'a>) -> Result<Vec<Self>, Malformed> {
        let mut list = Vec::with_capacity(plans.rest().len() / Self::SIZE);
        while !plans.is_empty() {
            let xmax = TransactionId::new(plans.u32("xmax")?);
            let infomask2 = plans.u16("t_infomask2")?;
            let infomask = plans.u16("t_infomask")?;
            let flags = plans.u8("frzflags")?;
            plans.skip("padding", 1)?;
            let count = plans.u16("ntuples")?;
            let offsets = Offsets::take(offsets, "offsets", count)?;
            list.push(Self { xmax, infomask2, infomask, flags, offsets });
        }
        Ok(list)
    }
}

impl<'a> FreezePage<'a> {
    fn parse(cursor: &mut Cursor<'a>, record: &Record<'a>) -> Result<Self, Malformed> {
        let cutoff = TransactionId::new(cursor.u32("cutoff_xid")?);
        let count = cursor.u16("ntuples")?;
        let is_catalog = is_catalog(cursor, record.version)?;
        let mut plans = None;
        // Before 16, each tuple has a plan of its own.
        if let Some(data) = block_data(record)?.filter(|_| record.version >= Version::V16) {
            let mut data = Cursor::new(data);
            let bytes = data.take("plans", usize::from(count).saturating_mul(FreezePlan::SIZE))?;
            plans = Some(FreezePlan::list(Cursor::new(bytes), &mut data)?);
        }
        Ok(Self { cutoff, count, is_catalog, plans })
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
        let block = block_id(cursor)?;
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
