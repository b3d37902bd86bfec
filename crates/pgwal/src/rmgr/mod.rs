//! Resource managers: each writes records of its own kinds. One file for each of PostgreSQL's own.
//!
//! Source: `src/include/access/rmgrlist.h`.

use std::fmt;

use crate::cursor::Cursor;
use crate::error::Malformed;
use crate::error::RecordError;
use crate::ids::{BlockNumber, OffsetNumber, RelFileLocator};
use crate::record::Record;
use crate::version::Version;

pub mod brin;
pub mod btree;
pub mod clog;
pub mod commit_ts;
pub mod dbase;
pub mod generic;
pub mod gin;
pub mod gist;
pub mod hash;
pub mod heap;
pub mod heap2;
pub mod logical_message;
pub mod multixact;
pub mod relmap;
pub mod replication_origin;
pub mod sequence;
pub mod smgr;
pub mod spgist;
pub mod standby;
pub mod tablespace;
pub mod xact;
pub mod xlog;

/// The number of a resource manager (`RmgrId`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RmgrId(u8);

macro_rules! built_in {
    ($($(#[$doc:meta])* $constant:ident = $id:literal, $name:literal;)*) => {
        impl RmgrId {
            $($(#[$doc])* pub const $constant: Self = Self($id);)*

            /// Those of PostgreSQL itself, by number.
            pub const BUILT_IN: &'static [Self] = &[$(Self($id),)*];

            /// The name that `pg_waldump` shows, if it is one of PostgreSQL's own.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($id => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

built_in! {
    /// Checkpoints, full-page images, parameters.
    XLOG = 0, "XLOG";
    /// Ends of transactions.
    TRANSACTION = 1, "Transaction";
    /// Creation and truncation of files.
    STORAGE = 2, "Storage";
    /// Pages of the commit log.
    CLOG = 3, "CLOG";
    /// Creation and removal of databases.
    DATABASE = 4, "Database";
    /// Creation and removal of tablespaces.
    TABLESPACE = 5, "Tablespace";
    /// Sets of transactions.
    MULTI_XACT = 6, "MultiXact";
    /// Files of the mapped catalogues.
    REL_MAP = 7, "RelMap";
    /// What a hot standby has to know.
    STANDBY = 8, "Standby";
    /// Heaps: pruning, freezing, visibility, several tuples at once.
    HEAP2 = 9, "Heap2";
    /// Heaps: insert, update, delete, lock.
    HEAP = 10, "Heap";
    /// B-tree indexes.
    BTREE = 11, "Btree";
    /// Hash indexes.
    HASH = 12, "Hash";
    /// GIN indexes.
    GIN = 13, "Gin";
    /// GiST indexes.
    GIST = 14, "Gist";
    /// Sequences.
    SEQUENCE = 15, "Sequence";
    /// SP-GiST indexes.
    SP_GIST = 16, "SPGist";
    /// BRIN indexes.
    BRIN = 17, "BRIN";
    /// Commit timestamps.
    COMMIT_TS = 18, "CommitTs";
    /// Replication origins.
    REPLICATION_ORIGIN = 19, "ReplicationOrigin";
    /// Generic page changes of extensions.
    GENERIC = 20, "Generic";
    /// Messages for logical decoding.
    LOGICAL_MESSAGE = 21, "LogicalMessage";
}

impl RmgrId {
    /// Lowest number of a custom resource manager (`RM_MIN_CUSTOM_ID`).
    pub const MIN_CUSTOM: u8 = 128;

    /// The resource manager of this number.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether an extension registered it.
    #[must_use]
    pub const fn is_custom(self) -> bool {
        self.0 >= Self::MIN_CUSTOM
    }

    /// Whether it is built in or custom (`RmgrIdIsValid`).
    #[must_use]
    pub const fn is_valid(self) -> bool {
        (self.0 as usize) < Self::BUILT_IN.len() || self.is_custom()
    }
}

impl fmt::Display for RmgrId {
    /// As `pg_waldump` names it: custom ones by their number, `custom128`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => formatter.pad(name),
            None => formatter.pad(&format!("custom{:03}", self.0)),
        }
    }
}

/// Reads main data through `parse` and says in the error which record it was.
#[inline(always)]
fn parse_main<'a, T>(
    record: &Record<'a>,
    parse: impl FnOnce(&mut Cursor<'a>) -> Result<T, Malformed>,
) -> Result<T, RecordError> {
    match parse(&mut Cursor::new(record.main_data)) {
        Ok(parsed) => Ok(parsed),
        Err(cause) => Err(record.error(cause)),
    }
}

/// A file of a relation: three numbers.
fn locator(cursor: &mut Cursor<'_>) -> Result<RelFileLocator, Malformed> {
    let tablespace = cursor.u32("spcOid")?;
    let database = cursor.u32("dbOid")?;
    Ok(RelFileLocator::new(tablespace, database, cursor.u32("relNumber")?))
}

/// A block's number in two halves, the upper one first (`BlockIdData`).
fn block_id(cursor: &mut Cursor<'_>) -> Result<BlockNumber, Malformed> {
    let (high, low) = (cursor.u16("bi_hi")?, cursor.u16("bi_lo")?);
    Ok(BlockNumber::new(u32::from(high) << 16 | u32::from(low)))
}

/// The number of a page of a file that is kept like the commit log (`slru.c`): 64 bits wide from 17 on.
fn slru_page(cursor: &mut Cursor<'_>, version: Version) -> Result<i64, Malformed> {
    if version < Version::V17 { cursor.i32("pageno").map(i64::from) } else { cursor.i64("pageno") }
}

/// `isCatalogRel`: whether the relation is a catalogue as far as logical decoding is concerned; from 16 on.
fn is_catalog(cursor: &mut Cursor<'_>, version: Version) -> Result<bool, Malformed> {
    if version < Version::V16 { Ok(false) } else { cursor.bool("isCatalogRel") }
}

/// A C string at the end of main data: up to its terminating zero, or all.
fn c_string<'a>(cursor: &Cursor<'a>) -> &'a [u8] {
    cursor.rest().split(|byte| *byte == 0).next().unwrap_or_default()
}

/// An array of line pointer numbers, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offsets<'a>(&'a [[u8; 2]]);

impl<'a> Offsets<'a> {
    /// All whole numbers in `bytes`.
    fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }

    fn take(cursor: &mut Cursor<'a>, field: &'static str, count: u16) -> Result<Self, Malformed> {
        cursor.take(field, usize::from(count).saturating_mul(2)).map(Self::new)
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = OffsetNumber> + use<'a> {
        self.0.iter().map(|bytes| OffsetNumber::new(u16::from_le_bytes(*bytes)))
    }

    /// In pairs, such as from and to of redirections; an odd last one is left out.
    pub fn pairs(&self) -> impl Iterator<Item = (OffsetNumber, OffsetNumber)> + use<'a> {
        let number = |bytes| OffsetNumber::new(u16::from_le_bytes(bytes));
        self.0.as_chunks::<2>().0.iter().map(move |[from, to]| (number(*from), number(*to)))
    }
}
