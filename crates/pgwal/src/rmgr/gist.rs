//! GiST indexes. Source: `src/include/access/gistxlog.h`.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::ids::{BlockNumber, FullTransactionId, OffsetNumber, RelFileLocator, TransactionId};
use crate::lsn::Lsn;
use crate::record::Record;
use crate::rmgr::{is_catalog, locator, parse_main};
use crate::version::Version;

/// A record of resource manager Gist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gist {
    /// Entries of a page were removed and added.
    PageUpdate {
        /// Entries removed.
        deleted_count: u16,
        /// Entries added.
        inserted_count: u16,
    },
    /// Entries known to be dead were removed to make room.
    Delete(Delete),
    /// A deleted page is used again; only a conflict on a standby.
    PageReuse(PageReuse),
    /// A page was split into several.
    PageSplit(PageSplit),
    /// An empty page was taken out of the tree.
    PageDelete {
        /// The page may be used again when nobody sees this transaction as running.
        delete_xid: FullTransactionId,
        /// The entry of the parent that was removed.
        downlink: OffsetNumber,
    },
    /// Nothing but an LSN.
    AssignLsn,
    /// An operation that is not known here.
    Unknown,
}

/// `gistxlogDelete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delete {
    /// Transactions up to this one conflict with it on a standby.
    pub conflict_horizon: TransactionId,
    /// Entries removed.
    pub deleted_count: u16,
    /// Whether the index belongs to a catalogue (16 and later).
    pub is_catalog: bool,
}

/// `gistxlogPageReuse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageReuse {
    /// The index.
    pub relation: RelFileLocator,
    /// The page.
    pub block: BlockNumber,
    /// Transactions up to this one conflict with it on a standby.
    pub conflict_horizon: FullTransactionId,
    /// Whether the index belongs to a catalogue (16 and later).
    pub is_catalog: bool,
}

/// `gistxlogPageSplit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSplit {
    /// Right sibling of the page before.
    pub right_link: BlockNumber,
    /// Its sequence number before (`GistNSN`).
    pub sequence_number: Lsn,
    /// Whether it is a leaf.
    pub is_leaf: bool,
    /// Pages it became.
    pub page_count: u16,
    /// Whether the downlinks are still to be inserted.
    pub mark_follow_right: bool,
}

impl Gist {
    /// Reads a record of resource manager Gist.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        let version = record.version;
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x00 => Self::PageUpdate {
                    deleted_count: cursor.u16("ntodelete")?,
                    inserted_count: cursor.u16("ntoinsert")?,
                },
                0x10 => Self::Delete(Delete {
                    conflict_horizon: TransactionId::new(cursor.u32("snapshotConflictHorizon")?),
                    deleted_count: cursor.u16("ntodelete")?,
                    is_catalog: is_catalog(cursor, version)?,
                }),
                0x20 => Self::PageReuse(PageReuse::parse(cursor, version)?),
                0x30 => Self::PageSplit(PageSplit::parse(cursor)?),
                0x60 => Self::PageDelete {
                    delete_xid: FullTransactionId::new(cursor.u64("deleteXid")?),
                    downlink: OffsetNumber::new(cursor.u16("downlinkOffset")?),
                },
                0x70 => Self::AssignLsn,
                _ => Self::Unknown,
            })
        })
    }
}

impl PageReuse {
    fn parse(cursor: &mut Cursor<'_>, version: Version) -> Result<Self, Malformed> {
        Ok(Self {
            relation: locator(cursor)?,
            block: BlockNumber::new(cursor.u32("block")?),
            conflict_horizon: FullTransactionId::new(cursor.u64("snapshotConflictHorizon")?),
            is_catalog: is_catalog(cursor, version)?,
        })
    }
}

impl PageSplit {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let right_link = BlockNumber::new(cursor.u32("origrlink")?);
        cursor.skip("padding", 4)?;
        let sequence_number = Lsn::new(cursor.u64("orignsn")?);
        let is_leaf = cursor.bool("origleaf")?;
        cursor.skip("padding", 1)?;
        let page_count = cursor.u16("npage")?;
        Ok(Self {
            right_link,
            sequence_number,
            is_leaf,
            page_count,
            mark_follow_right: cursor.bool("markfollowright")?,
        })
    }
}

/// Name of the operation as in `gist_identify`; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    Some(match info & 0xF0 {
        0x00 => "PAGE_UPDATE",
        0x10 => "DELETE",
        0x20 => "PAGE_REUSE",
        0x30 => "PAGE_SPLIT",
        0x60 => "PAGE_DELETE",
        0x70 => "ASSIGN_LSN",
        _ => return None,
    })
}
