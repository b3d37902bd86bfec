//! Positions in the write-ahead log. Source: `src/include/access/xlogdefs.h`, `src/backend/utils/adt/pg_lsn.c`.

use std::fmt;
use std::str::FromStr;

/// A log sequence number: the byte position in the write-ahead log (`XLogRecPtr`). Zero is invalid.
///
/// Prints and parses as PostgreSQL's `pg_lsn`: `16/B374D848`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lsn(u64);

impl Lsn {
    /// `InvalidXLogRecPtr`.
    pub const INVALID: Self = Self(0);
    /// The last possible position.
    pub const MAX: Self = Self(u64::MAX);

    /// The position `bytes` bytes after the beginning of the log.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Bytes since the beginning of the log.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether this is a position at all (not zero).
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 != 0
    }

    /// The position `bytes` further on, at most [`Lsn::MAX`].
    #[must_use]
    pub const fn advanced(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }

    /// Bytes from `earlier` to here; zero if `earlier` lies behind.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Offset within its unit (page or segment) of `size` bytes; zero if `size` is zero.
    #[must_use]
    pub const fn offset_in(self, size: u32) -> u32 {
        match self.0.checked_rem(size as u64) {
            // The remainder of a division by a u32 fits into one.
            #[allow(clippy::cast_possible_truncation)]
            Some(offset) => offset as u32,
            None => 0,
        }
    }

    /// Beginning of the unit (page or segment) of `size` bytes that holds this position.
    #[must_use]
    pub const fn floor(self, size: u32) -> Self {
        Self(self.0.saturating_sub(self.offset_in(size) as u64))
    }

    /// This position, if a unit (page or segment) of `size` bytes begins here, or else the beginning of the next.
    #[must_use]
    pub const fn ceil(self, size: u32) -> Self {
        if self.offset_in(size) == 0 { self } else { Self(self.floor(size).0.saturating_add(size as u64)) }
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is not an LSN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid WAL location: \"{0}\"")]
pub struct ParseLsnError(String);

impl FromStr for Lsn {
    type Err = ParseLsnError;

    /// Reads what `pg_lsn_in` reads: two hexadecimal numbers of one to eight digits with a slash between them.
    fn from_str(text: &str) -> Result<Self, ParseLsnError> {
        let half = |digits: &str| {
            let hexadecimal = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            if hexadecimal { u64::from_str_radix(digits, 16).ok() } else { None }
        };
        text.split_once('/')
            .and_then(|(high, low)| Some(Self((half(high)? << 32) | half(low)?)))
            .ok_or_else(|| ParseLsnError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_as_pg_lsn() {
        assert_eq!(Lsn::new(0x16_B374_D848).to_string(), "16/B374D848");
        assert_eq!(Lsn::new(0).to_string(), "0/0");
    }

    #[test]
    fn refuses_what_pg_lsn_in_refuses() {
        for text in ["", "/", "16", "G/0", "16/", "/AE012345", "16 /AE012345", "123456789/0", "-1/0", "+1/0", "0/1 "] {
            assert!(text.parse::<Lsn>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn units_begin_where_they_should() {
        let lsn = Lsn::new(8192 * 3 + 5);
        assert_eq!(lsn.offset_in(8192), 5);
        assert_eq!(lsn.floor(8192), Lsn::new(8192 * 3));
        assert_eq!(lsn.ceil(8192), Lsn::new(8192 * 4));
        assert_eq!(Lsn::new(8192).ceil(8192), Lsn::new(8192));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(bytes: u64) {
            let lsn = Lsn::new(bytes);
            prop_assert_eq!(lsn.to_string().parse::<Lsn>().unwrap(), lsn);
        }
    }
}
