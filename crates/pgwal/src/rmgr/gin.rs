//! GIN indexes. Source: `src/include/access/ginxlog.h`, `src/include/access/ginblock.h`.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::ids::{BlockNumber, OffsetNumber, RelFileLocator, TransactionId};
use crate::record::Record;
use crate::rmgr::{block_id, locator, parse_main};

bitflags::bitflags! {
    /// `GIN_INSERT_*`, `GIN_SPLIT_ROOT`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct PageFlags: u16 {
        /// The page belongs to a posting tree, not to the tree of keys.
        const IS_DATA = 1;
        /// It is a leaf.
        const IS_LEAF = 2;
        /// It was the root (splits only).
        const SPLIT_ROOT = 4;
        const _ = !0;
    }
}

/// A record of resource manager Gin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gin<'a> {
    /// A posting tree was made, of so many bytes of compressed pointers.
    CreatePostingTree(u32),
    /// Something was put on a page that had room for it.
    Insert(Insert<'a>),
    /// A page was split.
    Split(Split),
    /// VACUUM wrote a page of the tree of keys anew, as an image.
    VacuumPage,
    /// VACUUM removed pointers from a leaf of a posting tree.
    VacuumDataLeafPage(Change<SegmentActions<'a>>),
    /// A page of a posting tree was taken out of it.
    DeletePage(DeletePage),
    /// The metapage changed, and perhaps the list of entries not sorted in yet.
    UpdateMetaPage(UpdateMetaPage),
    /// A page was added to the list of entries not sorted in yet.
    InsertListPage {
        /// The page behind it.
        right_link: BlockNumber,
        /// Its entries.
        count: i32,
    },
    /// Pages were removed from the list of entries not sorted in yet.
    DeleteListPages {
        /// The metapage.
        metadata: Metadata,
        /// How many pages.
        count: i32,
    },
    /// An operation that is not known here.
    Unknown,
}

/// What happens to block 0: told by the record's data, or by the page after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T> {
    /// The data.
    Data(T),
    /// An image; whether it is to be applied.
    Image(bool),
}

impl<T> Change<T> {
    fn parse<'a>(
        record: &Record<'a>,
        data: impl FnOnce(&mut Cursor<'a>) -> Result<T, Malformed>,
    ) -> Result<Self, Malformed> {
        let block = record.block(0).ok_or(Malformed::NoBlock(0))?;
        match &block.image {
            Some(image) => Ok(Self::Image(image.apply)),
            None => data(&mut Cursor::new(block.data)).map(Self::Data),
        }
    }
}

/// `ginxlogInsert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insert<'a> {
    /// Which kind of page.
    pub flags: PageFlags,
    /// On an inner page: left and right half of the child whose split is completed.
    pub children: Option<(BlockNumber, BlockNumber)>,
    /// What was put there.
    pub change: Change<Insertion<'a>>,
}

/// What is inserted by [`Insert`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Insertion<'a> {
    /// An entry of the tree of keys (`ginxlogInsertEntry`).
    Entry {
        /// Where.
        offset: OffsetNumber,
        /// Whether it takes the place of one that is there.
        replaces: bool,
    },
    /// Pointers on a leaf of a posting tree (`ginxlogRecompressDataLeaf`).
    DataLeaf(SegmentActions<'a>),
    /// A downlink on an inner page of a posting tree (`ginxlogInsertDataInternal`).
    DataInternal {
        /// Where.
        offset: OffsetNumber,
        /// The child.
        child: BlockNumber,
        /// Its highest pointer.
        key: (BlockNumber, OffsetNumber),
    },
}

/// What happens to the segments of a leaf of a posting tree (`ginxlogRecompressDataLeaf`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentActions<'a> {
    /// How many actions the record promises.
    pub count: u16,
    /// The actions: fewer only if the last one is unknown.
    pub list: Vec<SegmentAction<'a>>,
}

/// What happens to one segment of a leaf of a posting tree (`ginxlogSegmentAction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentAction<'a> {
    /// Which segment.
    pub segment: u8,
    /// What happens to it.
    pub kind: SegmentActionKind<'a>,
}

/// `GIN_SEGMENT_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentActionKind<'a> {
    /// It is removed.
    Delete,
    /// It is added: a compressed posting list.
    Insert(&'a [u8]),
    /// It is replaced by a compressed posting list.
    Replace(&'a [u8]),
    /// Pointers are added to it: so many.
    AddItems(u16),
    /// An action that is not known here; what follows it is not read.
    Unknown(u8),
}

/// `ginxlogSplit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// The index.
    pub relation: RelFileLocator,
    /// Right sibling of the page, or the root's block if the root was split.
    pub right_link: BlockNumber,
    /// On an inner page: left and right half of the child whose split is completed.
    pub children: (BlockNumber, BlockNumber),
    /// Which kind of page.
    pub flags: PageFlags,
}

/// `ginxlogDeletePage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletePage {
    /// The entry of the parent that was removed.
    pub parent_offset: OffsetNumber,
    /// Right sibling of the page.
    pub right_link: BlockNumber,
    /// The page may be used again when nobody sees this transaction as running.
    pub delete_xid: TransactionId,
}

/// `ginxlogUpdateMeta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateMetaPage {
    /// The index.
    pub relation: RelFileLocator,
    /// The metapage.
    pub metadata: Metadata,
    /// The list's last page before.
    pub previous_tail: BlockNumber,
    /// The page that now follows it.
    pub new_right_link: BlockNumber,
    /// Entries that were put on the list's last page; zero if pages were added to it.
    pub count: i32,
}

/// `GinMetaPageData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// First page of the list of entries not sorted in yet.
    pub head: BlockNumber,
    /// Its last page.
    pub tail: BlockNumber,
    /// Free bytes of the last page.
    pub tail_free_size: u32,
    /// Pages of the list.
    pub pending_pages: BlockNumber,
    /// Tuples of the table that the list has entries for.
    pub pending_heap_tuples: i64,
    /// Pages of the index.
    pub total_pages: BlockNumber,
    /// Pages of the tree of keys.
    pub entry_pages: BlockNumber,
    /// Pages of posting trees.
    pub data_pages: BlockNumber,
    /// Keys.
    pub entries: i64,
    /// Version of the index.
    pub version: i32,
}

impl<'a> Gin<'a> {
    /// Reads a record of resource manager Gin.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than the record promises.
    pub fn parse(record: &Record<'a>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x10 => Self::CreatePostingTree(cursor.u32("size")?),
                0x20 => Self::Insert(Insert::parse(cursor, record)?),
                0x30 => Self::Split(Split::parse(cursor)?),
                0x40 => Self::VacuumPage,
                0x50 => Self::DeletePage(DeletePage::parse(cursor)?),
                0x60 => Self::UpdateMetaPage(UpdateMetaPage::parse(cursor)?),
                0x70 => Self::InsertListPage {
                    right_link: BlockNumber::new(cursor.u32("rightlink")?),
                    count: cursor.i32("ntuples")?,
                },
                0x80 => {
                    let metadata = Metadata::parse(cursor)?;
                    Self::DeleteListPages { metadata, count: cursor.i32("ndeleted")? }
                }
                0x90 => Self::VacuumDataLeafPage(Change::parse(record, SegmentActions::parse)?),
                _ => Self::Unknown,
            })
        })
    }
}

impl<'a> Insert<'a> {
    fn parse(cursor: &mut Cursor<'a>, record: &Record<'a>) -> Result<Self, Malformed> {
        let flags = PageFlags::from_bits_retain(cursor.u16("flags")?);
        let children = match flags.contains(PageFlags::IS_LEAF) {
            true => None,
            false => Some((block_id(cursor)?, block_id(cursor)?)),
        };
        let change = Change::parse(record, |data| Insertion::parse(data, flags))?;
        Ok(Self { flags, children, change })
    }
}

impl<'a> Insertion<'a> {
    fn parse(data: &mut Cursor<'a>, flags: PageFlags) -> Result<Self, Malformed> {
        if !flags.contains(PageFlags::IS_DATA) {
            let offset = OffsetNumber::new(data.u16("offset")?);
            return Ok(Self::Entry { offset, replaces: data.bool("isDelete")? });
        }
        if flags.contains(PageFlags::IS_LEAF) {
            return SegmentActions::parse(data).map(Self::DataLeaf);
        }
        let offset = OffsetNumber::new(data.u16("offset")?);
        let child = block_id(data)?;
        let key = (block_id(data)?, OffsetNumber::new(data.u16("ip_posid")?));
        Ok(Self::DataInternal { offset, child, key })
    }
}

impl<'a> SegmentActions<'a> {
    fn parse(data: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let count = data.u16("nactions")?;
        let mut list = Vec::new();
        for _ in 0..count {
            let action = SegmentAction::parse(data)?;
            list.push(action);
            if matches!(action.kind, SegmentActionKind::Unknown(_)) {
                break;
            }
        }
        Ok(Self { count, list })
    }
}

impl<'a> SegmentAction<'a> {
    fn parse(data: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let segment = data.u8("segno")?;
        let kind = match data.u8("type")? {
            1 => SegmentActionKind::Delete,
            2 => SegmentActionKind::Insert(posting_list(data)?),
            3 => SegmentActionKind::Replace(posting_list(data)?),
            4 => {
                let count = data.u16("nitems")?;
                data.skip("items", usize::from(count).saturating_mul(6))?;
                SegmentActionKind::AddItems(count)
            }
            other => SegmentActionKind::Unknown(other),
        };
        Ok(Self { segment, kind })
    }
}

/// `GinPostingList`: a pointer, a length, compressed pointers up to an even number of bytes.
fn posting_list<'a>(data: &mut Cursor<'a>) -> Result<&'a [u8], Malformed> {
    let mut header = *data;
    header.skip("first", 6)?;
    let length = usize::from(header.u16("nbytes")?);
    data.take("posting list", length.next_multiple_of(2).saturating_add(8))
}

impl Split {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let relation = locator(cursor)?;
        let right_link = BlockNumber::new(cursor.u32("rrlink")?);
        let children = (cursor.u32("leftChildBlkno")?, cursor.u32("rightChildBlkno")?);
        let children = (BlockNumber::new(children.0), BlockNumber::new(children.1));
        Ok(Self { relation, right_link, children, flags: PageFlags::from_bits_retain(cursor.u16("flags")?) })
    }
}

impl DeletePage {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let parent_offset = OffsetNumber::new(cursor.u16("parentOffset")?);
        cursor.skip("padding", 2)?;
        let right_link = BlockNumber::new(cursor.u32("rightLink")?);
        Ok(Self { parent_offset, right_link, delete_xid: TransactionId::new(cursor.u32("deleteXid")?) })
    }
}

impl UpdateMetaPage {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let relation = locator(cursor)?;
        cursor.skip("padding", 4)?;
        Ok(Self {
            relation,
            metadata: Metadata::parse(cursor)?,
            previous_tail: BlockNumber::new(cursor.u32("prevTail")?),
            new_right_link: BlockNumber::new(cursor.u32("newRightlink")?),
            count: cursor.i32("ntuples")?,
        })
    }
}

impl Metadata {
    #[inline]
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let mut block = |field| cursor.u32(field).map(BlockNumber::new);
        let (head, tail) = (block("head")?, block("tail")?);
        let tail_free_size = cursor.u32("tailFreeSize")?;
        let pending_pages = BlockNumber::new(cursor.u32("nPendingPages")?);
        let pending_heap_tuples = cursor.i64("nPendingHeapTuples")?;
        let mut block = |field| cursor.u32(field).map(BlockNumber::new);
        let (total_pages, entry_pages) = (block("nTotalPages")?, block("nEntryPages")?);
        let data_pages = block("nDataPages")?;
        cursor.skip("padding", 4)?;
        let entries = cursor.i64("nEntries")?;
        let version = cursor.i32("ginVersion")?;
        cursor.skip("padding", 4)?;
        Ok(Self {
            head,
            tail,
            tail_free_size,
            pending_pages,
            pending_heap_tuples,
            total_pages,
            entry_pages,
            data_pages,
            entries,
            version,
        })
    }
}

/// Name of the operation as in `gin_identify`; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    Some(match info & 0xF0 {
        0x10 => "CREATE_PTREE",
        0x20 => "INSERT",
        0x30 => "SPLIT",
        0x40 => "VACUUM_PAGE",
        0x50 => "DELETE_PAGE",
        0x60 => "UPDATE_META_PAGE",
        0x70 => "INSERT_LISTPAGE",
        0x80 => "DELETE_LISTPAGE",
        0x90 => "VACUUM_DATA_LEAF_PAGE",
        _ => return None,
    })
}
