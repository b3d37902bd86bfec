//! Records of the heap: insert, update, delete, lock. Source: `src/include/access/heapam_xlog.h`,
//! `src/backend/access/heap/heapam_xlog.c` (before 18 `heapam.c`).

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::heap_page::TupleHeader;
use crate::ids::{Fork, OffsetNumber, Oid, TransactionId};
use crate::record::{Block, Record};
use crate::rmgr::{parse_main, standby::Invalidations};
use crate::version::Version;

/// Bits of the info byte that tell the operation (`XLOG_HEAP_OPMASK`).
pub const OPERATION_MASK: u8 = 0x70;
/// `XLOG_HEAP_INSERT`.
pub(crate) const INSERT: u8 = 0x00;
/// `XLOG_HEAP_UPDATE`.
pub(crate) const UPDATE: u8 = 0x20;
/// `XLOG_HEAP_HOT_UPDATE`.
pub(crate) const HOT_UPDATE: u8 = 0x40;
/// The page of block reference 0 is made anew (`XLOG_HEAP_INIT_PAGE`).
pub const INIT_PAGE: u8 = 0x80;

bitflags::bitflags! {
    /// `XLH_INSERT_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct InsertFlags: u8 {
        /// The block's bits in the visibility map were cleared.
        const ALL_VISIBLE_CLEARED = 1;
        /// The last record of a multi-insert.
        const LAST_IN_MULTI = 2;
        /// `INSERT ... ON CONFLICT`, to be confirmed.
        const IS_SPECULATIVE = 4;
        /// The tuple is there although the page has an image, for logical decoding.
        const CONTAINS_NEW_TUPLE = 8;
        /// Into a TOAST table.
        const ON_TOAST_RELATION = 16;
        /// The block is all-frozen (COPY FREEZE).
        const ALL_FROZEN_SET = 32;
        const _ = !0;
    }

    /// `XLH_UPDATE_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct UpdateFlags: u8 {
        /// The old block's bits in the visibility map were cleared.
        const OLD_ALL_VISIBLE_CLEARED = 1;
        /// The new block's bits in the visibility map were cleared.
        const NEW_ALL_VISIBLE_CLEARED = 2;
        /// For logical decoding.
        const CONTAINS_OLD_TUPLE = 4;
        /// For logical decoding.
        const CONTAINS_OLD_KEY = 8;
        /// For logical decoding.
        const CONTAINS_NEW_TUPLE = 16;
        /// The new tuple begins as the old one does.
        const PREFIX_FROM_OLD = 32;
        /// The new tuple ends as the old one does.
        const SUFFIX_FROM_OLD = 64;
        const _ = !0;
    }

    /// `XLH_DELETE_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct DeleteFlags: u8 {
        /// The block's bits in the visibility map were cleared.
        const ALL_VISIBLE_CLEARED = 1;
        /// For logical decoding.
        const CONTAINS_OLD_TUPLE = 2;
        /// For logical decoding.
        const CONTAINS_OLD_KEY = 4;
        /// A speculative insertion is taken back: the tuple is dead at once.
        const IS_SUPER = 8;
        /// The tuple moved to another partition.
        const IS_PARTITION_MOVE = 16;
        const _ = !0;
    }

    /// `XLHL_*`: what happens to the infomask of a tuple that is deleted or locked.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct InfoBits: u8 {
        /// `xmax` is a set of transactions.
        const XMAX_IS_MULTI = 1;
        /// `xmax` locks only.
        const XMAX_LOCK_ONLY = 2;
        /// `xmax` locks exclusively.
        const XMAX_EXCL_LOCK = 4;
        /// `xmax` locks for key share.
        const XMAX_KEYSHR_LOCK = 8;
        /// Key columns change.
        const KEYS_UPDATED = 16;
        const _ = !0;
    }

    /// `XLH_TRUNCATE_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct TruncateFlags: u8 {
        /// `TRUNCATE ... CASCADE`.
        const CASCADE = 1;
        /// `TRUNCATE ... RESTART IDENTITY`.
        const RESTART_SEQUENCES = 2;
        const _ = !0;
    }

    /// `XLH_LOCK_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct LockFlags: u8 {
        /// The block's all-frozen bit was cleared.
        const ALL_FROZEN_CLEARED = 1;
        const _ = !0;
    }
}

/// A record of resource manager Heap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heap {
    /// A tuple was put on the page of block 0.
    Insert(Insert),
    /// A tuple of block 0 was deleted.
    Delete(Delete),
    /// A tuple got a new version, mostly on another page.
    Update(Update),
    /// A tuple got a new version on the same page, without new index entries.
    HotUpdate(Update),
    /// `TRUNCATE`, for logical decoding.
    Truncate(Truncate),
    /// A speculative insertion holds.
    Confirm(OffsetNumber),
    /// A tuple was locked.
    Lock(Lock),
    /// A tuple was overwritten where it is.
    Inplace(Inplace),
}

/// `xl_heap_insert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insert {
    /// Its line pointer.
    pub offset: OffsetNumber,
    /// `XLH_INSERT_*`.
    pub flags: InsertFlags,
    /// Whether the page is made anew.
    pub init_page: bool,
}

/// `xl_heap_delete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delete {
    /// The new `xmax`, perhaps a set of transactions: the deleter is the record's transaction.
    pub xmax: TransactionId,
    /// The tuple's line pointer.
    pub offset: OffsetNumber,
    /// `XLHL_*`.
    pub info_bits: InfoBits,
    /// `XLH_DELETE_*`.
    pub flags: DeleteFlags,
}

/// `xl_heap_update`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// The new `xmax` of the old tuple, perhaps a set of transactions.
    pub old_xmax: TransactionId,
    /// Line pointer of the old tuple, on [`Update::old_block`].
    pub old_offset: OffsetNumber,
    /// `XLHL_*` of the old tuple.
    pub old_info_bits: InfoBits,
    /// `XLH_UPDATE_*`.
    pub flags: UpdateFlags,
    /// The new tuple's `xmax`.
    pub new_xmax: TransactionId,
    /// Line pointer of the new tuple, on block 0.
    pub new_offset: OffsetNumber,
    /// Whether the page of block 0 is made anew.
    pub init_page: bool,
}

/// `xl_heap_truncate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncate {
    /// The database.
    pub database: Oid,
    /// `XLH_TRUNCATE_*`.
    pub flags: TruncateFlags,
    /// The tables.
    pub relations: Vec<Oid>,
}

/// `xl_heap_lock`, and `xl_heap_lock_updated` of Heap2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// The locker, perhaps a set of transactions.
    pub xmax: TransactionId,
    /// The tuple's line pointer.
    pub offset: OffsetNumber,
    /// `XLHL_*`.
    pub info_bits: InfoBits,
    /// `XLH_LOCK_*`.
    pub flags: LockFlags,
}

/// `xl_heap_inplace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inplace {
    /// The tuple's line pointer.
    pub offset: OffsetNumber,
    /// Invalidation messages (18 and later).
    pub invalidations: Option<Invalidations>,
}

/// What a record says of the tuple that it puts on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTuple {
    /// `t_infomask2`.
    pub infomask2: u16,
    /// `t_infomask`.
    pub infomask: u16,
    /// Length of the tuple in bytes, header included, without alignment (`lp_len`).
    pub length: u16,
}

impl Heap {
    /// Reads the main data of a record of resource manager Heap.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.info & OPERATION_MASK {
                INSERT => Self::Insert(Insert::parse_main_data(cursor, record.info)?),
                0x10 => Self::Delete(Delete {
                    xmax: TransactionId::new(cursor.u32("xmax")?),
                    offset: offset(cursor)?,
                    info_bits: InfoBits::from_bits_retain(cursor.u8("infobits_set")?),
                    flags: DeleteFlags::from_bits_retain(cursor.u8("flags")?),
                }),
                UPDATE => Self::Update(Update::parse_main_data(cursor, record.info)?),
                0x30 => Self::Truncate(Truncate::parse(cursor)?),
                HOT_UPDATE => Self::HotUpdate(Update::parse_main_data(cursor, record.info)?),
                0x50 => Self::Confirm(offset(cursor)?),
                0x60 => Self::Lock(Lock::parse(cursor)?),
                _ => Self::Inplace(Inplace::parse(cursor, record.version)?),
            })
        })
    }
}

fn offset(cursor: &mut Cursor<'_>) -> Result<OffsetNumber, Malformed> {
    cursor.u16("offnum").map(OffsetNumber::new)
}

impl Update {
    /// What [`Heap::parse`] reads of a record that is known to be one.
    #[inline]
    pub(crate) fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| Self::parse_main_data(cursor, record.info))
    }

    #[inline]
    fn parse_main_data(cursor: &mut Cursor<'_>, info: u8) -> Result<Self, Malformed> {
        Ok(Self {
            old_xmax: TransactionId::new(cursor.u32("old_xmax")?),
            old_offset: offset(cursor)?,
            old_info_bits: InfoBits::from_bits_retain(cursor.u8("old_infobits_set")?),
            flags: UpdateFlags::from_bits_retain(cursor.u8("flags")?),
            new_xmax: TransactionId::new(cursor.u32("new_xmax")?),
            new_offset: offset(cursor)?,
            init_page: info & INIT_PAGE != 0,
        })
    }

    /// The block that holds the old tuple: reference 1 if it is one of the heap (minor releases since 2026 put the
    /// visibility map's blocks among the references), or else the same as the new tuple's.
    #[must_use]
    pub fn old_block<'r, 'a>(&self, record: &'r Record<'a>) -> Option<&'r Block<'a>> {
        record.block(1).filter(|block| block.fork == Fork::MAIN).or_else(|| record.block(0))
    }

    /// What the record says of the new tuple, if block 0 holds data.
    ///
    /// # Errors
    /// [`Malformed`] if the data is cut off.
    pub fn new_tuple(&self, block: &Block<'_>) -> Result<Option<NewTuple>, Malformed> {
        if block.data.is_empty() {
            return Ok(None);
        }
        let mut cursor = Cursor::new(block.data);
        let mut shared = 0u16;
        for flag in [UpdateFlags::PREFIX_FROM_OLD, UpdateFlags::SUFFIX_FROM_OLD] {
            if self.flags.contains(flag) {
                shared = shared.saturating_add(cursor.u16("prefixlen, suffixlen")?);
            }
        }
        let mut tuple = NewTuple::parse(&mut cursor)?;
        tuple.length = tuple.length.saturating_add(shared);
        Ok(Some(tuple))
    }
}

impl Insert {
    /// What [`Heap::parse`] reads of a record that is known to be one.
    #[inline]
    pub(crate) fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| Self::parse_main_data(cursor, record.info))
    }

    #[inline]
    fn parse_main_data(cursor: &mut Cursor<'_>, info: u8) -> Result<Self, Malformed> {
        Ok(Self {
            offset: offset(cursor)?,
            flags: InsertFlags::from_bits_retain(cursor.u8("flags")?),
            init_page: info & INIT_PAGE != 0,
        })
    }

    /// What the record says of the tuple, if block 0 holds data.
    ///
    /// # Errors
    /// [`Malformed`] if the data is cut off.
    pub fn new_tuple(&self, block: &Block<'_>) -> Result<Option<NewTuple>, Malformed> {
        if block.data.is_empty() {
            return Ok(None);
        }
        NewTuple::parse(&mut Cursor::new(block.data)).map(Some)
    }
}

impl NewTuple {
    /// `xl_heap_header`, then the tuple from its null bitmap on.
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let infomask2 = cursor.u16("t_infomask2")?;
        let infomask = cursor.u16("t_infomask")?;
        cursor.u8("t_hoff")?;
        let data = u16::try_from(cursor.rest().len()).unwrap_or(u16::MAX);
        Ok(Self { infomask2, infomask, length: data.saturating_add(TupleHeader::SIZE) })
    }
}

impl Truncate {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let database = Oid::new(cursor.u32("dbId")?);
        let count = usize::try_from(cursor.u32("nrelids")?).unwrap_or(usize::MAX);
        let flags = TruncateFlags::from_bits_retain(cursor.u8("flags")?);
        cursor.skip("padding", 3)?;
        let relations = cursor.items("relids", count, |bytes| Oid::new(u32::from_le_bytes(bytes)))?;
        Ok(Self { database, flags, relations })
    }
}

impl Inplace {
    fn parse(cursor: &mut Cursor<'_>, version: Version) -> Result<Self, Malformed> {
        let offset = offset(cursor)?;
        if version < Version::V18 {
            return Ok(Self { offset, invalidations: None });
        }
        cursor.skip("padding", 2)?;
        Ok(Self { offset, invalidations: Some(Invalidations::parse(cursor)?) })
    }
}

impl Lock {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            xmax: TransactionId::new(cursor.u32("xmax")?),
            offset: offset(cursor)?,
            info_bits: InfoBits::from_bits_retain(cursor.u8("infobits_set")?),
            flags: LockFlags::from_bits_retain(cursor.u8("flags")?),
        })
    }
}

/// Name of the operation as in `heap_identify`; `None` for one that does not exist.
#[must_use]
pub fn identify(info: u8) -> Option<&'static str> {
    Some(match info & 0xF0 {
        0x00 => "INSERT",
        0x80 => "INSERT+INIT",
        0x10 => "DELETE",
        0x20 => "UPDATE",
        0xA0 => "UPDATE+INIT",
        0x40 => "HOT_UPDATE",
        0xC0 => "HOT_UPDATE+INIT",
        0x30 => "TRUNCATE",
        0x50 => "HEAP_CONFIRM",
        0x60 => "LOCK",
        0x70 => "INPLACE",
        _ => return None,
    })
}
