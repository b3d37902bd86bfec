//! The loop that tells plugins what a source holds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pgwal::rmgr::xlog;
use pgwal::{Lsn, Record, RmgrId};

use crate::log_position::LogPosition;
use crate::plugin::{Plugin, PluginError, Resume};
use crate::source::{Source, SourceError};

/// A plugin failed.
#[derive(Debug)]
pub struct Failure {
    /// Its name.
    pub plugin: String,
    /// What it could not do.
    pub kind: FailureKind,
    /// The record at which it failed; invalid at startup or shutdown.
    pub lsn: Lsn,
    /// End of the last record that it was told without failing.
    pub last_good: Lsn,
    /// What it says.
    pub cause: PluginError,
}

/// What a plugin could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Go on: it is not called any more.
    Disabled,
    /// Use what it had kept: it begins anew.
    Resume,
    /// Keep what it has: it goes on with what it kept before.
    Flush,
    /// What is not urgent.
    Work,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { plugin, kind, lsn, last_good, cause } = self;
        match kind {
            FailureKind::Disabled => {
                write!(formatter, "plugin \"{plugin}\" failed")?;
                if lsn.is_valid() {
                    write!(formatter, " at WAL record {lsn} (last good position {last_good})")?;
                }
                write!(formatter, " and is disabled: {cause}")
            }
            FailureKind::Resume => {
                write!(formatter, "plugin \"{plugin}\" cannot use the state that it kept, and begins anew: {cause}")
            }
            FailureKind::Work => write!(formatter, "plugin \"{plugin}\": {cause}"),
            FailureKind::Flush => {
                write!(formatter, "plugin \"{plugin}\" could not keep its state of {last_good}: {cause}")
            }
        }
    }
}

/// How a plugin stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginStatus<'a> {
    /// Its name.
    pub name: &'a str,
    /// End of the last record that it was told without failing.
    pub position: Lsn,
    /// Whether it is still called.
    pub running: bool,
    /// How many records it was told.
    pub records: u64,
}

struct Slot {
    plugin: Box<dyn Plugin>,
    running: bool,
    /// Records that begin before are not for it.
    from: Lsn,
    position: Lsn,
    /// Up to where it has kept its state, if it keeps any: the log before is not needed for it.
    flushed: Lsn,
    records: u64,
}

/// A source, its plugins, and how far each came.
pub struct Walk<S> {
    source: S,
    slots: Vec<Slot>,
    on_failure: Box<dyn FnMut(&Failure)>,
    position: Lsn,
}

impl<S: std::fmt::Debug> std::fmt::Debug for Walk<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.slots.iter().map(|slot| slot.plugin.name()).collect();
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
    /// Joins a source with plugins, which are called in this order. `on_failure` hears of each that fails.
    pub fn new(source: S, plugins: Vec<Box<dyn Plugin>>, on_failure: impl FnMut(&Failure) + 'static) -> Self {
        let nowhere = Lsn::INVALID;
        let slot =
            |plugin| Slot { plugin, running: true, from: nowhere, position: nowhere, flushed: nowhere, records: 0 };
        let slots = plugins.into_iter().map(slot).collect();
        Self { source, slots, on_failure: Box::new(on_failure), position: Lsn::INVALID }
    }

    /// Starts all plugins. Those that fail are not called again.
    pub fn startup(&mut self) {
        for slot in &mut self.slots {
            slot.call(Lsn::INVALID, &mut self.on_failure, |plugin| plugin.startup());
        }
    }

    /// Asks each plugin where it wants to begin: `now` is the end of the log, `checkpoint` where its last checkpoint
    /// began; `holds` tells whether a position is one of this log. Returns where the source is to begin: no plugin is told
    /// a record before the place where it wants to.
    pub fn resume(&mut self, now: Lsn, checkpoint: Lsn, holds: impl Fn(&LogPosition) -> bool) -> Lsn {
        for slot in &mut self.slots {
            slot.resume(now, checkpoint, &holds, &mut self.on_failure);
        }
        let wanted = self.slots.iter().filter(|slot| slot.running).map(|slot| slot.from).min();
        self.position = wanted.unwrap_or(now);
        self.position
    }

    /// Tells the plugins that the source goes on with `next`, and that what is between is lost.
    pub fn gap(&mut self, next: Lsn) {
        for slot in &mut self.slots {
            slot.gap(next, &mut self.on_failure);
        }
        self.position = next;
    }

    /// Lets the plugins that have reached the end do what is not urgent. Returns whether there is more of it.
    pub fn work(&mut self) -> bool {
        let position = self.position;
        let mut more = false;
        for slot in self.slots.iter_mut().filter(|slot| slot.from <= position) {
            more |= slot.work(&mut self.on_failure);
        }
        more
    }

    /// Up to where all plugins have kept their state: the log before is not needed any more.
    pub fn flushed(&self) -> Lsn {
        let flushed = self.slots.iter().filter(|slot| slot.running).map(|slot| slot.flushed).min();
        flushed.unwrap_or(self.position)
    }

    /// Tells the plugins the source's next record, if there is one. Returns whether there was.
    ///
    /// # Errors
    /// Those of the source; plugins keep what they have.
    pub fn step(&mut self) -> Result<bool, SourceError> {
        let Some(record) = self.source.next_record()? else { return Ok(false) };
        for slot in &mut self.slots {
            slot.tell(&record, &mut self.on_failure);
        }
        self.position = record.end;
        let checkpoint = is_checkpoint(&record).then_some(record.lsn);
        drop(record);
        if let Some(lsn) = checkpoint {
            self.flush(lsn);
        }
        Ok(true)
    }

    /// Lets the plugins keep their state, after the record at `lsn`.
    fn flush(&mut self, lsn: Lsn) {
        let Some(position) = self.source.log_position(self.position) else { return };
        for slot in &mut self.slots {
            slot.flush(lsn, &position, &mut self.on_failure);
        }
    }

    /// Tells the plugins all that the source holds now.
    ///
    /// # Errors
    /// Those of the source.
    pub fn run(&mut self) -> Result<(), SourceError> {
        while self.step()? {}
        Ok(())
    }

    /// Shuts the plugins down and gives them back.
    pub fn shutdown(mut self) -> Vec<Box<dyn Plugin>> {
        self.flush(Lsn::INVALID);
        for slot in &mut self.slots {
            slot.call(Lsn::INVALID, &mut self.on_failure, |plugin| plugin.shutdown());
        }
        self.slots.into_iter().map(|slot| slot.plugin).collect()
    }

    /// Puts a question to the plugin of this name.
    ///
    /// # Errors
    /// If there is no such plugin, it failed before, or its answer is an error or a panic.
    pub fn ask(&mut self, plugin: &str, question: &[u8]) -> Result<Vec<u8>, PluginError> {
        let slot = self.slots.iter_mut().find(|slot| slot.plugin.name() == plugin);
        let slot = slot.ok_or_else(|| format!("there is no plugin \"{plugin}\" in \"walker.plugins\""))?;
        if !slot.running {
            return Err(format!("plugin \"{plugin}\" failed at {} and is disabled", slot.position).into());
        }
        let position = slot.position.max(self.position);
        guarded(|| slot.plugin.answer(question, position))
    }

    /// How each plugin stands.
    pub fn statuses(&self) -> impl Iterator<Item = PluginStatus<'_>> {
        self.slots.iter().map(|slot| PluginStatus {
            name: slot.plugin.name(),
            position: slot.position,
            running: slot.running,
            records: slot.records,
        })
    }

    /// End of the last record that was told; invalid before the first.
    pub fn position(&self) -> Lsn {
        self.position
    }

    /// Where the records come from.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }
}

impl Slot {
    fn tell(&mut self, record: &Record<'_>, on_failure: &mut dyn FnMut(&Failure)) {
        let wanted = self.running && record.lsn >= self.from;
        if wanted && self.call(record.lsn, on_failure, |plugin| plugin.record(record)) {
            self.position = record.end;
            self.records += 1;
        }
    }

    fn resume(
        &mut self,
        now: Lsn,
        checkpoint: Lsn,
        holds: impl Fn(&LogPosition) -> bool,
        on_failure: &mut dyn FnMut(&Failure),
    ) {
        if !self.running {
            return;
        }
        let unusable = match guarded(|| self.plugin.resume()) {
            Ok(Resume::Now) => return self.begin(now),
            Ok(Resume::Checkpoint) => return self.begin(checkpoint),
            Ok(Resume::At(position)) if holds(&position) => return self.begin(position.lsn),
            Ok(Resume::At(position)) => format!("this log does not hold {position}").into(),
            Err(cause) => cause,
        };
        on_failure(&self.failure(FailureKind::Resume, Lsn::INVALID, unusable));
        self.gap(checkpoint, on_failure);
    }

    fn begin(&mut self, lsn: Lsn) {
        (self.from, self.position, self.flushed) = (lsn, lsn, lsn);
    }

    fn gap(&mut self, next: Lsn, on_failure: &mut dyn FnMut(&Failure)) {
        if self.call(Lsn::INVALID, on_failure, |plugin| plugin.gap(next)) {
            self.begin(next);
        }
    }

    fn flush(&mut self, lsn: Lsn, position: &LogPosition, on_failure: &mut dyn FnMut(&Failure)) {
        // One that wants to begin later has nothing new.
        if !self.running || position.lsn < self.from {
            return;
        }
        match guarded(|| self.plugin.flush(position)) {
            Ok(()) => self.flushed = position.lsn,
            Err(cause) => on_failure(&self.failure(FailureKind::Flush, lsn, cause)),
        }
    }

    fn work(&mut self, on_failure: &mut dyn FnMut(&Failure)) -> bool {
        if !self.running {
            return false;
        }
        guarded(|| self.plugin.work()).unwrap_or_else(|cause| {
            on_failure(&self.failure(FailureKind::Work, Lsn::INVALID, cause));
            true
        })
    }

    fn failure(&self, kind: FailureKind, lsn: Lsn, cause: PluginError) -> Failure {
        Failure { plugin: self.plugin.name().to_owned(), kind, lsn, last_good: self.position, cause }
    }

    /// Calls the plugin unless it is disabled; disables it if it fails. Returns whether it did not.
    fn call(
        &mut self,
        lsn: Lsn,
        on_failure: &mut dyn FnMut(&Failure),
        call: impl FnOnce(&mut dyn Plugin) -> Result<(), PluginError>,
    ) -> bool {
        if self.running
            && let Err(cause) = guarded(|| call(self.plugin.as_mut()))
        {
            self.running = false;
            on_failure(&self.failure(FailureKind::Disabled, lsn, cause));
        }
        self.running
    }
}

/// Whether the record tells of a finished checkpoint.
fn is_checkpoint(record: &Record<'_>) -> bool {
    record.rmgr == RmgrId::XLOG && matches!(record.rmgr_info(), xlog::CHECKPOINT_ONLINE | xlog::CHECKPOINT_SHUTDOWN)
}

/// Turns a panic into an error. The plugin that panicked is not called again, so nobody sees it half-changed.
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
    use pgwal::{TransactionId, Version};
    use std::cell::RefCell;
    use std::rc::Rc;

    /// Records at 8, 16, ... of resource managers Heap, Btree, custom 128.
    struct Three(u64);

    impl Source for Three {
        fn next_record(&mut self) -> Result<Option<Record<'_>>, SourceError> {
            self.0 += 1;
            let rmgr = match self.0 {
                1 => RmgrId::HEAP,
                2 => RmgrId::BTREE,
                3 => RmgrId::new(128),
                _ => return Ok(None),
            };
            Ok(Some(Record {
                lsn: Lsn::new(self.0 * 8),
                end: Lsn::new(self.0 * 8 + 8),
                prev: Lsn::INVALID,
                total_len: 24,
                xid: TransactionId::INVALID,
                top_xid: None,
                origin: None,
                rmgr,
                info: 0,
                version: Version::V15,
                main_data: &[],
                blocks: Default::default(),
            }))
        }
    }

    type Log = Rc<RefCell<Vec<String>>>;

    struct Noting {
        name: &'static str,
        fails_at: Option<RmgrId>,
        log: Log,
    }

    impl Noting {
        fn note(&self, what: &str, record: &Record<'_>) -> Result<(), PluginError> {
            self.log.borrow_mut().push(format!("{} {what}", self.name));
            match self.fails_at {
                Some(rmgr) if rmgr == record.rmgr && self.name == "panics" => panic!("no"),
                Some(rmgr) if rmgr == record.rmgr => Err("no".into()),
                _ => Ok(()),
            }
        }
    }

    impl Plugin for Noting {
        fn name(&self) -> &str {
            self.name
        }
        fn heap(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
            self.note("heap", record)
        }
        fn other(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
            self.note("other", record)
        }
        fn custom(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
            self.note("custom", record)
        }
    }

    fn walk(plugins: &[(&'static str, Option<RmgrId>)]) -> (Walk<Three>, Log, Log) {
        let (log, failures) = (Log::default(), Log::default());
        let plugins = plugins.iter().map(|(name, fails_at)| {
            Box::new(Noting { name, fails_at: *fails_at, log: Rc::clone(&log) }) as Box<dyn Plugin>
        });
        let heard = Rc::clone(&failures);
        let walk = Walk::new(Three(0), plugins.collect(), move |failure| heard.borrow_mut().push(failure.to_string()));
        (walk, log, failures)
    }

    #[test]
    fn each_plugin_hears_each_record_in_order() {
        let (mut walk, log, _) = walk(&[("a", None), ("b", None)]);
        walk.run().unwrap();
        assert_eq!(*log.borrow(), ["a heap", "b heap", "a other", "b other", "a custom", "b custom"]);
        assert_eq!(walk.position(), Lsn::new(32));
    }

    #[test]
    fn a_plugin_that_fails_or_panics_does_not_stop_the_others() {
        let (mut walk, log, failures) =
            walk(&[("fails", Some(RmgrId::BTREE)), ("panics", Some(RmgrId::HEAP)), ("lasts", None)]);
        walk.run().unwrap();
        let lasting = log.borrow().iter().filter(|line| line.starts_with("lasts")).count();
        assert_eq!(lasting, 3);
        assert_eq!(
            *failures.borrow(),
            [
                "plugin \"panics\" failed at WAL record 0/8 (last good position 0/0) and is disabled: panicked: no",
                "plugin \"fails\" failed at WAL record 0/10 (last good position 0/10) and is disabled: no",
            ]
        );
        let running: Vec<_> = walk.statuses().map(|status| (status.name.to_owned(), status.records)).collect();
        assert_eq!(running, [("fails".to_owned(), 1), ("panics".to_owned(), 0), ("lasts".to_owned(), 3)]);
        assert!(walk.ask("fails", b"").unwrap_err().to_string().contains("disabled"));
    }
}
