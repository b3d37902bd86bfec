//! Since when somebody who walks behind the log's end has been behind it.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use pgwal::Lsn;

/// Samples that are kept at most.
const CAPACITY: usize = 512;
/// Of three samples the last is at least so long after the first.
const SHORTEST_SPACING: Duration = Duration::from_millis(100);
/// And at least this part of the time that all of them span.
const PARTS: u32 = 128;

/// The log's end at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    end: Lsn,
    /// When the end was first seen there.
    time: SystemTime,
}

/// Remembers when the log's end was where, and so tells a lag in bytes as one in time, as `pg_stat_replication` does.
///
/// It keeps up to 512 samples: of three the last is at least 100 ms, and 1/128 of what all of them span, after the first.
/// So a lag of any length is known to about one part in a hundred. It is never told too long: what is behind a position
/// was written at the time of the sample or before it.
///
/// Compare `src/backend/replication/walsender.c`: `LagTrackerWrite`, `LagTrackerRead`.
#[derive(Debug, Clone, Default)]
pub struct LagClock {
    /// By time, with ascending ends.
    samples: VecDeque<Sample>,
    observed: Option<SystemTime>,
}

impl LagClock {
    /// A clock that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The log's end is at `end` now.
    ///
    /// Should the end go back, what was beyond it is forgotten. If the system's clock was set back, older samples count as
    /// taken now.
    pub fn observe(&mut self, end: Lsn, now: SystemTime) {
        if self.observed.is_some_and(|observed| now < observed) {
            self.samples.iter_mut().for_each(|sample| sample.time = sample.time.min(now));
        }
        self.observed = Some(now);
        while self.samples.back().is_some_and(|last| last.end > end) {
            self.samples.pop_back();
        }
        if self.samples.back().is_some_and(|last| last.end == end) {
            return;
        }
        // As long as the last sample is close to the one before it, it is moved on.
        let spacing = self.spacing();
        let before = self.samples.len().checked_sub(2).and_then(|before| self.samples.get(before));
        let close = before.is_some_and(|before| elapsed(before.time, now) < spacing);
        if close {
            self.samples.pop_back();
        } else if self.samples.len() == CAPACITY {
            self.thin_out();
        }
        self.samples.push_back(Sample { end, time: now });
    }

    /// Since when the log has been beyond `applied`: about when what comes next was written. If nothing beyond is known of,
    /// the time of the last observation, up to which there was no lag. `None` before the first one.
    #[must_use]
    pub fn behind_since(&self, applied: Lsn) -> Option<SystemTime> {
        let first_beyond = self.samples.partition_point(|sample| sample.end <= applied);
        self.samples.get(first_beyond).map(|sample| sample.time).or(self.observed)
    }

    /// Nobody will ask for a position before `applied` any more.
    pub fn forget(&mut self, applied: Lsn) {
        let passed = self.samples.partition_point(|sample| sample.end <= applied);
        self.samples.drain(..passed);
    }

    fn spacing(&self) -> Duration {
        let span = match (self.samples.front(), self.samples.back()) {
            (Some(first), Some(last)) => elapsed(first.time, last.time),
            _ => Duration::ZERO,
        };
        SHORTEST_SPACING.max(span / PARTS)
    }

    /// Leaves every second sample out. The first stays, and with it the time that all of them span.
    fn thin_out(&mut self) {
        let mut keep = false;
        self.samples.retain(|_| {
            keep = !keep;
            keep
        });
    }
}

fn elapsed(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    fn since(clock: &LagClock, applied: u64) -> Option<u64> {
        let time = clock.behind_since(Lsn::new(applied))?;
        Some(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64)
    }

    /// A clock that saw these ends at these milliseconds.
    fn clock(observations: impl IntoIterator<Item = (u64, u64)>) -> LagClock {
        let mut clock = LagClock::new();
        for (end, milliseconds) in observations {
            clock.observe(Lsn::new(end), at(milliseconds));
        }
        clock
    }

    #[test]
    fn nothing_is_known_before_the_first_observation() {
        assert_eq!(since(&LagClock::new(), 1), None);
    }

    #[test]
    fn who_is_behind_is_so_since_the_next_byte_was_first_seen() {
        let clock = clock([(100, 1_000), (200, 2_000), (300, 3_000)]);
        assert_eq!(since(&clock, 99), Some(1_000));
        assert_eq!(since(&clock, 100), Some(2_000));
        assert_eq!(since(&clock, 299), Some(3_000));
    }

    #[test]
    fn who_has_caught_up_is_behind_since_the_last_observation() {
        let mut clock = clock([(100, 1_000)]);
        assert_eq!(since(&clock, 100), Some(1_000));
        clock.observe(Lsn::new(100), at(7_000));
        assert_eq!((since(&clock, 100), since(&clock, 99)), (Some(7_000), Some(1_000)));
    }

    #[test]
    fn an_end_seen_shortly_after_another_is_known_too() {
        let mut clock = clock([(100, 1_000), (200, 1_050), (300, 1_090)]);
        assert_eq!(since(&clock, 299), Some(1_090));
        // Idle for long: the end was there all the time.
        clock.observe(Lsn::new(300), at(60_000));
        assert_eq!(since(&clock, 299), Some(1_090));
    }

    #[test]
    fn what_is_forgotten_does_not_change_the_rest() {
        let mut clock = clock([(100, 1_000), (200, 2_000), (300, 3_000)]);
        clock.forget(Lsn::new(200));
        assert_eq!((since(&clock, 200), since(&clock, 300)), (Some(3_000), Some(3_000)));
        assert_eq!(clock.samples.len(), 1);
    }

    #[test]
    fn an_end_that_goes_back_takes_what_was_beyond_with_it() {
        let mut clock = clock([(100, 1_000), (300, 3_000)]);
        clock.observe(Lsn::new(200), at(4_000));
        assert_eq!(
            (since(&clock, 99), since(&clock, 199), since(&clock, 200)),
            (Some(1_000), Some(4_000), Some(4_000))
        );
    }

    #[test]
    fn a_clock_that_is_set_back_gives_no_time_to_come() {
        let mut clock = clock([(100, 500_000), (200, 600_000)]);
        clock.observe(Lsn::new(300), at(10_000));
        assert_eq!((since(&clock, 50), since(&clock, 250)), (Some(10_000), Some(10_000)));
    }

    #[test]
    fn a_day_behind_is_known_to_one_part_in_a_hundred() {
        // One byte each millisecond, looked at every 200 ms.
        let day = 24 * 3_600_000;
        let clock = clock((0..day / 200).map(|step| (step * 200, step * 200)));
        assert!(clock.samples.len() <= CAPACITY);
        for applied in (0..day).step_by(60_000) {
            let error = since(&clock, applied).unwrap() - applied;
            assert!(error <= day / 100, "{error} ms at {applied}");
        }
    }

    proptest! {
        /// However the log grew, and whatever was asked for meanwhile: never before the byte was there, and not later than
        /// it was seen by more than the spacing allows.
        #[test]
        fn a_lag_is_never_too_long_and_hardly_too_short(
            steps in prop::collection::vec((0_u64..3, 1_u64..400, 0_u64..100), 1..1500)
        ) {
            let mut clock = LagClock::new();
            let mut seen = vec![(0, 0)];
            let (mut end, mut now, mut applied) = (0, 0, 0);
            clock.observe(Lsn::new(0), at(0));
            for (bytes, pause, forward) in steps {
                (end, now) = (end + bytes, now + pause);
                clock.observe(Lsn::new(end), at(now));
                seen.push((end, now));
                applied = (applied + forward / 60).min(end);
                clock.forget(Lsn::new(applied));
                prop_assert!(clock.samples.len() <= CAPACITY);
                let told = since(&clock, applied).unwrap();
                let true_time = seen.iter().find(|(end, _)| *end > applied).map_or(now, |(_, time)| *time);
                prop_assert!(told >= true_time && told <= now);
                // The spacing, which was that of the longest span so far.
                let slack = (now / 64).max(100);
                prop_assert!(told - true_time <= slack, "{} after {}", told - true_time, now);
            }
        }
    }
}
