//! Points in time as PostgreSQL keeps them. Source: `src/include/datatype/timestamp.h`.

use std::fmt;

use crate::text::{Piece, Room, TextBuffer, append, three_digits};
use crate::time_zone::UtcOffset;

/// Microseconds since 2000-01-01 00:00:00 UTC (`TimestampTz`).
///
/// Prints as `pg_waldump` does where the time zone is UTC: `2026-11-21 02:17:03.123456 UTC`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time so many microseconds after the year 2000 began.
    #[must_use]
    pub const fn new(microseconds: i64) -> Self {
        Self(microseconds)
    }

    /// Microseconds since the year 2000 began.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// Year, month and day of a day counted from 2000-01-01 in the Gregorian calendar.
///
/// Counts years from March on, so that the leap day is a year's last: an era of 400 years has 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    // 730,425 days lie between 0000-03-01 and 2000-01-01.
    let days = days.saturating_add(730_425);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let leaps = (day_of_era / 1_460).saturating_sub(day_of_era / 36_524).saturating_add(day_of_era / 146_096);
    let year_of_era = day_of_era.saturating_sub(leaps) / 365;
    let before = year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
    let day_of_year = day_of_era.saturating_sub(before);
    let shifted_month = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = day_of_year.saturating_sub(shifted_month.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
    let month = if shifted_month < 10 { shifted_month.saturating_add(3) } else { shifted_month.saturating_sub(9) };
    let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(i64::from(month <= 2));
    (year, month, day)
}

/// A time as the clocks of a time zone show it: the one place where a time becomes text.
///
/// As `timestamptz_to_str` of `src/bin/pg_waldump/compat.c` prints it, whose division truncates: before the year 2000, a
/// fraction of a second has a minus sign and belongs to the second behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalTime {
    pub(crate) time: Timestamp,
    pub(crate) offset: UtcOffset,
}

impl Piece for LocalTime {
    const LONGEST: usize = 64;

    fn put(&self, room: &mut Room<'_>) {
        let microseconds = self.time.0;
        let seconds = (microseconds / 1_000_000).saturating_add(i64::from(self.offset.seconds()));
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        let second_of_day = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);

        let [[_, m0, m1], [_, d0, d1]] = [month, day].map(three_digits);
        let [[_, h0, h1], [_, i0, i1], [_, s0, s1]] = [hour, minute, second].map(three_digits);
        match year {
            1000..=9999 => {
                let ([_, _, y0], [y1, y2, y3]) = (three_digits(year / 1000), three_digits(year));
                room.put_chunk([y0, y1, y2, y3]);
            }
            // strftime writes as many digits as there are.
            distant => distant.to_string().put(room),
        }
        room.put_chunk([b'-', m0, m1, b'-', d0, d1, b' ', h0, h1, b':', i0, i1, b':', s0, s1, b'.']);
        match microseconds % 1_000_000 {
            fraction @ 0.. => {
                let [[f0, f1, f2], [f3, f4, f5]] = [fraction / 1000, fraction].map(three_digits);
                room.put_chunk([f0, f1, f2, f3, f4, f5]);
            }
            negative => format!("{negative:06}").put(room),
        }
        room.put_chunk([b' ']);
        room.put_slice(self.offset.abbreviation().as_bytes());
    }
}

/// In UTC.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = TextBuffer::new();
        append!(text, LocalTime { time: *self, offset: UtcOffset::UTC });
        fmt::Display::fmt(&text, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days_are_right() {
        let at = |days: i64| Timestamp::new(days * 86_400_000_000).to_string();
        assert_eq!(at(0), "2000-01-01 00:00:00.000000 UTC");
        assert_eq!(at(59), "2000-02-29 00:00:00.000000 UTC");
        assert_eq!(at(60), "2000-03-01 00:00:00.000000 UTC");
        assert_eq!(at(9821), "2026-11-21 00:00:00.000000 UTC");
        assert_eq!(at(-1), "1999-12-31 00:00:00.000000 UTC");
        assert_eq!(at(36_584), "2100-03-01 00:00:00.000000 UTC");
    }

    #[test]
    fn the_time_of_day_is_to_the_microsecond() {
        let at = |microseconds| Timestamp::new(microseconds).to_string();
        assert_eq!(at(9821 * 86_400_000_000 + 8_223_123_456), "2026-11-21 02:17:03.123456 UTC");
        assert_eq!(at(86_400_000_000 - 1), "2000-01-01 23:59:59.999999 UTC");
        // As C divides.
        assert_eq!(at(-1), "2000-01-01 00:00:00.-00001 UTC");
        assert_eq!(at(-1_500_000), "1999-12-31 23:59:59.-500000 UTC");
    }

    #[test]
    fn years_have_as_many_digits_as_they_need() {
        let year =
            |days: i64| Timestamp::new(days * 86_400_000_000).to_string().split_once("-01-01").unwrap().0.to_owned();
        assert_eq!(year(2_921_940), "10000");
        assert_eq!(year(-730_119), "1");
        assert_eq!(year(-730_850), "-1");
    }

    #[test]
    fn no_value_makes_it_panic() {
        for value in [i64::MIN, i64::MAX, -1] {
            assert!(!Timestamp::new(value).to_string().is_empty());
        }
    }
}
