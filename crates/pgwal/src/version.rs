//! Major versions of PostgreSQL, told apart by the magic number of a WAL page.

use std::fmt;

/// A major version whose WAL this crate reads. The number of a page (`XLOG_PAGE_MAGIC`) changes with each major;
/// minor releases may differ behind the same number, so look at what a record holds as well.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Version {
    /// PostgreSQL 13.
    V13,
    /// PostgreSQL 14.
    V14,
    /// PostgreSQL 15.
    V15,
    /// PostgreSQL 16.
    V16,
    /// PostgreSQL 17.
    V17,
    /// PostgreSQL 18.
    V18,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 6] = [Self::V13, Self::V14, Self::V15, Self::V16, Self::V17, Self::V18];

    /// The version whose pages carry this magic number (`src/include/access/xlog_internal.h`).
    #[must_use]
    pub const fn from_page_magic(magic: u16) -> Option<Self> {
        Some(match magic {
            0xD106 => Self::V13,
            0xD10D => Self::V14,
            0xD110 => Self::V15,
            0xD113 => Self::V16,
            0xD116 => Self::V17,
            0xD118 => Self::V18,
            _ => return None,
        })
    }

    /// The magic number of its WAL pages.
    #[must_use]
    pub const fn page_magic(self) -> u16 {
        match self {
            Self::V13 => 0xD106,
            Self::V14 => 0xD10D,
            Self::V15 => 0xD110,
            Self::V16 => 0xD113,
            Self::V17 => 0xD116,
            Self::V18 => 0xD118,
        }
    }

    /// The version of this major number, such as 15.
    #[must_use]
    pub const fn from_major(major: u16) -> Option<Self> {
        Some(match major {
            13 => Self::V13,
            14 => Self::V14,
            15 => Self::V15,
            16 => Self::V16,
            17 => Self::V17,
            18 => Self::V18,
            _ => return None,
        })
    }

    /// Its number, such as 15.
    #[must_use]
    pub const fn major(self) -> u16 {
        match self {
            Self::V13 => 13,
            Self::V14 => 14,
            Self::V15 => 15,
            Self::V16 => 16,
            Self::V17 => 17,
            Self::V18 => 18,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.major())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_numbers_and_majors_lead_back() {
        for version in Version::ALL {
            assert_eq!(Version::from_page_magic(version.page_magic()), Some(version));
            assert_eq!(Version::from_major(version.major()), Some(version));
        }
    }
}
