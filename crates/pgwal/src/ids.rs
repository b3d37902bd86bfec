//! The small numbers that WAL records are made of, each a type of its own.

use std::fmt;
use std::str::FromStr;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name($inner);

        impl $name {
            /// Makes one from its number.
            #[must_use]
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }
    };
}

number!(
    /// An object identifier (`Oid`). Zero is invalid.
    Oid, u32
);
number!(
    /// The number of a block of 8 kB within a fork, from zero (`BlockNumber`).
    BlockNumber, u32
);
number!(
    /// The number of a line pointer within a page, from one (`OffsetNumber`).
    OffsetNumber, u16
);
number!(
    /// A set of transactions that hold one tuple (`MultiXactId`).
    MultiXactId, u32
);
number!(
    /// A timeline (`TimeLineID`), from one.
    TimelineId, u32
);
number!(
    /// The origin of a replicated change (`RepOriginId`). Zero is a local one.
    OriginId, u16
);

/// A transaction's number, 32 bits wide: it wraps around (`TransactionId`).
///
/// Deliberately not `Ord`: after a wraparound a smaller number may be the later transaction. Compare by
/// [`TransactionId::precedes`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TransactionId(u32);

impl TransactionId {
    /// `InvalidTransactionId`: no transaction.
    pub const INVALID: Self = Self(0);
    /// `FrozenTransactionId`: committed before all others.
    pub const FROZEN: Self = Self(2);
    /// `FirstNormalTransactionId`.
    pub const FIRST_NORMAL: Self = Self(3);

    /// Makes one from its number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Whether there is a transaction at all.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 != 0
    }

    /// Whether this is an ordinary transaction, neither invalid nor bootstrap nor frozen.
    #[must_use]
    pub const fn is_normal(self) -> bool {
        self.0 >= Self::FIRST_NORMAL.0
    }

    /// Whether this one is older than `other`, modulo 2^31 (`TransactionIdPrecedes`).
    #[must_use]
    pub const fn precedes(self, other: Self) -> bool {
        if self.is_normal() && other.is_normal() {
            self.0.wrapping_sub(other.0).cast_signed() < 0
        } else {
            self.0 < other.0
        }
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// A transaction's number that does not wrap around: its epoch is the upper half (`FullTransactionId`). Prints as
/// `pg_waldump` does, `epoch:xid`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FullTransactionId(u64);

impl FullTransactionId {
    /// Makes one from its number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// How often transaction numbers had wrapped around (`EpochFromFullTransactionId`).
    #[must_use]
    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The transaction without its epoch (`XidFromFullTransactionId`).
    #[must_use]
    pub const fn xid(self) -> TransactionId {
        // The lower half is meant.
        #[allow(clippy::cast_possible_truncation)]
        TransactionId::new(self.0 as u32)
    }
}

impl fmt::Display for FullTransactionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.epoch(), self.xid())
    }
}

impl fmt::Debug for FullTransactionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Where a relation's files are (`RelFileLocator`, before 16 `RelFileNode`). Prints as `pg_waldump` does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RelFileLocator {
    /// Its tablespace; 1663 is `pg_default`, 1664 `pg_global`.
    pub tablespace: Oid,
    /// Its database; zero for shared relations.
    pub database: Oid,
    /// The file's number (`relfilenode`), not the relation's OID.
    pub relation: Oid,
}

impl RelFileLocator {
    /// `DEFAULTTABLESPACE_OID`.
    const DEFAULT_TABLESPACE: u32 = 1663;
    /// `GLOBALTABLESPACE_OID`.
    const GLOBAL_TABLESPACE: u32 = 1664;

    /// Makes one from its three numbers.
    #[must_use]
    pub const fn new(tablespace: u32, database: u32, relation: u32) -> Self {
        Self { tablespace: Oid(tablespace), database: Oid(database), relation: Oid(relation) }
    }

    /// The path of the main fork's first file below the data directory (`relpathperm`), for `major`.
    #[must_use]
    pub fn path(&self, fork: Fork, major: u16) -> String {
        let Self { tablespace, database, relation } = self;
        let suffix = fork.name().filter(|_| fork != Fork::MAIN).map(|name| format!("_{name}")).unwrap_or_default();
        match tablespace.get() {
            Self::GLOBAL_TABLESPACE => format!("global/{relation}{suffix}"),
            Self::DEFAULT_TABLESPACE => format!("base/{database}/{relation}{suffix}"),
            _ => {
                let directory = Self::tablespace_version_directory(major);
                format!("pg_tblspc/{tablespace}/{directory}/{database}/{relation}{suffix}")
            }
        }
    }

    /// `TABLESPACE_VERSION_DIRECTORY`: major and catalogue version (`src/include/catalog/catversion.h`).
    fn tablespace_version_directory(major: u16) -> String {
        let catalogue_version = match major {
            13 => 202_007_201,
            14 => 202_107_181,
            15 => 202_209_061,
            16 => 202_307_071,
            17 => 202_406_281,
            _ => 202_506_291,
        };
        format!("PG_{major}_{catalogue_version}")
    }
}

/// The text does not name a relation's files or fork.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseLocatorError {
    /// Not three numbers with slashes between them, or tablespace or file are zero.
    #[error("invalid relation specification: \"{0}\", expecting \"tablespace OID/database OID/relation filenode\"")]
    Relation(String),
    /// Not the name of a fork.
    #[error("invalid fork name: \"{0}\"")]
    Fork(String),
}

impl FromStr for RelFileLocator {
    type Err = ParseLocatorError;

    /// Reads `1663/5/16384`.
    fn from_str(text: &str) -> Result<Self, ParseLocatorError> {
        let mut numbers = text.split('/').map(|number| number.parse::<u32>().ok());
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Some(tablespace @ 1..)), Some(Some(database)), Some(Some(relation @ 1..)), None) => {
                Ok(Self::new(tablespace, database, relation))
            }
            _ => Err(ParseLocatorError::Relation(text.to_owned())),
        }
    }
}

impl FromStr for Fork {
    type Err = ParseLocatorError;

    /// Reads `main`, `fsm`, `vm` or `init` (`forkname_to_number`).
    fn from_str(text: &str) -> Result<Self, ParseLocatorError> {
        let forks = [Self::MAIN, Self::FREE_SPACE_MAP, Self::VISIBILITY_MAP, Self::INIT];
        let fork = forks.into_iter().find(|fork| fork.name() == Some(text));
        fork.ok_or_else(|| ParseLocatorError::Fork(text.to_owned()))
    }
}

impl fmt::Display for RelFileLocator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.tablespace, self.database, self.relation)
    }
}

impl fmt::Debug for RelFileLocator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// One of a relation's forks (`ForkNumber`). Unknown numbers are kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Fork(u8);

impl Fork {
    /// The data itself.
    pub const MAIN: Self = Self(0);
    /// Free space map.
    pub const FREE_SPACE_MAP: Self = Self(1);
    /// Visibility map.
    pub const VISIBILITY_MAP: Self = Self(2);
    /// What an unlogged relation is reset to.
    pub const INIT: Self = Self(3);

    /// The fork of this number.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Its name as in `forkNames` (`src/common/relpath.c`), if there is one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            0 => Some("main"),
            1 => Some("fsm"),
            2 => Some("vm"),
            3 => Some("init"),
            _ => None,
        }
    }
}

impl fmt::Display for Fork {
    /// Its name, or its number if it has none.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => formatter.pad(name),
            None => fmt::Display::fmt(&self.0, formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_after_the_wraparound_is_later() {
        let before = TransactionId::new(u32::MAX - 5);
        let after = TransactionId::new(7);
        assert!(before.precedes(after));
        assert!(!after.precedes(before));
        assert!(TransactionId::FROZEN.precedes(before));
    }

    #[test]
    fn locators_and_forks_are_read_as_pg_waldump_reads_them() {
        assert_eq!("1663/5/16384".parse(), Ok(RelFileLocator::new(1663, 5, 16384)));
        assert_eq!("1664/0/1262".parse(), Ok(RelFileLocator::new(1664, 0, 1262)));
        for wrong in ["", "1663/5", "0/5/16384", "1663/5/0", "1663/5/1/2", "a/b/c"] {
            assert!(wrong.parse::<RelFileLocator>().is_err(), "{wrong}");
        }
        assert_eq!("vm".parse(), Ok(Fork::VISIBILITY_MAP));
        assert!("VM".parse::<Fork>().is_err());
        assert_eq!([Fork::INIT, Fork::new(9)].map(|fork| fork.to_string()), ["init", "9"]);
    }

    #[test]
    fn paths_are_relpathperm_s() {
        let main = Fork::MAIN;
        assert_eq!(RelFileLocator::new(1663, 5, 16384).path(main, 15), "base/5/16384");
        assert_eq!(RelFileLocator::new(1664, 0, 1262).path(main, 15), "global/1262");
        assert_eq!(
            RelFileLocator::new(16500, 5, 16501).path(Fork::VISIBILITY_MAP, 15),
            "pg_tblspc/16500/PG_15_202209061/5/16501_vm"
        );
    }
}
