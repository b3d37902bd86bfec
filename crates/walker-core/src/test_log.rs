//! A log and plugins for tests.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use pgwal::rmgr::xlog;
use pgwal::{Lsn, Record, RmgrId, TimelineId, TransactionId, Version};

use crate::log::{Held, Log};
use crate::log_position::LogPosition;
use crate::plugin::{Plugin, PluginError, Resume};
use crate::source::{Source, SourceError};

/// Records of 8 bytes, the first at 0/8. Clones are the same log.
#[derive(Clone, Default)]
pub(crate) struct TestLog {
    rmgrs: Rc<RefCell<Vec<RmgrId>>>,
    /// The record that cannot be read, and whether it is gone.
    pub(crate) damage: Rc<Cell<Option<(Lsn, bool)>>>,
    pub(crate) checkpoint: Rc<Cell<Lsn>>,
    pub(crate) held: Rc<RefCell<Option<Held>>>,
}

impl TestLog {
    pub(crate) fn of(rmgrs: impl IntoIterator<Item = RmgrId>) -> Self {
        let log = Self::default();
        log.checkpoint.set(Lsn::new(8));
        log.append(rmgrs);
        log
    }

    /// Records of XLOG are checkpoints.
    pub(crate) fn append(&self, rmgrs: impl IntoIterator<Item = RmgrId>) {
        self.rmgrs.borrow_mut().extend(rmgrs);
    }
}

impl Log for TestLog {
    type Source = TestSource;

    fn open(&self, from: Lsn) -> TestSource {
        TestSource { log: self.clone(), next: from.get().div_ceil(8).max(1) }
    }

    fn end(&self) -> Lsn {
        Lsn::new(8 + 8 * self.rmgrs.borrow().len() as u64)
    }

    fn last_checkpoint(&self) -> Lsn {
        self.checkpoint.get()
    }

    fn behind(&self, position: Lsn) -> Lsn {
        self.end().max(position.advanced(8))
    }

    fn holds(&self, position: &LogPosition) -> Held {
        let held = if position.lsn > self.end() { Held::NotYet } else { Held::Yes };
        self.held.borrow().clone().unwrap_or(held)
    }
}

pub(crate) struct TestSource {
    log: TestLog,
    next: u64,
}

impl Source for TestSource {
    fn next_record<T>(&mut self, told: impl FnOnce(&Record<'_>) -> T) -> Result<Option<T>, SourceError> {
        let lsn = Lsn::new(self.next * 8);
        let Some(rmgr) = self.log.rmgrs.borrow().get(self.next as usize - 1).copied() else { return Ok(None) };
        match self.log.damage.get() {
            Some((damaged, gone)) if damaged == lsn => {
                let (position, cause) = (lsn, "no".to_owned());
                return Err(if gone {
                    SourceError::Gone { position, cause }
                } else {
                    SourceError::Other { position, cause }
                });
            }
            _ => {}
        }
        self.next += 1;
        Ok(Some(told(&Record {
            lsn,
            end: lsn.advanced(8),
            prev: Lsn::INVALID,
            total_len: 24,
            xid: TransactionId::INVALID,
            top_xid: None,
            origin: None,
            rmgr,
            info: if rmgr == RmgrId::XLOG { xlog::CHECKPOINT_ONLINE } else { 0 },
            version: Version::V15,
            main_data: &[],
            blocks: Default::default(),
        })))
    }

    fn log_position(&self, lsn: Lsn) -> Option<LogPosition> {
        Some(at(lsn))
    }
}

/// The position of the test log there.
pub(crate) fn at(lsn: Lsn) -> LogPosition {
    LogPosition { system_identifier: 1, timeline: TimelineId::new(1), lsn }
}

pub(crate) type Notes = Rc<RefCell<Vec<String>>>;

/// A plugin that notes what it is told.
#[derive(Clone)]
pub(crate) struct Noting {
    pub(crate) name: &'static str,
    pub(crate) notes: Notes,
    /// Where it fails, and how often yet.
    pub(crate) fails: Rc<Cell<(Lsn, u32)>>,
    /// How long each record takes.
    pub(crate) takes: Duration,
    /// What it keeps over a restart, if anything.
    pub(crate) kept: Option<Rc<Cell<Resume>>>,
}

impl Noting {
    pub(crate) fn new(name: &'static str) -> (Self, Notes) {
        Self::failing(name, Lsn::INVALID, 0)
    }

    /// One named `panics` panics.
    pub(crate) fn failing(name: &'static str, lsn: Lsn, times: u32) -> (Self, Notes) {
        let notes = Notes::default();
        let fails = Rc::new(Cell::new((lsn, times)));
        (Self { name, notes: notes.clone(), fails, takes: Duration::ZERO, kept: None }, notes)
    }

    pub(crate) fn keeping(mut self, kept: Resume) -> Self {
        self.kept = Some(Rc::new(Cell::new(kept)));
        self
    }

    fn note(&self, what: &str, lsn: Lsn) -> Result<(), PluginError> {
        self.notes.borrow_mut().push(format!("{} {what} {lsn}", self.name));
        std::thread::sleep(self.takes);
        match self.fails.get() {
            (place, times) if place == lsn && times > 0 => {
                self.fails.set((place, times - 1));
                assert!(self.name != "panics", "no");
                Err("no".into())
            }
            _ => Ok(()),
        }
    }
}

impl Plugin for Noting {
    fn name(&self) -> &str {
        self.name
    }
    fn startup(&mut self) -> Result<(), PluginError> {
        self.note("startup", Lsn::INVALID)
    }
    fn resume(&mut self) -> Result<Resume, PluginError> {
        Ok(self.kept.as_ref().map_or(Resume::Now, |kept| kept.get()))
    }
    fn gap(&mut self, next: Lsn) -> Result<(), PluginError> {
        self.note("gap", next)
    }
    fn heap(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        self.note("heap", record.lsn)
    }
    fn xlog(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        self.note("xlog", record.lsn)
    }
    fn other(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        self.note("other", record.lsn)
    }
    fn custom(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        self.note("custom", record.lsn)
    }
    fn answer(&mut self, _question: &[u8], position: Lsn) -> Result<Vec<u8>, PluginError> {
        Ok(position.to_string().into_bytes())
    }
    fn flush(&mut self, position: &LogPosition) -> Result<(), PluginError> {
        if let Some(kept) = &self.kept {
            kept.set(Resume::At(*position));
        }
        self.notes.borrow_mut().push(format!("{} flush {}", self.name, position.lsn));
        Ok(())
    }
    fn work(&mut self) -> Result<bool, PluginError> {
        if self.name == "works_badly" { Err("no".into()) } else { Ok(false) }
    }
    fn shutdown(&mut self) -> Result<(), PluginError> {
        self.notes.borrow_mut().push(format!("{} shutdown", self.name));
        Ok(())
    }
}
