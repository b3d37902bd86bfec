//! What happens to a relation in the course of time, beside what is on its pages.

use pgwal::{Lsn, TransactionId};
use serde::{Deserialize, Serialize};

use crate::deleters::Deleters;

/// So long an event counts for the rate of deaths, on average, in microseconds: five minutes.
const MEMORY: f64 = 300e6;
/// A second in microseconds.
const SECOND: i64 = 1_000_000;
/// A minute in microseconds.
const MINUTE: f64 = 60e6;

/// What happened to a relation since the walk began. Takes no room until something does.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Activity(Option<Box<History>>);

#[derive(Debug, Default, Serialize, Deserialize)]
struct History {
    deleters: Deleters,
    updates: u64,
    hot_updates: u64,
    deaths_since_vacuum: u64,
    rate: Rate,
    vacuumed: Option<Vacuumed>,
}

/// The last trace of a vacuum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vacuumed {
    pub(crate) lsn: Lsn,
    /// When the last transaction before ended, in microseconds since the year 2000; `None` if none was seen.
    pub(crate) time: Option<i64>,
}

/// A rate as load averages are: events count less the longer ago they are.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Rate {
    weight: f64,
    /// The weight is that of this time.
    time: i64,
}

/// What is told of a relation's activity.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ActivitySummary {
    pub(crate) updates: u64,
    pub(crate) hot_updates: u64,
    pub(crate) deaths_since_vacuum: u64,
    pub(crate) deaths_per_minute: f64,
    pub(crate) vacuumed: Option<Vacuumed>,
}

impl Rate {
    fn at(self, time: i64) -> f64 {
        let passed = time.saturating_sub(self.time);
        if passed <= 0 { self.weight } else { self.weight * (-(passed as f64) / MEMORY).exp() }
    }

    fn add(&mut self, events: u64, time: i64) {
        // In whole seconds: most events come in the same as the one before, and cost nothing then.
        let time = self.time.max(time - time.rem_euclid(SECOND));
        *self = Self { weight: self.at(time) + events as f64, time };
    }

    fn per_minute(self, time: i64) -> f64 {
        self.at(time) * (MINUTE / MEMORY)
    }
}

impl Activity {
    fn history(&mut self) -> &mut History {
        self.0.get_or_insert_default()
    }

    /// Tuples died. `deleter` deleted them and committed; if there is none, their inserter aborted.
    pub(crate) fn died(
        &mut self,
        tuples: u64,
        deleter: Option<TransactionId>,
        time: i64,
        removable_before: Option<TransactionId>,
    ) {
        if tuples == 0 {
            return;
        }
        let history = self.history();
        history.deaths_since_vacuum += tuples;
        history.rate.add(tuples, time);
        if let Some(deleter) = deleter {
            history.deleters.add(deleter, tuples, removable_before);
        }
    }

    /// A dead tuple was found on a page that nothing was known of.
    pub(crate) fn found_dead(&mut self, deleter: TransactionId, removable_before: Option<TransactionId>) {
        self.history().deleters.add(deleter, 1, removable_before);
    }

    /// A tuple was updated, whether or not the transaction commits.
    pub(crate) fn updated(&mut self, hot: bool) {
        let history = self.history();
        history.updates += 1;
        history.hot_updates += u64::from(hot);
    }

    /// A vacuum left its trace.
    pub(crate) fn vacuumed(&mut self, lsn: Lsn, time: Option<i64>) {
        let history = self.history();
        history.deaths_since_vacuum = 0;
        history.vacuumed = Some(Vacuumed { lsn, time });
    }

    /// All pages are gone.
    pub(crate) fn truncated(&mut self) {
        if let Some(history) = &mut self.0 {
            history.deleters.clear();
        }
    }

    /// No page holds transactions before `oldest` any more. Their numbers come again after a while, and then mean others.
    pub(crate) fn forget_before(&mut self, oldest: TransactionId) {
        if let Some(history) = &mut self.0 {
            history.deleters.forget_before(oldest);
        }
    }

    /// At most so many tuples were deleted by transactions that do not precede `horizon`.
    pub(crate) fn not_removable(&self, horizon: TransactionId) -> u64 {
        self.0.as_ref().map_or(0, |history| history.deleters.not_before(horizon))
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, |history| size_of::<History>() + history.deleters.memory())
    }

    /// As it stands at a time in microseconds since the year 2000.
    pub(crate) fn summary(&self, time: i64) -> ActivitySummary {
        let Some(history) = &self.0 else { return ActivitySummary::default() };
        ActivitySummary {
            updates: history.updates,
            hot_updates: history.hot_updates,
            deaths_since_vacuum: history.deaths_since_vacuum,
            deaths_per_minute: history.rate.per_minute(time),
            vacuumed: history.vacuumed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relation_to_which_nothing_happens_takes_a_byte_in_the_file() {
        assert_eq!(postcard::to_allocvec(&Activity::default()).unwrap(), [0]);
        assert_eq!(size_of::<Activity>(), size_of::<usize>());
    }

    #[test]
    fn a_steady_rate_is_told_as_it_is_and_ceases_in_minutes() {
        let mut activity = Activity::default();
        for second in 0..3600 {
            activity.died(2, None, second * SECOND, None);
        }
        let rate = activity.summary(3600 * SECOND).deaths_per_minute;
        assert!((119.0..121.0).contains(&rate), "{rate}");
        assert!(activity.summary(3900 * SECOND).deaths_per_minute < 45.0);
        assert!(activity.summary(7200 * SECOND).deaths_per_minute < 0.01);
        // Clocks of sessions differ a little: time does not go back.
        activity.died(1, None, 0, None);
        assert!(activity.summary(3600 * SECOND).deaths_per_minute > rate - 1.0);
    }

    #[test]
    fn a_vacuum_begins_a_new_count_of_deaths_but_removes_nothing_by_itself() {
        let mut activity = Activity::default();
        activity.died(7, Some(TransactionId::new(800)), SECOND, None);
        activity.died(3, None, SECOND, None);
        assert_eq!(activity.summary(SECOND).deaths_since_vacuum, 10);
        activity.vacuumed(Lsn::new(5000), Some(SECOND));
        activity.died(1, None, 2 * SECOND, None);
        let summary = activity.summary(2 * SECOND);
        assert_eq!(summary.deaths_since_vacuum, 1);
        assert_eq!(summary.vacuumed, Some(Vacuumed { lsn: Lsn::new(5000), time: Some(SECOND) }));
        assert_eq!(activity.not_removable(TransactionId::new(790)), 7);
        activity.truncated();
        assert_eq!(activity.not_removable(TransactionId::new(790)), 0);
    }
}
