//! Points in time as the user reads and writes them: in the time zone that `TZ` names, or else the system's.

use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use pgwal::{TextBuffer, Timestamp, UtcOffset};

/// Seconds from 1970 to 2000 (`POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE`).
const EPOCH: i64 = 946_684_800;

/// Reads `2026-01-02 03:04:05.678+00` and what PostgreSQL reads besides of ISO 8601: the time may be left out or be
/// without seconds, and be followed by an offset, `Z`, a name of the time zone database, or an abbreviation that is used
/// in the local time zone.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    parse_in(text, &TimeZone::system()).ok_or_else(|| {
        "expected a time such as 2026-01-02 03:04:05.678+00, 2026-01-02 03:04 (local time) or 2026-01-02 UTC".to_owned()
    })
}

fn parse_in(text: &str, local: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp(instant));
    }
    if let Some(civil) = civil(text) {
        return instant(civil, local);
    }
    // A name of a time zone is the last word.
    let (before, zone) = text.rsplit_once(' ')?;
    let civil = civil(before.trim_end())?;
    if zone.eq_ignore_ascii_case("Z") {
        return instant(civil, &TimeZone::UTC);
    }
    by_abbreviation(civil, zone, local).or_else(|| instant(civil, &TimeZone::get(zone).ok()?))
}

/// A date, with or without a time, but without a zone.
fn civil(text: &str) -> Option<DateTime> {
    let has_zone = |time: &str| time.contains(['+', '-', 'Z', 'z', '[']);
    match text.split_once([' ', 'T']) {
        Some((_, time)) if has_zone(time) => None,
        Some(_) => text.parse().ok(),
        None => text.parse::<Date>().ok().map(|date| date.to_datetime(jiff::civil::Time::midnight())),
    }
}

/// Where clocks are set back, the earlier of two; where they are set forward, as PostgreSQL takes it: by the offset
/// before.
fn instant(civil: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(civil).compatible().ok().map(timestamp)
}

/// The time at which the clocks of `local` show `civil` and call their zone `abbreviation`.
fn by_abbreviation(civil: DateTime, abbreviation: &str, local: &TimeZone) -> Option<Timestamp> {
    let offsets = match local.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => [offset; 2],
        AmbiguousOffset::Gap { before, after } | AmbiguousOffset::Fold { before, after } => [before, after],
    };
    let instants = offsets.into_iter().filter_map(|offset| offset.to_timestamp(civil).ok());
    let named = |instant: &jiff::Timestamp| local.to_offset_info(*instant).abbreviation() == abbreviation;
    instants.into_iter().find(named).map(timestamp)
}

fn timestamp(instant: jiff::Timestamp) -> Timestamp {
    Timestamp::new(instant.as_microsecond().saturating_sub(EPOCH * 1_000_000))
}

/// An empty text whose times are local.
pub(crate) fn local_text() -> TextBuffer {
    TextBuffer::in_time_zone(Arc::new(Local(TimeZone::try_system().unwrap_or(TimeZone::UTC))))
}

/// A time zone of the system's database.
#[derive(Debug)]
struct Local(TimeZone);

impl pgwal::TimeZone for Local {
    fn offset_at(&self, time: Timestamp) -> UtcOffset {
        let Self(zone) = self;
        let microseconds = time.get().saturating_add(EPOCH * 1_000_000);
        // Beyond the years that are known the rules are those of the last one.
        let bound = if microseconds < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let instant = jiff::Timestamp::from_microsecond(microseconds).unwrap_or(bound);
        let info = zone.to_offset_info(instant);
        // A change at this very moment is one before it.
        let behind = instant.saturating_add(SignedDuration::from_nanos(1)).unwrap_or(instant);
        let from = zone.preceding(behind).next().map_or(i64::MIN, |change| timestamp(change.timestamp()).get());
        let until = zone.following(instant).next().map_or(i64::MAX, |change| timestamp(change.timestamp()).get());
        UtcOffset::new(info.offset().seconds(), info.abbreviation(), Timestamp::new(from), Timestamp::new(until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Option<String> {
        let local = TimeZone::get("America/New_York").unwrap();
        parse_in(text, &local).map(|time| time.to_string())
    }

    #[test]
    fn times_are_read_as_postgresql_reads_them() {
        for (text, expected) in [
            ("2026-01-02 03:04:05.678+00", "2026-01-02 03:04:05.678000 UTC"),
            ("2026-01-02T03:04:05Z", "2026-01-02 03:04:05.000000 UTC"),
            ("2026-01-02 03:04:05 UTC", "2026-01-02 03:04:05.000000 UTC"),
            ("2026-01-02 03:04:05.678901 z", "2026-01-02 03:04:05.678901 UTC"),
            ("2026-01-02 03:04+05:30", "2026-01-01 21:34:00.000000 UTC"),
            ("2026-01-02 03:04:05-08", "2026-01-02 11:04:05.000000 UTC"),
            ("2026-01-02 03:04", "2026-01-02 08:04:00.000000 UTC"),
            (" 2026-07-02 03:04:05 ", "2026-07-02 07:04:05.000000 UTC"),
            ("2026-01-02", "2026-01-02 05:00:00.000000 UTC"),
            ("2026-01-02 Asia/Kolkata", "2026-01-01 18:30:00.000000 UTC"),
            // The hour that comes twice, told apart as pg_waldump prints it.
            ("2026-11-01 01:30:00.5 EDT", "2026-11-01 05:30:00.500000 UTC"),
            ("2026-11-01 01:30:00.5 EST", "2026-11-01 06:30:00.500000 UTC"),
            ("2026-11-01 01:30", "2026-11-01 05:30:00.000000 UTC"),
            // The hour that does not come.
            ("2026-03-08 02:30", "2026-03-08 07:30:00.000000 UTC"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn local_times_are_those_of_the_database() {
        let mut text = TextBuffer::in_time_zone(Arc::new(Local(TimeZone::get("America/New_York").unwrap())));
        for (told, expected) in [
            ("2026-03-08 06:59:59.999999Z", "2026-03-08 01:59:59.999999 EST"),
            ("2026-03-08 07:00:00Z", "2026-03-08 03:00:00.000000 EDT"),
            ("2026-03-08 06:59:59Z", "2026-03-08 01:59:59.000000 EST"),
            ("2026-11-01 05:30:00Z", "2026-11-01 01:30:00.000000 EDT"),
            ("2026-11-01 06:30:00Z", "2026-11-01 01:30:00.000000 EST"),
            ("1999-07-01 06:00:00Z", "1999-07-01 02:00:00.000000 EDT"),
            ("1800-01-01 12:00:00Z", "1800-01-01 07:03:58.000000 LMT"),
        ] {
            text.clear();
            text.append_time(parse_in(told, &TimeZone::UTC).unwrap());
            assert_eq!(text.to_string(), expected);
        }
        for time in [i64::MIN, i64::MAX] {
            text.append_time(Timestamp::new(time));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "now", "03:04", "2026-13-01", "2026-01-02 25:00", "2026-01-02 03:04:05 Nowhere", "1767323045"]
        {
            assert_eq!(utc(text), None, "{text}");
        }
    }
}
