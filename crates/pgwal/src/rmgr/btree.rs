//! B-tree indexes. Source: `src/include/access/nbtxlog.h`.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::ids::{BlockNumber, FullTransactionId, OffsetNumber, RelFileLocator, TransactionId};
use crate::record::Record;
use crate::rmgr::{Offsets, is_catalog, locator, parse_main};
use crate::version::Version;

/// A record of resource manager Btree.
#[derive(Debug, Clone, PartialEq)]
pub enum Btree<'a> {
    /// An entry was put on a page that had room for it.
    Insert(InsertKind, OffsetNumber),
    /// A page was split, and an entry put on its left or right half.
    Split(Split),
    /// Entries of equal keys were merged, so many groups of them.
    Deduplicate(u16),
    /// Entries known to be dead were removed to make room.
    Delete(Delete<'a>),
    /// VACUUM removed entries.
    Vacuum(Vacuum<'a>),
    /// An empty leaf was cut off from its parent.
    MarkPageHalfDead(MarkPageHalfDead),
    /// A page was taken out of the chain of its siblings.
    UnlinkPage(UnlinkPage),
    /// The tree got a new root.
    NewRoot(NewRoot),
    /// A deleted page is used again; only a conflict on a standby.
    ReusePage(ReusePage),
    /// What VACUUM remembers in the metapage changed.
    MetaCleanup(Metadata),
    /// An operation that is not known here.
    Unknown,
}

/// Where an entry was inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertKind {
    /// On a leaf.
    Leaf,
    /// On an inner page.
    Upper,
    /// On an inner page, with a new fast root.
    Meta,
    /// On a leaf, into the middle of a posting list, which is split.
    Posting,
}

/// `xl_btree_split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Whether the new entry went to the right half.
    pub inserted_right: bool,
    /// Level of the page; leaves are 0.
    pub level: u32,
    /// First entry of the original page that went to the right half.
    pub first_right: OffsetNumber,
    /// Where the new entry would be on the original page.
    pub new_item: OffsetNumber,
    /// Where in a posting list the new entry falls; zero if in none.
    pub posting_offset: u16,
}

/// `xl_btree_delete`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete<'a> {
    /// Transactions up to this one conflict with it on a standby.
    pub conflict_horizon: TransactionId,
    /// Entries removed.
    pub deleted_count: u32,
    /// Posting lists made shorter (14 and later).
    pub updated_count: u16,
    /// Whether the index belongs to a catalogue (16 and later).
    pub is_catalog: bool,
    /// The entries (14 and later), unless there is an image.
    pub changes: Option<Changes<'a>>,
}

/// `xl_btree_vacuum`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacuum<'a> {
    /// Entries removed.
    pub deleted_count: u16,
    /// Posting lists made shorter.
    pub updated_count: u16,
    /// The entries, unless there is an image.
    pub changes: Option<Changes<'a>>,
}

/// Which entries of block 0 were removed or made shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes<'a> {
    /// Entries removed.
    pub deleted: Offsets<'a>,
    /// Posting lists made shorter: each with the places in the list that were removed (`xl_btree_update`).
    pub updated: Vec<(OffsetNumber, Offsets<'a>)>,
}

/// `xl_btree_mark_page_halfdead`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkPageHalfDead {
    /// The entry of the parent that was removed.
    pub parent_offset: OffsetNumber,
    /// The leaf.
    pub leaf: BlockNumber,
    /// Its left sibling.
    pub left: BlockNumber,
    /// Its right sibling.
    pub right: BlockNumber,
    /// The topmost page of the branch that is to be deleted.
    pub top_parent: BlockNumber,
}

/// `xl_btree_unlink_page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnlinkPage {
    /// Left sibling of the page.
    pub left: BlockNumber,
    /// Its right sibling.
    pub right: BlockNumber,
    /// Its level (14 and later).
    pub level: Option<u32>,
    /// The page may be used again when nobody sees this transaction as running; without an epoch in 13.
    pub safe_xid: FullTransactionId,
    /// Left sibling of the branch's leaf.
    pub leaf_left: BlockNumber,
    /// Right sibling of the branch's leaf.
    pub leaf_right: BlockNumber,
    /// The next page of the branch to delete.
    pub leaf_top_parent: BlockNumber,
}

/// `xl_btree_newroot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRoot {
    /// The new root, which is also block 0.
    pub root: BlockNumber,
    /// Its level.
    pub level: u32,
}

/// `xl_btree_reuse_page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReusePage {
    /// The index.
    pub relation: RelFileLocator,
    /// The page.
    pub block: BlockNumber,
    /// Transactions up to this one conflict with it on a standby; without an epoch in 13.
    pub conflict_horizon: FullTransactionId,
    /// Whether the index belongs to a catalogue (16 and later).
    pub is_catalog: bool,
}

/// `xl_btree_metadata`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metadata {
    /// Version of the index.
    pub version: u32,
    /// The root.
    pub root: BlockNumber,
    /// Its level.
    pub level: u32,
    /// Where searches begin.
    pub fast_root: BlockNumber,
    /// Its level.
    pub fast_level: u32,
    /// What the last VACUUM left.
    pub last_cleanup: LastCleanup,
    /// Whether equal keys may be merged.
    pub all_equal_image: bool,
}

/// What VACUUM remembers in the metapage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LastCleanup {
    /// Deleted pages that could not be used again yet (14 and later).
    DeletedPages(u32),
    /// 13: oldest transaction among the deleted pages, and the table's number of tuples.
    HeapTuples(TransactionId, f64),
}

impl<'a> Btree<'a> {
    /// Reads a record of resource manager Btree.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than the record promises.
    pub fn parse(record: &Record<'a>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            let mut insert = |kind| Ok(Self::Insert(kind, OffsetNumber::new(cursor.u16("offnum")?)));
            match record.rmgr_info() {
                0x00 => insert(InsertKind::Leaf),
                0x10 => insert(InsertKind::Upper),
                0x20 => insert(InsertKind::Meta),
                0x50 => insert(InsertKind::Posting),
                info @ (0x30 | 0x40) => Split::parse(cursor, info == 0x40).map(Self::Split),
                0x60 => cursor.u16("nintervals").map(Self::Deduplicate),
                0x70 => Delete::parse(cursor, record).map(Self::Delete),
                0x80 | 0x90 => UnlinkPage::parse(cursor, record.version).map(Self::UnlinkPage),
                0xA0 => Ok(Self::NewRoot(NewRoot {
                    root: BlockNumber::new(cursor.u32("rootblk")?),
                    level: cursor.u32("level")?,
                })),
                0xB0 => MarkPageHalfDead::parse(cursor).map(Self::MarkPageHalfDead),
                0xC0 => Vacuum::parse(cursor, record).map(Self::Vacuum),
                0xD0 => ReusePage::parse(cursor, record.version).map(Self::ReusePage),
                0xE0 => Metadata::parse(record).map(Self::MetaCleanup),
                _ => Ok(Self::Unknown),
            }
        })
    }
}

impl Split {
    fn parse(cursor: &mut Cursor<'_>, inserted_right: bool) -> Result<Self, Malformed> {
        Ok(Self {
            inserted_right,
            level: cursor.u32("level")?,
            first_right: OffsetNumber::new(cursor.u16("firstrightoff")?),
            new_item: OffsetNumber::new(cursor.u16("newitemoff")?),
            posting_offset: cursor.u16("postingoff")?,
        })
    }
}

impl<'a> Delete<'a> {
    fn parse(cursor: &mut Cursor<'a>, record: &Record<'a>) -> Result<Self, Malformed> {
        let conflict_horizon = TransactionId::new(cursor.u32("snapshotConflictHorizon")?);
        if record.version < Version::V14 {
            let deleted_count = cursor.u32("ndeleted")?;
            return Ok(Self { conflict_horizon, deleted_count, updated_count: 0, is_catalog: false, changes: None });
        }
        let deleted_count = cursor.u16("ndeleted")?;
        let updated_count = cursor.u16("nupdated")?;
        let is_catalog = is_catalog(cursor, record.version)?;
        let changes = Changes::parse(record, deleted_count, updated_count)?;
        Ok(Self { conflict_horizon, deleted_count: u32::from(deleted_count), updated_count, is_catalog, changes })
    }
}

impl<'a> Vacuum<'a> {
    fn parse(cursor: &mut Cursor<'a>, record: &Record<'a>) -> Result<Self, Malformed> {
        let deleted_count = cursor.u16("ndeleted")?;
        let updated_count = cursor.u16("nupdated")?;
        Ok(Self { deleted_count, updated_count, changes: Changes::parse(record, deleted_count, updated_count)? })
    }
}

impl<'a> Changes<'a> {
    fn parse(record: &Record<'a>, deleted_count: u16, updated_count: u16) -> Result<Option<Self>, Malformed> {
        let block = record.block(0).ok_or(Malformed::NoBlock(0))?;
        if block.data.is_empty() {
            return Ok(None);
        }
        let mut cursor = Cursor::new(block.data);
        let deleted = Offsets::take(&mut cursor, "deletedoffsets", deleted_count)?;
        let updated_offsets = Offsets::take(&mut cursor, "updatedoffsets", updated_count)?;
        let update = |offset| {
            let count = cursor.u16("ndeletedtids")?;
            Ok((offset, Offsets::take(&mut cursor, "ptids", count)?))
        };
        let updated = updated_offsets.iter().map(update).collect::<Result<_, Malformed>>()?;
        Ok(Some(Self { deleted, updated }))
    }
}

impl MarkPageHalfDead {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let parent_offset = OffsetNumber::new(cursor.u16("poffset")?);
        cursor.skip("padding", 2)?;
        Ok(Self {
            parent_offset,
            leaf: BlockNumber::new(cursor.u32("leafblk")?),
            left: BlockNumber::new(cursor.u32("leftblk")?),
            right: BlockNumber::new(cursor.u32("rightblk")?),
            top_parent: BlockNumber::new(cursor.u32("topparent")?),
        })
    }
}

impl UnlinkPage {
    fn parse(cursor: &mut Cursor<'_>, version: Version) -> Result<Self, Malformed> {
        let left = BlockNumber::new(cursor.u32("leftsib")?);
        let right = BlockNumber::new(cursor.u32("rightsib")?);
        let mut level = None;
        let mut safe_xid = 0;
        if version >= Version::V14 {
            level = Some(cursor.u32("level")?);
            cursor.skip("padding", 4)?;
            safe_xid = cursor.u64("safexid")?;
        }
        let leaf_left = BlockNumber::new(cursor.u32("leafleftsib")?);
        let leaf_right = BlockNumber::new(cursor.u32("leafrightsib")?);
        let leaf_top_parent = BlockNumber::new(cursor.u32("leaftopparent")?);
        if version < Version::V14 {
            safe_xid = u64::from(cursor.u32("btpo_xact")?);
        }
        let safe_xid = FullTransactionId::new(safe_xid);
        Ok(Self { left, right, level, safe_xid, leaf_left, leaf_right, leaf_top_parent })
    }
}

impl ReusePage {
    fn parse(cursor: &mut Cursor<'_>, version: Version) -> Result<Self, Malformed> {
        let relation = locator(cursor)?;
        let block = BlockNumber::new(cursor.u32("block")?);
        let conflict_horizon = if version < Version::V14 {
            u64::from(cursor.u32("latestRemovedXid")?)
        } else {
            cursor.u64("snapshotConflictHorizon")?
        };
        let conflict_horizon = FullTransactionId::new(conflict_horizon);
        Ok(Self { relation, block, conflict_horizon, is_catalog: is_catalog(cursor, version)? })
    }
}

impl Metadata {
    /// It is the data of block 0, the metapage.
    fn parse(record: &Record<'_>) -> Result<Self, Malformed> {
        let block = record.block(0).ok_or(Malformed::NoBlock(0))?;
        let mut cursor = Cursor::new(block.data);
        Ok(Self {
            version: cursor.u32("version")?,
            root: BlockNumber::new(cursor.u32("root")?),
            level: cursor.u32("level")?,
            fast_root: BlockNumber::new(cursor.u32("fastroot")?),
            fast_level: cursor.u32("fastlevel")?,
            last_cleanup: if record.version < Version::V14 {
                let oldest = TransactionId::new(cursor.u32("oldest_btpo_xact")?);
                LastCleanup::HeapTuples(oldest, cursor.f64("last_cleanup_num_heap_tuples")?)
            } else {
                LastCleanup::DeletedPages(cursor.u32("last_cleanup_num_delpages")?)
            },
            all_equal_image: cursor.bool("allequalimage")?,
        })
    }
}

/// Name of the operation as in `btree_identify`; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    Some(match info & 0xF0 {
        0x00 => "INSERT_LEAF",
        0x10 => "INSERT_UPPER",
        0x20 => "INSERT_META",
        0x30 => "SPLIT_L",
        0x40 => "SPLIT_R",
        0x50 => "INSERT_POST",
        0x60 => "DEDUP",
        0x70 => "DELETE",
        0x80 => "UNLINK_PAGE",
        0x90 => "UNLINK_PAGE_META",
        0xA0 => "NEWROOT",
        0xB0 => "MARK_PAGE_HALFDEAD",
        0xC0 => "VACUUM",
        0xD0 => "REUSE_PAGE",
        0xE0 => "META_CLEANUP",
        _ => return None,
    })
}
