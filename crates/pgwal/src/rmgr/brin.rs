//! BRIN indexes. Source: `src/include/access/brin_xlog.h`.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::ids::{BlockNumber, OffsetNumber};
use crate::record::Record;
use crate::rmgr::parse_main;

/// Bits of the info byte that tell the operation (`XLOG_BRIN_OPMASK`).
pub const OPERATION_MASK: u8 = 0x70;
/// The page of block reference 0 is made anew (`XLOG_BRIN_INIT_PAGE`).
pub const INIT_PAGE: u8 = 0x80;

/// A record of resource manager BRIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brin {
    /// The index was made.
    CreateIndex {
        /// Blocks that each entry sums up.
        pages_per_range: BlockNumber,
        /// Version of the index.
        version: u16,
    },
    /// A range got an entry.
    Insert(Insert),
    /// A range's entry moved to another page.
    Update {
        /// The old entry.
        old_offset: OffsetNumber,
        /// The new one.
        insert: Insert,
    },
    /// A range's entry changed where it is.
    SamePageUpdate(OffsetNumber),
    /// The map of ranges took another page.
    RevmapExtend(BlockNumber),
    /// A range lost its entry.
    Desummarize {
        /// Blocks that each entry sums up.
        pages_per_range: BlockNumber,
        /// First block of the range.
        heap_block: BlockNumber,
        /// The entry.
        offset: OffsetNumber,
    },
    /// An operation that is not known here.
    Unknown,
}

/// `xl_brin_insert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insert {
    /// First block of the range.
    pub heap_block: BlockNumber,
    /// Blocks that each entry sums up.
    pub pages_per_range: BlockNumber,
    /// The entry.
    pub offset: OffsetNumber,
}

impl Brin {
    /// Reads a record of resource manager BRIN.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.info & OPERATION_MASK {
                0x00 => Self::CreateIndex {
                    pages_per_range: BlockNumber::new(cursor.u32("pagesPerRange")?),
                    version: cursor.u16("version")?,
                },
                0x10 => Self::Insert(Insert::parse(cursor)?),
                0x20 => {
                    let old_offset = OffsetNumber::new(cursor.u16("oldOffnum")?);
                    cursor.skip("padding", 2)?;
                    Self::Update { old_offset, insert: Insert::parse(cursor)? }
                }
                0x30 => Self::SamePageUpdate(OffsetNumber::new(cursor.u16("offnum")?)),
                0x40 => Self::RevmapExtend(BlockNumber::new(cursor.u32("targetBlk")?)),
                0x50 => Self::Desummarize {
                    pages_per_range: BlockNumber::new(cursor.u32("pagesPerRange")?),
                    heap_block: BlockNumber::new(cursor.u32("heapBlk")?),
                    offset: OffsetNumber::new(cursor.u16("regOffset")?),
                },
                _ => Self::Unknown,
            })
        })
    }
}

impl Insert {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            heap_block: BlockNumber::new(cursor.u32("heapBlk")?),
            pages_per_range: BlockNumber::new(cursor.u32("pagesPerRange")?),
            offset: OffsetNumber::new(cursor.u16("offnum")?),
        })
    }
}

/// Name of the operation as in `brin_identify`; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    Some(match info & 0xF0 {
        0x00 => "CREATE_INDEX",
        0x10 => "INSERT",
        0x90 => "INSERT+INIT",
        0x20 => "UPDATE",
        0xA0 => "UPDATE+INIT",
        0x30 => "SAMEPAGE_UPDATE",
        0x40 => "REVMAP_EXTEND",
        0x50 => "DESUMMARIZE",
        _ => return None,
    })
}
