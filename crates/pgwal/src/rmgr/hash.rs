//! Hash indexes. Source: `src/include/access/hash_xlog.h`.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::ids::{BlockNumber, OffsetNumber, Oid, TransactionId};
use crate::record::Record;
use crate::rmgr::{is_catalog, parse_main};
use crate::version::Version;

/// A record of resource manager Hash.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hash {
    /// The metapage was made.
    InitMetaPage {
        /// Number of tuples that the index is made for.
        tuples: f64,
        /// The hash function.
        function: Oid,
        /// Entries per bucket.
        fill_factor: u16,
    },
    /// A bitmap of overflow pages was made.
    InitBitmapPage {
        /// Its size in bits.
        bitmap_size: u16,
    },
    /// An entry was put on a page that had room for it.
    Insert(OffsetNumber),
    /// A bucket got another overflow page.
    AddOverflowPage {
        /// Size of a bitmap in bits.
        bitmap_size: u16,
        /// Whether the page's bit lies in a bitmap that was there.
        bitmap_page_found: bool,
    },
    /// A new bucket began to be split off.
    SplitAllocatePage(SplitAllocatePage),
    /// Entries were moved to the new bucket; the page is an image.
    SplitPage,
    /// A split is complete.
    SplitComplete {
        /// New flags of the old bucket.
        old_bucket_flags: u16,
        /// New flags of the new bucket.
        new_bucket_flags: u16,
    },
    /// Entries were moved to an earlier page of their bucket.
    MovePageContents {
        /// How many.
        count: u16,
        /// Whether they went to the bucket's first page.
        to_primary: bool,
    },
    /// An overflow page was freed, its entries moved to an earlier page of the bucket.
    SqueezePage(SqueezePage),
    /// VACUUM removed entries.
    Delete {
        /// Whether the page no longer has entries known to be dead.
        clear_dead_marking: bool,
        /// Whether it is the bucket's first page.
        is_primary: bool,
    },
    /// A bucket has been cleaned up after a split.
    SplitCleanup,
    /// VACUUM wrote the number of entries into the metapage.
    UpdateMetaPage {
        /// Entries of the index.
        tuples: f64,
    },
    /// Entries known to be dead were removed to make room.
    VacuumOnePage(VacuumOnePage),
    /// An operation that is not known here.
    Unknown,
}

/// `xl_hash_split_allocate_page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitAllocatePage {
    /// The new bucket.
    pub new_bucket: u32,
    /// New flags of the old bucket.
    pub old_bucket_flags: u16,
    /// Flags of the new bucket.
    pub new_bucket_flags: u16,
    /// `XLH_SPLIT_META_UPDATE_*`.
    pub flags: u8,
}

impl SplitAllocatePage {
    /// Whether the metapage's masks changed (`XLH_SPLIT_META_UPDATE_MASKS`).
    #[must_use]
    pub const fn updates_masks(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether a new group of buckets began (`XLH_SPLIT_META_UPDATE_SPLITPOINT`).
    #[must_use]
    pub const fn updates_split_point(&self) -> bool {
        self.flags & 2 != 0
    }
}

/// `xl_hash_squeeze_page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqueezePage {
    /// The page before the freed one.
    pub previous: BlockNumber,
    /// The page behind it.
    pub next: BlockNumber,
    /// Entries that were moved.
    pub count: u16,
    /// Whether they went to the bucket's first page.
    pub to_primary: bool,
    /// Whether they went to the page before the freed one.
    pub to_previous: bool,
}

/// `xl_hash_vacuum_one_page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VacuumOnePage {
    /// Transactions up to this one conflict with it on a standby.
    pub conflict_horizon: TransactionId,
    /// Entries that were removed.
    pub count: i32,
    /// Whether the index belongs to a catalogue (16 and later).
    pub is_catalog: bool,
}

impl Hash {
    /// Reads a record of resource manager Hash.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x00 => Self::InitMetaPage {
                    tuples: cursor.f64("num_tuples")?,
                    function: Oid::new(cursor.u32("procid")?),
                    fill_factor: cursor.u16("ffactor")?,
                },
                0x10 => Self::InitBitmapPage { bitmap_size: cursor.u16("bmsize")? },
                0x20 => Self::Insert(OffsetNumber::new(cursor.u16("offnum")?)),
                0x30 => Self::AddOverflowPage {
                    bitmap_size: cursor.u16("bmsize")?,
                    bitmap_page_found: cursor.bool("bmpage_found")?,
                },
                0x40 => Self::SplitAllocatePage(SplitAllocatePage {
                    new_bucket: cursor.u32("new_bucket")?,
                    old_bucket_flags: cursor.u16("old_bucket_flag")?,
                    new_bucket_flags: cursor.u16("new_bucket_flag")?,
                    flags: cursor.u8("flags")?,
                }),
                0x50 => Self::SplitPage,
                0x60 => Self::SplitComplete {
                    old_bucket_flags: cursor.u16("old_bucket_flag")?,
                    new_bucket_flags: cursor.u16("new_bucket_flag")?,
                },
                0x70 => Self::MovePageContents {
                    count: cursor.u16("ntups")?,
                    to_primary: cursor.bool("is_prim_bucket_same_wrt")?,
                },
                0x80 => Self::SqueezePage(SqueezePage {
                    previous: BlockNumber::new(cursor.u32("prevblkno")?),
                    next: BlockNumber::new(cursor.u32("nextblkno")?),
                    count: cursor.u16("ntups")?,
                    to_primary: cursor.bool("is_prim_bucket_same_wrt")?,
                    to_previous: cursor.bool("is_prev_bucket_same_wrt")?,
                }),
                0x90 => Self::Delete {
                    clear_dead_marking: cursor.bool("clear_dead_marking")?,
                    is_primary: cursor.bool("is_primary_bucket_page")?,
                },
                0xA0 => Self::SplitCleanup,
                0xB0 => Self::UpdateMetaPage { tuples: cursor.f64("ntuples")? },
                0xC0 => Self::VacuumOnePage(VacuumOnePage::parse(cursor, record.version)?),
                _ => Self::Unknown,
            })
        })
    }
}

impl VacuumOnePage {
    fn parse(cursor: &mut Cursor<'_>, version: Version) -> Result<Self, Malformed> {
        let conflict_horizon = TransactionId::new(cursor.u32("snapshotConflictHorizon")?);
        // 16 made the count shorter to have room for isCatalogRel.
        let count = if version < Version::V16 { cursor.i32("ntuples")? } else { i32::from(cursor.u16("ntuples")?) };
        Ok(Self { conflict_horizon, count, is_catalog: is_catalog(cursor, version)? })
    }
}

/// Name of the operation as in `hash_identify`; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    Some(match info & 0xF0 {
        0x00 => "INIT_META_PAGE",
        0x10 => "INIT_BITMAP_PAGE",
        0x20 => "INSERT",
        0x30 => "ADD_OVFL_PAGE",
        0x40 => "SPLIT_ALLOCATE_PAGE",
        0x50 => "SPLIT_PAGE",
        0x60 => "SPLIT_COMPLETE",
        0x70 => "MOVE_PAGE_CONTENTS",
        0x80 => "SQUEEZE_PAGE",
        0x90 => "DELETE",
        0xA0 => "SPLIT_CLEANUP",
        0xB0 => "UPDATE_META_PAGE",
        0xC0 => "VACUUM_ONE_PAGE",
        _ => return None,
    })
}
