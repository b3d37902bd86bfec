//! What the server's worker counts for the views `pg_stat_walker` and `pg_stat_walker_rmgr`.
//!
//! [`Statistics`] is of fixed size and without pointers, so that it can be in memory that processes share: the worker
//! adds to it by [`Statistics::report`], backends read it. Who does so holds a lock.

mod fixed_text;
mod record_rate;

use std::time::{Duration, SystemTime};

use pgwal::{Lsn, RmgrId, Timestamp};

use crate::plugin_state::PluginState;
use fixed_text::FixedText;
use record_rate::RecordRate;

/// Plugins that have a row at most; those behind in the order of the setting have none.
const ROWS: usize = 32;
/// Longest name of a plugin in bytes; longer ones are cut.
const NAME_BYTES: usize = 256;
/// Longest text of an error in bytes; longer ones are cut.
const ERROR_BYTES: usize = 1024;
/// One for each number that a resource manager may have.
const RMGRS: usize = 256;
/// When PostgreSQL's time begins, in seconds of Unix's: 2000-01-01 00:00:00 UTC.
const POSTGRES_EPOCH: Duration = Duration::from_secs(946_684_800);

/// What the worker tells of a plugin.
#[derive(Debug, Clone, Copy)]
pub struct PluginReport<'a> {
    /// Its name, as in `walker.plugins`.
    pub name: &'a str,
    /// How it stands.
    pub state: PluginState,
    /// End of the last record that it was told without failing.
    pub applied: Lsn,
    /// Up to where it has kept its state.
    pub flushed: Lsn,
    /// Since when the log has been beyond `applied`: see [`crate::LagClock::behind_since`].
    pub behind_since: Option<SystemTime>,
    /// Whether WAL that it needs is held back for it.
    pub wal_kept: bool,
    /// Records that it was told since the last report.
    pub records: u64,
    /// Their size: the sum of `xl_tot_len`.
    pub bytes: u64,
    /// How long it had the worker since the last report.
    pub busy: Duration,
    /// How often it failed since the last report.
    pub failures: u64,
    /// What its last failure says, and when that was.
    pub last_error: Option<(&'a str, SystemTime)>,
    /// When it will be tried again.
    pub retry_at: Option<SystemTime>,
}

/// What is known of a plugin.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct PluginStatistics {
    name: FixedText<NAME_BYTES>,
    /// How it stood when the worker reported last.
    pub state: PluginState,
    /// Whether WAL that it needs is held back for it.
    pub wal_kept: bool,
    /// End of the last record that it was told without failing; invalid if there was none.
    pub applied: Lsn,
    /// Up to where it has kept its state; invalid if it has not.
    pub flushed: Lsn,
    /// Records that it was told since the statistics were reset.
    pub records: u64,
    /// Their size: the sum of `xl_tot_len`.
    pub bytes: u64,
    /// How often it failed since the statistics were reset.
    pub failures: u64,
    busy_nanoseconds: u64,
    behind_since: Time,
    retry_at: Time,
    last_error_at: Time,
    last_error: FixedText<ERROR_BYTES>,
    rate: RecordRate,
}

/// Records of a resource manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct RmgrCounts {
    /// How many there were.
    pub records: u64,
    /// Their size: the sum of `xl_tot_len`.
    pub bytes: u64,
}

/// All that is counted.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Statistics {
    reporter: i32,
    received: Lsn,
    reset_at: Time,
    used: usize,
    rows: [PluginStatistics; ROWS],
    rmgrs: [RmgrCounts; RMGRS],
}

impl Statistics {
    /// No plugin and no record; counted from now on.
    #[must_use]
    pub fn new(now: SystemTime) -> Self {
        Self {
            reporter: 0,
            received: Lsn::INVALID,
            reset_at: Time::of(now),
            used: 0,
            rows: [PluginStatistics::NEW; ROWS],
            rmgrs: [RmgrCounts::default(); RMGRS],
        }
    }

    /// Takes what the worker tells: adds what was counted since its last report, and takes the place of the rest. Plugins
    /// that are not told of lose their row.
    ///
    /// `reporter` is the worker's process id, `received` the end of the last record that it read. `rmgrs` are records and
    /// bytes of resource managers, read since the last report.
    pub fn report(
        &mut self,
        now: SystemTime,
        reporter: i32,
        received: Lsn,
        plugins: &[PluginReport<'_>],
        rmgrs: &[(RmgrId, u64, u64)],
    ) {
        self.reporter = reporter;
        self.received = received;
        let plugins = plugins.get(..ROWS).unwrap_or(plugins);
        self.put_in_order(plugins);
        let (now, reset_at) = (timestamp(now), self.reset_at);
        for (row, report) in self.rows.iter_mut().zip(plugins) {
            row.take(report, now, reset_at);
        }
        for (rmgr, records, bytes) in rmgrs {
            if let Some(counts) = self.rmgrs.get_mut(usize::from(rmgr.get())) {
                counts.records = counts.records.saturating_add(*records);
                counts.bytes = counts.bytes.saturating_add(*bytes);
            }
        }
    }

    /// Counts begin anew, and errors up to now are forgotten.
    pub fn reset(&mut self, now: SystemTime) {
        self.reset_at = Time::of(now);
        self.rmgrs = [RmgrCounts::default(); RMGRS];
        for row in &mut self.rows {
            (row.records, row.bytes, row.failures, row.busy_nanoseconds) = (0, 0, 0, 0);
            row.last_error_at = Time::NEVER;
            row.last_error.set("");
        }
    }

    /// Process id of the worker that reported last; zero if none did.
    #[must_use]
    pub fn reporter(&self) -> i32 {
        self.reporter
    }

    /// End of the last record that the worker read; invalid if it has read none.
    #[must_use]
    pub fn received(&self) -> Lsn {
        self.received
    }

    /// When counting began.
    #[must_use]
    pub fn reset_at(&self) -> Option<Timestamp> {
        self.reset_at.get()
    }

    /// The plugins, in their order.
    #[must_use]
    pub fn plugins(&self) -> &[PluginStatistics] {
        self.rows.get(..self.used).unwrap_or_default()
    }

    /// The resource managers of which there were records, by number.
    pub fn rmgrs(&self) -> impl Iterator<Item = (RmgrId, RmgrCounts)> {
        let all = (0..=u8::MAX).map(RmgrId::new).zip(self.rmgrs);
        all.filter(|(_, counts)| counts.records > 0)
    }

    /// Has the rows in the order of the plugins, each with what was counted before.
    fn put_in_order(&mut self, plugins: &[PluginReport<'_>]) {
        let is_of = |row: &PluginStatistics, report: &PluginReport<'_>| {
            row.name.get() == FixedText::<NAME_BYTES>::cut(report.name)
        };
        // As it nearly always is.
        if self.used == plugins.len() && self.rows.iter().zip(plugins).all(|(row, report)| is_of(row, report)) {
            return;
        }
        let known: Vec<_> = self.plugins().to_vec();
        self.used = plugins.len();
        for (row, report) in self.rows.iter_mut().zip(plugins) {
            *row = known.iter().find(|row| is_of(row, report)).copied().unwrap_or(PluginStatistics::NEW);
            row.name.set(report.name);
        }
    }
}

impl PluginStatistics {
    const NEW: Self = Self {
        name: FixedText::EMPTY,
        state: PluginState::Starting,
        wal_kept: false,
        applied: Lsn::INVALID,
        flushed: Lsn::INVALID,
        records: 0,
        bytes: 0,
        failures: 0,
        busy_nanoseconds: 0,
        behind_since: Time::NEVER,
        retry_at: Time::NEVER,
        last_error_at: Time::NEVER,
        last_error: FixedText::EMPTY,
        rate: RecordRate::NEW,
    };

    /// Its name, as in `walker.plugins`; the first 256 bytes of a longer one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.get()
    }

    /// How long it had the worker.
    #[must_use]
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy_nanoseconds)
    }

    /// How long what it was not told yet has been there, if the log's end is at `end` now. `None` if it was told nothing yet.
    #[must_use]
    pub fn lag(&self, end: Lsn, now: SystemTime) -> Option<Duration> {
        if self.applied.is_valid() && self.applied >= end {
            return Some(Duration::ZERO);
        }
        let microseconds = timestamp(now).get().saturating_sub(self.behind_since.get()?.get());
        // Zero if the system's clock was set back.
        Some(Duration::from_micros(u64::try_from(microseconds).unwrap_or(0)))
    }

    /// How many records it is told in a second, over the last 5 seconds or more; `None` if it has not been there so long.
    #[must_use]
    pub fn records_per_second(&self, now: SystemTime) -> Option<f64> {
        self.rate.per_second(timestamp(now))
    }

    /// What its last failure says, cut to 1024 bytes, and when that was.
    #[must_use]
    pub fn last_error(&self) -> Option<(&str, Timestamp)> {
        self.last_error_at.get().map(|at| (self.last_error.get(), at))
    }

    /// When it will be tried again.
    #[must_use]
    pub fn retry_at(&self) -> Option<Timestamp> {
        self.retry_at.get()
    }

    fn take(&mut self, report: &PluginReport<'_>, now: Timestamp, reset_at: Time) {
        self.state = report.state;
        self.wal_kept = report.wal_kept;
        self.applied = report.applied;
        self.flushed = report.flushed;
        self.behind_since = report.behind_since.map_or(Time::NEVER, Time::of);
        self.retry_at = report.retry_at.map_or(Time::NEVER, Time::of);
        self.records = self.records.saturating_add(report.records);
        self.bytes = self.bytes.saturating_add(report.bytes);
        self.failures = self.failures.saturating_add(report.failures);
        let busy = u64::try_from(report.busy.as_nanos()).unwrap_or(u64::MAX);
        self.busy_nanoseconds = self.busy_nanoseconds.saturating_add(busy);
        self.rate.add(now, report.records);
        // One from before a reset is not shown again. A worker that was started anew does not know of those before.
        if let Some((text, at)) = report.last_error.map(|(text, at)| (text, Time::of(at)))
            && at >= reset_at
        {
            self.last_error_at = at;
            self.last_error.set(text);
        }
    }
}

/// A [`Timestamp`] that may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
struct Time(i64);

impl Time {
    const NEVER: Self = Self(0);

    fn of(time: SystemTime) -> Self {
        Self(timestamp(time).get())
    }

    fn get(self) -> Option<Timestamp> {
        (self != Self::NEVER).then(|| Timestamp::new(self.0))
    }
}

/// A time of the system as PostgreSQL has it.
fn timestamp(time: SystemTime) -> Timestamp {
    let epoch = SystemTime::UNIX_EPOCH + POSTGRES_EPOCH;
    let microseconds = match time.duration_since(epoch) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
    };
    Timestamp::new(microseconds)
}

#[cfg(test)]
mod tests;
