//! Records per second.

use std::time::Duration;

use pgwal::Timestamp;

/// How long records are counted for one rate, at least.
const WINDOW: Duration = Duration::from_secs(5);

/// How many records there are in a second, over the last 5 seconds or more.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct RecordRate {
    /// When it was begun to count, in microseconds as [`Timestamp`] has them; zero if it was not.
    begin: i64,
    records: u64,
    /// That of the last window, if there was one.
    last: f64,
    is_known: bool,
}

impl RecordRate {
    pub(super) const NEW: Self = Self { begin: 0, records: 0, last: 0.0, is_known: false };

    /// There were so many more records up to now.
    pub(super) fn add(&mut self, now: Timestamp, records: u64) {
        // Those before the first call were told in an unknown time; and the system's clock may have been set back.
        let Some(elapsed) = self.elapsed(now) else {
            (self.begin, self.records) = (now.get(), 0);
            return;
        };
        self.records = self.records.saturating_add(records);
        if elapsed >= WINDOW {
            (self.last, self.is_known) = (per_second(self.records, elapsed), true);
            (self.begin, self.records) = (now.get(), 0);
        }
    }

    /// The rate at this time. If nothing was added for long it goes down. `None` as long as it is not known.
    pub(super) fn per_second(&self, now: Timestamp) -> Option<f64> {
        match self.elapsed(now) {
            Some(elapsed) if elapsed >= WINDOW => Some(per_second(self.records, elapsed)),
            _ => self.is_known.then_some(self.last),
        }
    }

    fn elapsed(&self, now: Timestamp) -> Option<Duration> {
        let microseconds = now.get().checked_sub(self.begin)?;
        (self.begin != 0).then(|| u64::try_from(microseconds).ok()).flatten().map(Duration::from_micros)
    }
}

fn per_second(records: u64, elapsed: Duration) -> f64 {
    records as f64 / elapsed.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: f64) -> Timestamp {
        Timestamp::new(800_000_000_000_000 + (seconds * 1e6) as i64)
    }

    #[test]
    fn a_steady_stream_has_its_rate() {
        let mut rate = RecordRate::NEW;
        for step in 0..1_200 {
            rate.add(second(f64::from(step) / 100.0), 20);
            if step < 500 {
                assert_eq!(rate.per_second(second(f64::from(step) / 100.0)), None);
            }
        }
        assert_eq!(rate.per_second(second(12.0)), Some(2_000.0));
    }

    #[test]
    fn who_reports_no_more_tells_nothing() {
        let mut rate = RecordRate::NEW;
        rate.add(second(0.0), 0);
        rate.add(second(5.0), 500);
        assert_eq!(rate.per_second(second(6.0)), Some(100.0));
        rate.add(second(7.0), 30);
        assert_eq!(rate.per_second(second(8.0)), Some(100.0));
        assert_eq!(rate.per_second(second(35.0)), Some(1.0));
    }

    #[test]
    fn records_from_before_the_first_report_do_not_count() {
        let mut rate = RecordRate::NEW;
        rate.add(second(0.0), 1_000_000);
        rate.add(second(5.0), 10);
        assert_eq!(rate.per_second(second(5.0)), Some(2.0));
    }

    #[test]
    fn a_clock_that_is_set_back_begins_a_new_window() {
        let mut rate = RecordRate::NEW;
        rate.add(second(1_000.0), 0);
        rate.add(second(1_005.0), 50);
        rate.add(second(3.0), 7);
        assert_eq!(rate.per_second(second(4.0)), Some(10.0));
        rate.add(second(8.0), 100);
        assert_eq!(rate.per_second(second(8.0)), Some(20.0));
    }
}
