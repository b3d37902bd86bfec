//! Local time: `pg_waldump` shows times as the clocks of its machine would have shown them. Which clocks these are is
//! told from outside: this crate has no time zones of its own but UTC.

use std::fmt;

use crate::timestamp::Timestamp;

/// What a [`TextBuffer`](crate::TextBuffer) asks to write a time.
pub trait TimeZone: fmt::Debug + Send + Sync {
    /// The offset from UTC that holds at `time`, which is a whole second.
    fn offset_at(&self, time: Timestamp) -> UtcOffset;
}

/// How local time differs from UTC between two moments at which it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UtcOffset {
    /// Positive to the east.
    seconds: i32,
    abbreviation: [u8; Self::LONGEST_ABBREVIATION],
    /// How many bytes of the abbreviation count.
    length: usize,
    from: Timestamp,
    until: Timestamp,
}

impl UtcOffset {
    /// Most bytes of an abbreviation. Those that exist have six at most.
    const LONGEST_ABBREVIATION: usize = 24;

    /// None at all, for all times.
    pub const UTC: Self = Self {
        seconds: 0,
        abbreviation: *b"UTC\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        length: 3,
        from: Timestamp::new(i64::MIN),
        until: Timestamp::new(i64::MAX),
    };

    /// Holds for no time.
    pub(crate) const UNKNOWN: Self = Self { until: Timestamp::new(i64::MIN), ..Self::UTC };

    /// So many seconds, positive to the east, from `from` on and before `until`. An abbreviation such as `CEST` is cut
    /// after 24 bytes.
    #[must_use]
    pub fn new(seconds: i32, abbreviation: &str, from: Timestamp, until: Timestamp) -> Self {
        let length = abbreviation.floor_char_boundary(Self::LONGEST_ABBREVIATION);
        let mut bytes = [0; Self::LONGEST_ABBREVIATION];
        bytes.iter_mut().zip(abbreviation.bytes().take(length)).for_each(|(place, byte)| *place = byte);
        Self { seconds, abbreviation: bytes, length, from, until }
    }

    /// Seconds, positive to the east.
    #[must_use]
    pub const fn seconds(&self) -> i32 {
        self.seconds
    }

    /// The name that the time zone has then.
    #[must_use]
    pub fn abbreviation(&self) -> &str {
        self.abbreviation.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Whether it holds at this time.
    #[must_use]
    pub fn holds_at(&self, time: Timestamp) -> bool {
        self.from <= time && time < self.until
    }
}

impl Default for UtcOffset {
    fn default() -> Self {
        Self::UTC
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::TextBuffer;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// An hour ahead from the year 2000 on, and how often it was asked.
    #[derive(Debug, Default)]
    struct Zone(AtomicU32);

    impl TimeZone for Zone {
        fn offset_at(&self, time: Timestamp) -> UtcOffset {
            self.0.fetch_add(1, Ordering::Relaxed);
            let begin = Timestamp::new(0);
            match time < begin {
                true => UtcOffset::new(-5400, "EARLY", Timestamp::new(i64::MIN), begin),
                false => UtcOffset::new(3600, "LATE", begin, Timestamp::new(i64::MAX)),
            }
        }
    }

    #[test]
    fn a_zone_is_asked_only_where_its_offset_changes() {
        let zone = Arc::new(Zone::default());
        let mut text = TextBuffer::in_time_zone(zone.clone());
        let mut told = |microseconds| {
            text.clear();
            text.append_time(Timestamp::new(microseconds));
            text.to_string()
        };
        assert_eq!(told(0), "2000-01-01 01:00:00.000000 LATE");
        assert_eq!(told(5_000_001), "2000-01-01 01:00:05.000001 LATE");
        assert_eq!(zone.0.load(Ordering::Relaxed), 1);
        assert_eq!(told(-1_000_000), "1999-12-31 22:29:59.000000 EARLY");
        assert_eq!(told(-2_000_000), "1999-12-31 22:29:58.000000 EARLY");
        assert_eq!(zone.0.load(Ordering::Relaxed), 2);
        // C divides towards zero.
        assert_eq!(told(-1), "2000-01-01 01:00:00.-00001 LATE");
        assert_eq!(zone.0.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_long_abbreviation_is_cut() {
        let always = [i64::MIN, i64::MAX].map(Timestamp::new);
        let offset = UtcOffset::new(0, &"\u{E9}".repeat(30), always[0], always[1]);
        assert_eq!(offset.abbreviation(), "\u{E9}".repeat(12));
        let mut text = TextBuffer::new();
        text.append_time(Timestamp::new(i64::MIN));
        text.append_time(Timestamp::new(i64::MAX));
        assert_eq!(text.to_string(), "-290278-12-22 19:59:06.-775808 UTC294277-01-09 04:00:54.775807 UTC");
    }
}
