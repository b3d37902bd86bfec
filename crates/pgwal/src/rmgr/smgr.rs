//! Creation and truncation of files; their removal is part of a transaction's end.
//! Source: `src/include/catalog/storage_xlog.h`.

use crate::error::RecordError;
use crate::ids::{BlockNumber, Fork, RelFileLocator};
use crate::record::Record;
use crate::rmgr::{locator, parse_main};

/// A record of resource manager Storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smgr {
    /// A fork was created, empty.
    Create {
        /// The relation.
        relation: RelFileLocator,
        /// Which of its forks.
        fork: Fork,
    },
    /// Forks were cut off.
    Truncate(Truncate),
    /// An operation that is not known here.
    Unknown,
}

/// `xl_smgr_truncate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncate {
    /// The heap's first block that is no longer there.
    pub block: BlockNumber,
    /// The relation.
    pub relation: RelFileLocator,
    /// Which forks: heap 1, visibility map 2, free space map 4.
    pub flags: i32,
}

impl Truncate {
    /// Whether the main fork is cut off (`SMGR_TRUNCATE_HEAP`).
    #[must_use]
    pub const fn heap(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether the visibility map is cut off (`SMGR_TRUNCATE_VM`).
    #[must_use]
    pub const fn visibility_map(&self) -> bool {
        self.flags & 2 != 0
    }
}

impl Smgr {
    /// Reads a record of resource manager Storage.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x10 => {
                    let relation = locator(cursor)?;
                    // An enum of C: four bytes, of which small numbers use the first.
                    let [fork, ..] = cursor.u32("forkNum")?.to_le_bytes();
                    Self::Create { relation, fork: Fork::new(fork) }
                }
                0x20 => {
                    let block = BlockNumber::new(cursor.u32("blkno")?);
                    let relation = locator(cursor)?;
                    Self::Truncate(Truncate { block, relation, flags: cursor.i32("flags")? })
                }
                _ => Self::Unknown,
            })
        })
    }
}

/// Name of the operation as in `smgr_identify`; `None` for one that does not exist.
#[must_use]
pub fn identify(info: u8) -> Option<&'static str> {
    match info & 0xF0 {
        0x10 => Some("CREATE"),
        0x20 => Some("TRUNCATE"),
        _ => None,
    }
}
