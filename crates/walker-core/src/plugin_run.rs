//! A plugin on its way: how it is called, how far it came, and what that took.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};

use pgwal::{Lsn, Record};

use crate::failure::{Failure, FailureKind};
use crate::log_position::LogPosition;
use crate::plugin::{Plugin, PluginError, Resume};
use crate::retry_policy::RetryPolicy;

/// What was done for a plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that it was told without failing; one that is told again counts again.
    pub records: u64,
    /// Their length in the log, in bytes.
    pub bytes: u64,
    /// Time that its callbacks took. That of records is estimated from about one of sixteen.
    pub time: Duration,
    /// How often it failed.
    pub failures: u64,
}

pub(crate) struct PluginRun {
    plugin: Box<dyn Plugin>,
    /// Its place in the list of plugins.
    pub(crate) place: usize,
    started: bool,
    /// It is called no more until it is tried again.
    failed: bool,
    /// Failures that stopped it, and how far it was at the last; no state was kept behind that yet.
    pub(crate) failures_in_a_row: u32,
    failed_at: Lsn,
    /// What its last failure, or the last gap, says, and when it was.
    last_failure: Option<(String, SystemTime)>,
    /// Failures in a row to do what is not urgent, and when that is tried again.
    failures_of_work: u32,
    pub(crate) work_at: Option<Instant>,
    /// Records that begin before are not for it.
    from: Lsn,
    position: Lsn,
    /// Up to where it has kept its state, if it keeps any: the log before is not needed for it.
    flushed: Lsn,
    /// When records were read for it last, it was told all that there were.
    pub(crate) at_end: bool,
    counts: Counts,
    stride: Stride,
    /// Part of the time in `counts`: that of records since somebody set it to zero.
    pub(crate) slice_time: Duration,
}

impl PluginRun {
    pub(crate) fn new(plugin: Box<dyn Plugin>, place: usize) -> Self {
        let nowhere = Lsn::INVALID;
        Self {
            plugin,
            place,
            started: false,
            failed: false,
            failures_in_a_row: 0,
            failed_at: nowhere,
            last_failure: None,
            failures_of_work: 0,
            work_at: None,
            from: nowhere,
            position: nowhere,
            flushed: nowhere,
            at_end: false,
            counts: Counts::default(),
            stride: Stride::default(),
            slice_time: Duration::ZERO,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.plugin.name()
    }

    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    /// Records that begin before are not for it.
    pub(crate) fn from(&self) -> Lsn {
        self.from
    }

    /// End of the last record that it was told without failing; before the first, where it begins.
    pub(crate) fn position(&self) -> Lsn {
        self.position
    }

    pub(crate) fn flushed(&self) -> Lsn {
        self.flushed
    }

    /// What its last failure says, and when it was.
    pub(crate) fn last_failure(&self) -> Option<&(String, SystemTime)> {
        self.last_failure.as_ref()
    }

    /// What was counted since the last call.
    pub(crate) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Starts the plugin, unless it has started.
    pub(crate) fn startup(&mut self) -> Result<(), Failure> {
        self.failed = false;
        if !self.started {
            self.call(FailureKind::Startup, |plugin| plugin.startup())?;
            self.started = true;
        }
        Ok(())
    }

    /// Where the plugin wants to begin.
    pub(crate) fn resume(&mut self) -> Result<Resume, PluginError> {
        self.at_end = false;
        self.timed(|plugin| plugin.resume())
    }

    /// The plugin is told records from here on.
    pub(crate) fn begin(&mut self, lsn: Lsn) {
        (self.from, self.position, self.flushed) = (lsn, lsn, lsn);
    }

    /// It goes on where it was; what it has kept is needed as before.
    pub(crate) fn go_on(&mut self) {
        self.from = self.position;
    }

    /// The process ended so often in its callbacks, the last time just before this one.
    pub(crate) fn ended_process(&mut self, times: u32) -> Failure {
        let failure = self.failure(FailureKind::Process, "see the messages before".into());
        self.failures_in_a_row = times;
        failure
    }

    pub(crate) fn gap(&mut self, next: Lsn) -> Result<(), Failure> {
        self.call(FailureKind::Gap, |plugin| plugin.gap(next))?;
        self.begin(next);
        Ok(())
    }

    pub(crate) fn tell(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        if self.failed || record.lsn < self.from {
            return Ok(());
        }
        let outcome = if self.stride.is_due() {
            let begin = Instant::now();
            let outcome = guarded(|| self.plugin.record(record));
            let time = begin.elapsed() * Stride::MEAN;
            self.counts.time += time;
            self.slice_time += time;
            outcome
        } else {
            guarded(|| self.plugin.record(record))
        };
        if let Err(cause) = outcome {
            return Err(self.failure(FailureKind::Record(record.lsn), cause));
        }
        self.position = record.end;
        self.counts.records += 1;
        self.counts.bytes += u64::from(record.total_len);
        Ok(())
    }

    pub(crate) fn flush(&mut self, position: &LogPosition) -> Result<(), Failure> {
        // One that wants to begin later has nothing new.
        if self.failed || position.lsn < self.from {
            return Ok(());
        }
        self.call(FailureKind::Flush, |plugin| plugin.flush(position))?;
        self.flushed = position.lsn;
        if position.lsn > self.failed_at {
            self.failures_in_a_row = 0;
        }
        Ok(())
    }

    /// If that fails it is tried again after a pause, which is returned.
    pub(crate) fn work(&mut self, policy: &RetryPolicy) -> Result<bool, (Failure, Duration)> {
        if self.failed || self.work_at.is_some_and(|at| at > Instant::now()) {
            return Ok(false);
        }
        match self.call(FailureKind::Work, |plugin| plugin.work()) {
            Ok(more) => {
                (self.failures_of_work, self.work_at) = (0, None);
                Ok(more)
            }
            Err(failure) => {
                self.failures_of_work = self.failures_of_work.saturating_add(1);
                let pause = policy.pause(self.failures_of_work);
                self.work_at = Some(Instant::now() + pause);
                Err((failure, pause))
            }
        }
    }

    /// `position` is how far the walk is.
    pub(crate) fn answer(&mut self, question: &[u8], position: Lsn) -> Result<Vec<u8>, PluginError> {
        let position = self.position.max(position);
        self.timed(|plugin| plugin.answer(question, position))
    }

    /// Unless it failed or never started.
    pub(crate) fn shutdown(&mut self) -> Result<(), Failure> {
        if self.failed || !self.started {
            return Ok(());
        }
        self.call(FailureKind::Shutdown, |plugin| plugin.shutdown())
    }

    fn call<T>(
        &mut self,
        kind: FailureKind,
        call: impl FnOnce(&mut dyn Plugin) -> Result<T, PluginError>,
    ) -> Result<T, Failure> {
        self.timed(call).map_err(|cause| self.failure(kind, cause))
    }

    fn timed<T>(&mut self, call: impl FnOnce(&mut dyn Plugin) -> Result<T, PluginError>) -> Result<T, PluginError> {
        let begin = Instant::now();
        let outcome = guarded(|| call(self.plugin.as_mut()));
        self.counts.time += begin.elapsed();
        outcome
    }

    /// It failed in this way.
    pub(crate) fn failure(&mut self, kind: FailureKind, cause: PluginError) -> Failure {
        self.counts.failures += 1;
        if kind.stops() {
            self.failed = true;
            self.failures_in_a_row += 1;
            self.failed_at = self.position;
        }
        let failure = Failure { plugin: self.plugin.name().to_owned(), kind, last_good: self.position, cause };
        self.set_last_failure(failure.to_string());
        failure
    }

    /// What it was told of a gap is shown as a failure is.
    pub(crate) fn set_last_failure(&mut self, text: String) {
        self.last_failure = Some((text, SystemTime::now()));
    }
}

/// Chooses about one record of sixteen. Not every sixteenth: the log of a load repeats itself, and it would always be the
/// same part of a transaction.
#[derive(Debug, Default)]
struct Stride {
    left: u32,
    random: u32,
}

impl Stride {
    const MEAN: u32 = 16;

    fn is_due(&mut self) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        // Numerical Recipes' linear congruential generator; the upper bits are the random ones.
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // 0 to 30, on average 15, between two that are due.
        self.left = (self.random >> 16) % (2 * Self::MEAN - 1);
        true
    }
}

/// Turns a panic into an error. A plugin that panicked over a record is told nothing more until it has resumed.
fn guarded<T>(call: impl FnOnce() -> Result<T, PluginError>) -> Result<T, PluginError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(format!("panicked: {}", text.unwrap_or_else(|| "unknown cause".to_owned())).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_sixteen_is_chosen_and_not_always_the_same() {
        let mut stride = Stride::default();
        let due: Vec<usize> = (0..160_000).filter(|_| stride.is_due()).collect();
        assert!((9_700..10_300).contains(&due.len()), "{}", due.len());
        // Of a log that repeats itself after eight records, each is chosen as often as the others.
        for place in 0..8 {
            let chosen = due.iter().filter(|index| **index % 8 == place).count();
            assert!((1_100..1_400).contains(&chosen), "{place}: {chosen}");
        }
    }
}
