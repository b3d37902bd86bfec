//! Resource managers: each writes records of its own kinds. One file for each whose records are typed.
//!
//! Source: `src/include/access/rmgrlist.h`.

use std::fmt;

use crate::cursor::Cursor;
use crate::error::Malformed;
use crate::error::RecordError;
use crate::ids::{OffsetNumber, RelFileLocator};
use crate::record::Record;

pub mod dbase;
pub mod heap;
pub mod heap2;
pub mod multixact;
pub mod smgr;
pub mod standby;
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
        self.name().is_some() || self.is_custom()
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
fn parse_main<'a, T>(
    record: &Record<'a>,
    parse: impl FnOnce(&mut Cursor<'a>) -> Result<T, Malformed>,
) -> Result<T, RecordError> {
    parse(&mut Cursor::new(record.main_data)).map_err(|cause| record.error(cause))
}

/// A file of a relation: three numbers.
fn locator(cursor: &mut Cursor<'_>) -> Result<RelFileLocator, Malformed> {
    let tablespace = cursor.u32("spcOid")?;
    let database = cursor.u32("dbOid")?;
    Ok(RelFileLocator::new(tablespace, database, cursor.u32("relNumber")?))
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
