//! Segments: the files that the log is kept in. Source: `src/include/access/xlog_internal.h`: `XLogFileName`.

use std::fmt;
use std::str::FromStr;

use crate::ids::TimelineId;
use crate::lsn::Lsn;

/// The number of a segment, from the beginning of the log (`XLogSegNo`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SegmentNo(u64);

impl SegmentNo {
    /// The segment of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The segment of `size` bytes that holds `lsn`.
    #[must_use]
    pub const fn of(lsn: Lsn, size: u32) -> Self {
        match lsn.get().checked_div(size as u64) {
            Some(number) => Self(number),
            None => Self(0),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Where it begins, if segments are of `size` bytes.
    #[must_use]
    pub const fn start(self, size: u32) -> Lsn {
        Lsn::new(self.0.saturating_mul(size as u64))
    }

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The name of a segment's file: timeline and position, 24 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentName {
    /// The timeline.
    pub timeline: TimelineId,
    /// Upper half: `XLogRecPtr >> 32`.
    high: u32,
    /// Segment within the upper half.
    low: u32,
}

impl SegmentName {
    /// Length of a name in characters (`XLOG_FNAME_LEN`).
    pub const LENGTH: usize = 24;

    /// The file of segment `number` of `timeline`, if segments are of `size` bytes.
    #[must_use]
    pub const fn new(timeline: TimelineId, number: SegmentNo, size: u32) -> Self {
        let lsn = number.start(size).get();
        let low = match (lsn & 0xFFFF_FFFF).checked_div(size as u64) {
            Some(low) => low,
            None => 0,
        };
        // Both halves were cut to 32 bits above.
        #[allow(clippy::cast_possible_truncation)]
        Self { timeline, high: (lsn >> 32) as u32, low: low as u32 }
    }

    /// Which segment it is, if segments are of `size` bytes.
    #[must_use]
    pub const fn number(&self, size: u32) -> SegmentNo {
        SegmentNo::of(self.start(size), size)
    }

    /// Where it begins, if segments are of `size` bytes.
    #[must_use]
    pub const fn start(&self, size: u32) -> Lsn {
        Lsn::new(((self.high as u64) << 32).saturating_add((self.low as u64).saturating_mul(size as u64)))
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08X}{:08X}{:08X}", self.timeline.get(), self.high, self.low)
    }
}

/// The text is not the name of a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not the name of a WAL segment")]
pub struct ParseSegmentNameError(String);

impl FromStr for SegmentName {
    type Err = ParseSegmentNameError;

    /// Reads what `IsXLogFileName` accepts: 24 upper-case hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, ParseSegmentNameError> {
        let error = || ParseSegmentNameError(text.to_owned());
        let upper = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
        if text.len() != Self::LENGTH || !text.bytes().all(upper) {
            return Err(error());
        }
        let part = |range| text.get(range).and_then(|part| u32::from_str_radix(part, 16).ok()).ok_or_else(error);
        Ok(Self { timeline: TimelineId::new(part(0..8)?), high: part(8..16)?, low: part(16..24)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_postgresql_s() {
        let size = 16 * 1024 * 1024;
        let name = SegmentName::new(TimelineId::new(1), SegmentNo::of(Lsn::new(0x1_FF00_0000), size), size);
        assert_eq!(name.to_string(), "0000000100000001000000FF");
        assert_eq!(name.start(size), Lsn::new(0x1_FF00_0000));
    }

    #[test]
    fn other_files_of_pg_wal_are_refused() {
        for name in
            ["archive_status", "00000002.history", "000000010000000000000001.partial", "00000001000000000000000a"]
        {
            assert!(name.parse::<SegmentName>().is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn names_lead_back(timeline in 1u32.., number in 0u64..1 << 24, shift in 20u32..=30) {
            let size = 1 << shift;
            let name = SegmentName::new(TimelineId::new(timeline), SegmentNo::new(number), size);
            let read: SegmentName = name.to_string().parse().unwrap();
            prop_assert_eq!((read, read.number(size).get()), (name, number));
        }
    }
}
