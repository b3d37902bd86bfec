//! Plugins that walk together over one source.

use std::time::Duration;

use pgwal::rmgr::xlog;
use pgwal::{Lsn, Record, RmgrId};

use crate::failure::Failure;
use crate::plugin::Plugin;
use crate::plugin_run::PluginRun;
use crate::retry_policy::RetryPolicy;
use crate::source::{Source, SourceError};

/// A source, the plugins that are told its records, and how far they are. One that fails is told nothing more; the others
/// go on.
///
/// This is all that reading files needs. A server's log, which goes on, has a [`crate::Walker`].
pub struct Walk<S> {
    source: S,
    pub(crate) runs: Vec<PluginRun>,
    position: Lsn,
    /// Whether a record was told: then `position` is a record's end.
    begun: bool,
    failures: Vec<Failure>,
}

/// A record that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Its resource manager.
    pub rmgr: RmgrId,
    /// Its length in the log, in bytes.
    pub bytes: u32,
}

impl<S: std::fmt::Debug> std::fmt::Debug for Walk<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.runs.iter().map(PluginRun::name).collect();
        let Self { source, position, .. } = self;
        formatter
            .debug_struct("Walk")
            .field("source", source)
            .field("position", position)
            .field("plugins", &names)
            .finish_non_exhaustive()
    }
}

impl<S: Source> Walk<S> {
    /// Joins a source with plugins, which are called in this order, and starts them.
    pub fn new(source: S, plugins: Vec<Box<dyn Plugin>>) -> Self {
        let runs = plugins.into_iter().enumerate().map(|(place, plugin)| PluginRun::new(plugin, place)).collect();
        let mut walk = Self::at(source, Lsn::INVALID, runs);
        for run in &mut walk.runs {
            walk.failures.extend(run.startup().err());
        }
        walk
    }

    /// Plugins that have started, at a source that begins at `position`.
    pub(crate) fn at(source: S, position: Lsn, runs: Vec<PluginRun>) -> Self {
        Self { source, runs, position, begun: false, failures: Vec::new() }
    }

    /// Tells the plugins the source's next record, if there is one, and what it was.
    ///
    /// # Errors
    /// Those of the source; plugins keep what they have.
    pub fn step(&mut self) -> Result<Option<Told>, SourceError> {
        let Self { source, runs, failures, .. } = self;
        let next = source.next_record(|record| {
            for run in runs {
                if let Err(failure) = run.tell(record) {
                    failures.push(failure);
                }
            }
            (record.end, is_checkpoint(record), Told { rmgr: record.rmgr, bytes: record.total_len })
        })?;
        let Some((end, checkpoint, told)) = next else { return Ok(None) };
        (self.position, self.begun) = (end, true);
        if checkpoint {
            self.flush();
        }
        Ok(Some(told))
    }

    /// Tells the plugins all that the source holds now.
    ///
    /// # Errors
    /// Those of the source.
    pub fn run(&mut self) -> Result<(), SourceError> {
        while self.step()?.is_some() {}
        Ok(())
    }

    /// Lets the plugins keep their state, as far as they were told.
    pub(crate) fn flush(&mut self) {
        let Some(position) = self.source.log_position(self.position) else { return };
        for run in &mut self.runs {
            self.failures.extend(run.flush(&position).err());
        }
    }

    /// Lets the plugins that were told all that there is do what is not urgent. Returns whether there is more of it.
    /// Those that fail are told, with the pause after which it is tried again.
    pub(crate) fn work(&mut self, policy: &RetryPolicy, failed: &mut Vec<(Failure, Duration)>) -> bool {
        let mut more = false;
        for run in self.runs.iter_mut().filter(|run| run.at_end) {
            match run.work(policy) {
                Ok(left) => more |= left,
                Err(failure) => failed.push(failure),
            }
        }
        more
    }

    /// Those that are chosen keep their state, are shut down and leave.
    pub(crate) fn shutdown(&mut self, chosen: impl Fn(&PluginRun) -> bool) {
        let position = self.source.log_position(self.position);
        for mut run in self.runs.extract_if(.., |run| chosen(run)) {
            if let Some(position) = &position {
                self.failures.extend(run.flush(position).err());
            }
            self.failures.extend(run.shutdown().err());
        }
    }

    /// The source goes on with `next`, and what is between is lost.
    pub(crate) fn gap(&mut self, source: S, next: Lsn) {
        (self.source, self.position, self.begun) = (source, next, false);
        for run in self.runs.iter_mut().filter(|run| !run.failed()) {
            self.failures.extend(run.gap(next).err());
        }
    }

    /// Whether a record was told from this source.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// What failed since the last call, in order.
    pub fn take_failures(&mut self) -> Vec<Failure> {
        std::mem::take(&mut self.failures)
    }

    /// End of the last record that was told; before the first, where the source begins.
    pub fn position(&self) -> Lsn {
        self.position
    }

    /// Where the records come from.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }
}

/// Whether the record tells of a finished checkpoint.
fn is_checkpoint(record: &Record<'_>) -> bool {
    record.rmgr == RmgrId::XLOG && matches!(record.rmgr_info(), xlog::CHECKPOINT_ONLINE | xlog::CHECKPOINT_SHUTDOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log as _;
    use crate::test_log::{Noting, TestLog};

    #[test]
    fn each_plugin_hears_each_record_in_order() {
        let log = TestLog::of([RmgrId::HEAP, RmgrId::BTREE, RmgrId::new(128)]);
        let (a, notes) = Noting::new("a");
        let b = Noting { notes: notes.clone(), ..Noting::new("b").0 };
        let mut walk = Walk::new(log.open(Lsn::INVALID), vec![Box::new(a), Box::new(b)]);
        walk.run().unwrap();
        let heard: Vec<_> = notes.take().into_iter().filter(|note| !note.contains("startup")).collect();
        assert_eq!(
            heard,
            ["a heap 0/8", "b heap 0/8", "a other 0/10", "b other 0/10", "a custom 0/18", "b custom 0/18"]
        );
        assert_eq!(walk.position(), Lsn::new(32));
    }

    #[test]
    fn a_plugin_that_fails_or_panics_does_not_stop_the_others() {
        let log = TestLog::of([RmgrId::HEAP, RmgrId::BTREE, RmgrId::new(128)]);
        let (lasts, notes) = Noting::new("lasts");
        let (fails, _) = Noting::failing("fails", Lsn::new(16), u32::MAX);
        let (panics, _) = Noting::failing("panics", Lsn::new(8), u32::MAX);
        let plugins: Vec<Box<dyn Plugin>> = vec![Box::new(fails), Box::new(panics), Box::new(lasts)];
        let mut walk = Walk::new(log.open(Lsn::INVALID), plugins);
        walk.run().unwrap();
        assert_eq!(notes.take().len(), 4);
        let failures: Vec<_> = walk.take_failures().iter().map(ToString::to_string).collect();
        assert_eq!(
            failures,
            [
                "plugin \"panics\" failed at WAL record 0/8 (last good position 0/0): panicked: no",
                "plugin \"fails\" failed at WAL record 0/10 (last good position 0/10): no",
            ]
        );
        let records: Vec<_> = walk.runs.iter_mut().map(|run| run.take_counts().records).collect();
        assert_eq!(records, [1, 0, 3]);
    }
}
