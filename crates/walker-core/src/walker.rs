//! Plugins over a log that goes on: each at its own place, each tried again when it failed.
//!
//! Plugins at the same place walk together, so that each record is read once. One that is behind, since it keeps a state
//! of before, was tried again or is slow, has a source of its own until it arrives where the others are. Nobody waits for it.

use std::fmt;
use std::time::{Duration, Instant};

use pgwal::Lsn;

use crate::counts_by_rmgr::CountsByRmgr;
use crate::event::{Event, Next};
use crate::failure::{Failure, FailureKind};
use crate::log::{Held, Log};
use crate::log_position::LogPosition;
use crate::plugin::{Plugin, PluginError, Resume};
use crate::plugin_run::PluginRun;
use crate::retry_policy::RetryPolicy;
use crate::source::SourceError;
use crate::walk::Walk;

mod status;

pub use status::PluginStatus;

/// What one call of [`Walker::advance`] has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records that were read.
    pub records: u64,
    /// Whether there are more.
    pub more: bool,
}

/// Plugins over a log that goes on: each at its own place, each tried again when it failed.
pub struct Walker<L: Log> {
    log: L,
    policy: RetryPolicy,
    /// From the one that is furthest behind to the one that leads. There is always one.
    cursors: Vec<Cursor<L::Source>>,
    resting: Vec<Resting>,
    events: Vec<Event>,
    rmgrs: CountsByRmgr,
    /// Records before are counted in `rmgrs`.
    counted: Lsn,
}

struct Cursor<S> {
    walk: Walk<S>,
    /// Its plugin is slow, and walks alone until it has come to the end of the log.
    alone: bool,
    /// The last slice was over after few records.
    slow: bool,
    /// How often in a row it could not be read, and when that is tried again.
    unreadable: u32,
    retry_at: Option<Instant>,
    /// After so many records the clock is looked at: each time if the last slice took long.
    clock_interval: usize,
}

impl<S> Cursor<S> {
    fn new(walk: Walk<S>, alone: bool) -> Self {
        Self { walk, alone, slow: false, unreadable: 0, retry_at: None, clock_interval: SLICE_RECORDS }
    }
}

/// A plugin that is told nothing.
struct Resting {
    run: PluginRun,
    rest: Rest,
}

enum Rest {
    /// Until it is tried again.
    Until(Instant),
    /// Until the log is as long as the position from which it wants to go on.
    NotYet(LogPosition),
    /// It failed too often.
    Off,
}

/// So often it is tried to read WAL that cannot be read, before it is given up.
const ATTEMPTS: u32 = 5;
/// How long between two such attempts.
const PAUSE: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 1 });
/// Longest time for which one cursor's plugins are told records while others wait, and after how many records the clock is
/// looked at if they take no long time.
const SLICE: Duration = Duration::from_millis(10);
const SLICE_RECORDS: usize = 16;
/// Where fewer records than that take so long, a plugin is slow: two orders of magnitude slower than garbagemap.
const SLOW_SLICE_RECORDS: usize = 256;

impl<L: Log> Walker<L> {
    /// Plugins over a log. They are called in this order, and start with the first [`Walker::attend`].
    pub fn new(log: L, plugins: Vec<Box<dyn Plugin>>, policy: RetryPolicy) -> Self {
        let now = Instant::now();
        let runs = plugins.into_iter().enumerate().map(|(place, plugin)| PluginRun::new(plugin, place));
        let resting = runs.map(|run| Resting { run, rest: Rest::Until(now) }).collect();
        Self {
            log,
            policy,
            cursors: Vec::new(),
            resting,
            events: Vec::new(),
            rmgrs: CountsByRmgr::default(),
            counted: Lsn::INVALID,
        }
    }

    /// A plugin that has not started yet ended the process before this one in its callbacks, `times` in a row: it is tried again
    /// after the pause that this makes, or switched off.
    pub fn blame(&mut self, plugin: &str, times: u32) {
        if let Some(index) = self.resting.iter().position(|resting| resting.run.name() == plugin) {
            let mut run = self.resting.remove(index).run;
            let failure = run.ended_process(times);
            self.rest(run, failure);
        }
    }

    /// From now on this is when plugins are tried again.
    pub fn set_policy(&mut self, policy: RetryPolicy) {
        self.policy = policy;
    }

    /// Starts the plugins that are new, and those that are to be tried again by now.
    pub fn attend(&mut self) {
        let now = Instant::now();
        for Resting { run, rest } in std::mem::take(&mut self.resting) {
            match rest {
                Rest::Until(at) if at <= now => self.start(run),
                Rest::NotYet(position) => self.resume_at(run, position),
                rest => self.resting.push(Resting { run, rest }),
            }
        }
        if self.cursors.is_empty() {
            // Somebody looks at the log even if there is no plugin, to tell what is in it.
            self.walk_from(self.log.end(), Vec::new());
        }
    }

    fn start(&mut self, mut run: PluginRun) {
        if let Err(failure) = run.startup() {
            return self.rest(run, failure);
        }
        // It may have failed before it ever began.
        let first = !run.position().is_valid();
        match run.resume() {
            Ok(Resume::Now) if first => run.begin(self.log.end()),
            Ok(Resume::Now) => run.go_on(),
            Ok(Resume::Checkpoint) if first => run.begin(self.log.last_checkpoint()),
            Ok(Resume::Checkpoint) => return self.begin_anew(run),
            Ok(Resume::At(position)) => return self.resume_at(run, position),
            Err(cause) => return self.refuse(run, cause),
        }
        self.walk_from(run.from(), vec![run]);
    }

    fn resume_at(&mut self, mut run: PluginRun, position: LogPosition) {
        match self.log.holds(&position) {
            Held::Yes => {
                run.begin(position.lsn);
                self.walk_from(position.lsn, vec![run]);
            }
            Held::NotYet => self.resting.push(Resting { run, rest: Rest::NotYet(position) }),
            Held::Unknown(cause) => {
                let failure = run.failure(FailureKind::Startup, cause.into());
                self.rest(run, failure);
            }
            Held::No(reason) => self.refuse(run, reason.into()),
        }
    }

    /// The plugin begins anew, since what it has kept cannot be used.
    fn refuse(&mut self, mut run: PluginRun, cause: PluginError) {
        let failure = run.failure(FailureKind::Resume, cause);
        self.note(failure, Next::GoesOn);
        self.begin_anew(run);
    }

    fn begin_anew(&mut self, mut run: PluginRun) {
        let checkpoint = self.log.last_checkpoint();
        match run.gap(checkpoint) {
            Ok(()) => self.walk_from(checkpoint, vec![run]),
            Err(failure) => self.rest(run, failure),
        }
    }

    /// The plugin has failed, and is left alone for a while.
    fn rest(&mut self, run: PluginRun, failure: Failure) {
        let failures = run.failures_in_a_row;
        let (rest, next) = match self.policy.pause_unless_off(failures) {
            Some(pause) => (Rest::Until(Instant::now() + pause), Next::Retry(pause)),
            None => (Rest::Off, Next::Off(failures)),
        };
        self.note(failure, next);
        self.resting.push(Resting { run, rest });
    }

    fn note(&mut self, failure: Failure, next: Next) {
        self.events.push(Event::Failed { failure, next });
    }

    fn walk_from(&mut self, from: Lsn, runs: Vec<PluginRun>) {
        let begins = |run: &PluginRun| Event::Begins { plugin: run.name().to_owned(), at: from };
        self.events.extend(runs.iter().map(begins));
        let walk = Walk::at(self.log.open(from), from, runs);
        self.cursors.push(Cursor::new(walk, false));
        self.join();
    }

    /// Tells each plugin some of the records that are there.
    pub fn advance(&mut self) -> Progress {
        let mut progress = Progress::default();
        for index in 0..self.cursors.len() {
            progress.more |= self.advance_one(index, &mut progress.records);
        }
        self.set_failed_aside();
        self.part();
        self.join();
        progress
    }

    /// Adds to the number of records read. Returns whether there are more.
    fn advance_one(&mut self, index: usize, records: &mut u64) -> bool {
        let ahead = self.ahead_of(index).map(|ahead| self.cursors[ahead].walk.position());
        let Some(cursor) = self.cursors.get_mut(index) else { return false };
        let begin = Instant::now();
        if cursor.retry_at.is_some_and(|at| at > begin) {
            return false;
        }
        cursor.retry_at = None;
        for told in 1.. {
            match cursor.walk.step() {
                Ok(Some(record)) => {
                    cursor.unreadable = 0;
                    *records += 1;
                    let position = cursor.walk.position();
                    if position > self.counted {
                        self.rmgrs.count(record.rmgr, record.bytes);
                        self.counted = position;
                    }
                    // Behind, there are records that the others were told.
                    if ahead.is_some_and(|ahead| position >= ahead) {
                        return true;
                    }
                    if told % cursor.clock_interval == 0 && begin.elapsed() >= SLICE {
                        cursor.slow = told < SLOW_SLICE_RECORDS;
                        cursor.clock_interval = if cursor.slow { 1 } else { SLICE_RECORDS };
                        cursor.walk.runs.iter_mut().for_each(|run| run.at_end = false);
                        return true;
                    }
                }
                Ok(None) => {
                    (cursor.alone, cursor.slow) = (false, false);
                    cursor.walk.runs.iter_mut().for_each(|run| run.at_end = true);
                    return false;
                }
                Err(error) => return self.not_readable(index, error),
            }
        }
        false
    }

    /// What comes next cannot be read: that is tried again, and then given up. Returns whether there is something to read now.
    fn not_readable(&mut self, index: usize, cause: SourceError) -> bool {
        let ahead = self.ahead_of(index).map(|ahead| self.cursors[ahead].walk.position());
        let cursor = &mut self.cursors[index];
        cursor.unreadable += 1;
        cursor.walk.runs.iter_mut().for_each(|run| run.at_end = false);
        if cursor.unreadable < ATTEMPTS && !cause.is_gone() {
            cursor.retry_at = Some(Instant::now() + PAUSE);
            return false;
        }
        cursor.unreadable = 0;
        // Not back to where the same would be met again.
        let (redo, position) = (self.log.last_checkpoint(), cursor.walk.position());
        let next = if redo > position { redo } else { ahead.unwrap_or_else(|| self.log.behind(position)) };
        cursor.walk.gap(self.log.open(next), next);
        // One that has failed over it tells that itself.
        let told = |run: &&mut PluginRun| !run.failed();
        let plugins = cursor.walk.runs.iter_mut().filter(told).map(|run| run.name().to_owned()).collect();
        let event = Event::Unreadable { cause, plugins, next };
        cursor.walk.runs.iter_mut().filter(told).for_each(|run| run.set_last_failure(event.to_string()));
        self.events.push(event);
        true
    }

    /// Plugins that have failed are taken out of their walks.
    fn set_failed_aside(&mut self) {
        let failures: Vec<_> = self.cursors.iter_mut().flat_map(|cursor| cursor.walk.take_failures()).collect();
        let stopped = failures.iter().any(|failure| failure.kind.stops());
        let mut runs: Vec<_> = if stopped {
            self.cursors.iter_mut().flat_map(|cursor| cursor.walk.runs.extract_if(.., |run| run.failed())).collect()
        } else {
            Vec::new()
        };
        for failure in failures {
            let of_it = |run: &PluginRun| failure.kind.stops() && run.name() == failure.plugin;
            match runs.iter().position(of_it) {
                Some(index) => self.rest(runs.swap_remove(index), failure),
                None => self.note(failure, Next::GoesOn),
            }
        }
    }

    /// Where records take long, the plugin that takes most of the time gets a walk of its own: the others do not wait for it.
    fn part(&mut self) {
        let mut apart = Vec::new();
        for Cursor { walk, slow, .. } in &mut self.cursors {
            let (position, runs) = (walk.position(), &mut walk.runs);
            let total: Duration = runs.iter().map(|run| run.slice_time).sum();
            let slowest = runs.iter().position(|run| run.slice_time > total / 2);
            if std::mem::take(slow)
                && runs.len() > 1
                && total >= SLICE
                && let Some(slowest) = slowest
            {
                apart.push((position, runs.remove(slowest)));
            } else {
                runs.iter_mut().for_each(|run| run.slice_time = Duration::ZERO);
            }
        }
        for (position, run) in apart {
            let walk = Walk::at(self.log.open(position), position, vec![run]);
            self.cursors.push(Cursor::new(walk, true));
        }
    }

    /// The next cursor behind `index` at whose place this one is to end, if there is one.
    fn ahead_of(&self, index: usize) -> Option<usize> {
        let joins = |index: &usize| self.cursors.get(*index).is_some_and(|cursor| !cursor.alone);
        Some(index).filter(joins).and_then(|index| (index + 1..self.cursors.len()).find(joins))
    }

    /// Walks that are at the same place become one. One without plugins is not needed, unless it leads.
    fn join(&mut self) {
        self.cursors.retain(|cursor| !cursor.alone || !cursor.walk.runs.is_empty());
        self.cursors.sort_by_key(|cursor| cursor.walk.position());
        let mut index = 0;
        while index < self.cursors.len() {
            let Some(ahead) = self.ahead_of(index) else {
                index += 1;
                continue;
            };
            // One that has not begun may be overtaken: where it begins, there need not be a record's end.
            if self.cursors[index].walk.position() >= self.cursors[ahead].walk.position() {
                // A source that has begun is known to be at a record's end.
                let (kept, gone) = if self.cursors[ahead].walk.has_begun() { (ahead, index) } else { (index, ahead) };
                let runs = std::mem::take(&mut self.cursors[gone].walk.runs);
                let joined = &mut self.cursors[kept].walk.runs;
                joined.extend(runs);
                joined.sort_by_key(|run| run.place);
                self.cursors.remove(gone);
            } else if self.cursors[index].walk.runs.is_empty() {
                self.cursors.remove(index);
            } else {
                index += 1;
            }
        }
    }

    /// Lets the plugins that were told all that there is do what is not urgent. Returns whether there is more of it.
    pub fn work(&mut self) -> bool {
        let (mut more, mut failed) = (false, Vec::new());
        for cursor in &mut self.cursors {
            more |= cursor.walk.work(&self.policy, &mut failed);
        }
        for (failure, pause) in failed {
            self.note(failure, Next::Retry(pause));
        }
        more
    }

    /// Up to where all plugins have kept their state: the log before is not needed any more. One that is switched off needs
    /// nothing.
    pub fn flushed(&self) -> Lsn {
        let walking = self.cursors.iter().flat_map(|cursor| &cursor.walk.runs).map(PluginRun::flushed);
        let resting = self.resting.iter().filter_map(|Resting { run, rest }| match rest {
            Rest::Off => None,
            // If it turns out that the log does not hold it, the plugin begins there.
            Rest::NotYet(position) => Some(position.lsn.min(self.log.last_checkpoint())),
            // One that never started has not said what it needs: as much as there is.
            Rest::Until(_) => Some(run.flushed()),
        });
        walking.chain(resting).min().unwrap_or_else(|| self.position())
    }

    /// How far the log was read; invalid before the first [`Walker::attend`].
    pub fn position(&self) -> Lsn {
        self.cursors.last().map_or(Lsn::INVALID, |cursor| cursor.walk.position())
    }

    /// Where the plugin that is furthest behind is.
    pub fn earliest(&self) -> Lsn {
        self.cursors.first().map_or(Lsn::INVALID, |cursor| cursor.walk.position())
    }

    /// Whether what comes next could not be read, and is tried again after a pause.
    pub fn is_unreadable(&self) -> bool {
        self.cursors.last().is_some_and(|cursor| cursor.retry_at.is_some())
    }

    /// How long until something is to be done beside reading: a plugin or unreadable WAL is to be tried again.
    pub fn next_due(&self) -> Option<Duration> {
        let plugins = self.resting.iter().filter_map(|resting| match resting.rest {
            Rest::Until(at) => Some(at),
            Rest::NotYet(_) => Some(Instant::now() + PAUSE),
            Rest::Off => None,
        });
        let reading = self.cursors.iter().filter_map(|cursor| cursor.retry_at);
        let work = self
            .cursors
            .iter()
            .flat_map(|cursor| &cursor.walk.runs)
            .filter(|run| run.at_end)
            .filter_map(|run| run.work_at);
        let due = plugins.chain(reading).chain(work).min()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// Puts a question to the plugin of this name.
    ///
    /// # Errors
    /// If there is no such plugin, it rests, or its answer is an error or a panic.
    pub fn ask(&mut self, plugin: &str, question: &[u8]) -> Result<Vec<u8>, PluginError> {
        for Cursor { walk, .. } in &mut self.cursors {
            let position = walk.position();
            if let Some(run) = walk.runs.iter_mut().find(|run| run.name() == plugin) {
                return run.answer(question, position);
            }
        }
        let Some(resting) = self.resting.iter().find(|resting| resting.run.name() == plugin) else {
            return Err(format!("there is no plugin \"{plugin}\" in \"walker.plugins\"").into());
        };
        let why = match resting.rest {
            Rest::Off => "is switched off",
            Rest::NotYet(_) => "waits for WAL to be replayed",
            Rest::Until(_) if resting.run.failures_in_a_row > 0 => "has failed and waits to be tried again",
            Rest::Until(_) => "has not started yet",
        };
        Err(format!("plugin \"{plugin}\" {why}").into())
    }

    /// Whether the plugin of this name has been told all that there is, or cannot be asked anyway.
    pub fn is_at_end(&self, plugin: &str) -> bool {
        let mut runs = self.cursors.iter().flat_map(|cursor| &cursor.walk.runs);
        runs.find(|run| run.name() == plugin).is_none_or(|run| run.at_end)
    }

    /// The names of the plugins that are told records, in order.
    pub fn walking(&self) -> Vec<String> {
        let mut runs: Vec<_> = self.cursors.iter().flat_map(|cursor| &cursor.walk.runs).collect();
        runs.sort_by_key(|run| run.place);
        runs.into_iter().map(|run| run.name().to_owned()).collect()
    }

    /// What happened since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// What was read since the last call, by resource manager; what is read again for one plugin does not count again.
    pub fn take_rmgr_counts(&mut self) -> CountsByRmgr {
        std::mem::take(&mut self.rmgrs)
    }

    /// From now on these are the plugins, in this order. Those that are new come from `make` and start with the next
    /// [`Walker::attend`]; those that are not named any more keep their state and are shut down; those that have failed are
    /// tried again at once.
    pub fn set_plugins(&mut self, names: &[String], mut make: impl FnMut(&str) -> Box<dyn Plugin>) {
        let place_of = |run: &PluginRun| names.iter().position(|name| name == run.name());
        for Cursor { walk, .. } in &mut self.cursors {
            walk.shutdown(|run| place_of(run).is_none());
            for run in &mut walk.runs {
                run.place = place_of(run).unwrap_or(run.place);
            }
            walk.runs.sort_by_key(|run| run.place);
        }
        self.set_failed_aside();
        self.shut_down_waiting(|run| place_of(run).is_none());
        let now = Instant::now();
        self.resting.retain_mut(|Resting { run, rest }| {
            let Some(place) = place_of(run) else { return false };
            run.place = place;
            match rest {
                Rest::Off => {
                    run.failures_in_a_row = 0;
                    *rest = Rest::Until(now);
                }
                Rest::Until(at) => *at = now,
                Rest::NotYet(_) => {}
            }
            true
        });
        for (place, name) in names.iter().enumerate() {
            let walking = self.cursors.iter().flat_map(|cursor| &cursor.walk.runs);
            let known = walking.chain(self.resting.iter().map(|resting| &resting.run)).any(|run| run.name() == name);
            if !known {
                let run = PluginRun::new(make(name), place);
                self.resting.push(Resting { run, rest: Rest::Until(now) });
            }
        }
    }

    /// Lets the plugins keep their state and shuts them down: then there are none.
    pub fn shutdown(&mut self) {
        self.set_plugins(&[], |_| unreachable!("there are no names"));
    }

    /// Shuts down those among the chosen that have started, and wait for the log: they have nothing new to keep.
    fn shut_down_waiting(&mut self, chosen: impl Fn(&PluginRun) -> bool) {
        let waits = |resting: &mut Resting| matches!(resting.rest, Rest::NotYet(_)) && chosen(&resting.run);
        let failures: Vec<_> =
            self.resting.extract_if(.., waits).filter_map(|mut resting| resting.run.shutdown().err()).collect();
        for failure in failures {
            self.note(failure, Next::GoesOn);
        }
    }
}

impl<L: Log> fmt::Debug for Walker<L> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (position, plugins) = (self.position(), self.walking());
        formatter.debug_struct("Walker").field("position", &position).field("walking", &plugins).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
