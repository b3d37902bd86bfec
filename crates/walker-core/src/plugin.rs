//! What a plugin is.

use pgwal::{Lsn, Record, RmgrId};

use crate::log_position::LogPosition;

/// Why a plugin failed; its text goes into the log.
pub type PluginError = Box<dyn std::error::Error + Send + Sync>;

/// Where a plugin wants its records from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// From now on; after a failure, from where it was. It keeps nothing over a restart.
    Now,
    /// From where the last checkpoint began (its redo position): from there on the log holds each page that it changes as a
    /// whole.
    Checkpoint,
    /// From where it was when it kept its state last ([`Plugin::flush`]).
    At(LogPosition),
}

/// Somebody who is told every record of the log, in order, whether its transaction commits or not.
///
/// An error or a panic stops the plugin at that record; the other plugins go on. In the server it is tried again after a
/// while: [`Plugin::resume`] is asked anew, and [`Plugin::startup`] too if that had failed. Over files it is not.
pub trait Plugin {
    /// Its name, as in `walker.plugins`.
    fn name(&self) -> &str;

    /// Called once before the first record; again if it failed.
    ///
    /// # Errors
    /// The plugin is told nothing then.
    fn startup(&mut self) -> Result<(), PluginError> {
        Ok(())
    }

    /// Called after [`Plugin::startup`], and again when the plugin is tried again after a failure: where it wants to begin.
    /// After a failure [`Resume::Now`] means where it was: the record at which it failed is told again. So a plugin that says
    /// so must be able to go on with what it has in memory; [`Resume::Checkpoint`] then begins anew with a
    /// [`Plugin::gap`].
    ///
    /// # Errors
    /// What it kept cannot be used, which is told; then it hears of a [`Plugin::gap`], and begins as with
    /// [`Resume::Checkpoint`].
    fn resume(&mut self) -> Result<Resume, PluginError> {
        Ok(Resume::Now)
    }

    /// What comes next, from `next` on, does not follow on what it was told or had kept: that is of another log, or what
    /// is between cannot be read any more.
    ///
    /// # Errors
    /// The plugin is stopped then.
    fn gap(&mut self, _next: Lsn) -> Result<(), PluginError> {
        Ok(())
    }

    /// Every record. As it stands, it calls the method of the record's resource manager; one that counts or filters
    /// all of them overrides this one instead.
    ///
    /// # Errors
    /// The plugin is stopped then.
    fn record(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        dispatch(self, record)
    }

    /// Records of resource manager Heap.
    ///
    /// # Errors
    /// The plugin is stopped then; so for all that follow.
    fn heap(&mut self, _record: &Record<'_>) -> Result<(), PluginError> {
        Ok(())
    }

    /// Records of resource manager Heap2.
    ///
    /// # Errors
    /// See [`Plugin::heap`].
    fn heap2(&mut self, _record: &Record<'_>) -> Result<(), PluginError> {
        Ok(())
    }

    /// Records of resource manager XLOG.
    ///
    /// # Errors
    /// See [`Plugin::heap`].
    fn xlog(&mut self, _record: &Record<'_>) -> Result<(), PluginError> {
        Ok(())
    }

    /// Records of resource manager Transaction.
    ///
    /// # Errors
    /// See [`Plugin::heap`].
    fn xact(&mut self, _record: &Record<'_>) -> Result<(), PluginError> {
        Ok(())
    }

    /// Records of resource manager Storage.
    ///
    /// # Errors
    /// See [`Plugin::heap`].
    fn smgr(&mut self, _record: &Record<'_>) -> Result<(), PluginError> {
        Ok(())
    }

    /// Records of resource manager Database.
    ///
    /// # Errors
    /// See [`Plugin::heap`].
    fn dbase(&mut self, _record: &Record<'_>) -> Result<(), PluginError> {
        Ok(())
    }

    /// Records of resource manager MultiXact.
    ///
    /// # Errors
    /// See [`Plugin::heap`].
    fn multixact(&mut self, _record: &Record<'_>) -> Result<(), PluginError> {
        Ok(())
    }

    /// Records of resource manager Standby.
    ///
    /// # Errors
    /// See [`Plugin::heap`].
    fn standby(&mut self, _record: &Record<'_>) -> Result<(), PluginError> {
        Ok(())
    }

    /// Records of PostgreSQL's other resource managers: indexes, sequences, generic changes and so on.
    ///
    /// # Errors
    /// See [`Plugin::heap`].
    fn other(&mut self, _record: &Record<'_>) -> Result<(), PluginError> {
        Ok(())
    }

    /// Records of resource managers that extensions registered.
    ///
    /// # Errors
    /// See [`Plugin::heap`].
    fn custom(&mut self, _record: &Record<'_>) -> Result<(), PluginError> {
        Ok(())
    }

    /// Answers a question of its own kind, between two records: how a plugin in the server is asked from SQL.
    /// `position` is the end of the last record it was told: what the answer is true for.
    ///
    /// # Errors
    /// The text goes to whoever asked; the plugin is not stopped.
    fn answer(&mut self, _question: &[u8], _position: Lsn) -> Result<Vec<u8>, PluginError> {
        Err("this plugin answers no questions".into())
    }

    /// Called now and then when there is no record to be told: a little of what is not urgent, for some milliseconds.
    /// Returns whether there is more of it, to be called again soon.
    ///
    /// # Errors
    /// The text goes into the log; it is called again after a pause, each time a longer one.
    fn work(&mut self) -> Result<bool, PluginError> {
        Ok(false)
    }

    /// Called after each checkpoint record and before the end: a plugin that keeps something over a restart writes it
    /// now. `position` is the end of the last record it was told. Once it returns, the log before is not kept for it any
    /// more.
    ///
    /// # Errors
    /// What it kept before must still be there: the log from there on is kept, and it is called again at the next
    /// checkpoint. The text goes into the log.
    fn flush(&mut self, _position: &LogPosition) -> Result<(), PluginError> {
        Ok(())
    }

    /// Called last, unless the plugin failed.
    ///
    /// # Errors
    /// The text goes into the log.
    fn shutdown(&mut self) -> Result<(), PluginError> {
        Ok(())
    }
}

/// Calls the method of the record's resource manager.
///
/// # Errors
/// Those of that method.
pub fn dispatch<P: Plugin + ?Sized>(plugin: &mut P, record: &Record<'_>) -> Result<(), PluginError> {
    match record.rmgr {
        RmgrId::HEAP => plugin.heap(record),
        RmgrId::HEAP2 => plugin.heap2(record),
        RmgrId::XLOG => plugin.xlog(record),
        RmgrId::TRANSACTION => plugin.xact(record),
        RmgrId::STORAGE => plugin.smgr(record),
        RmgrId::DATABASE => plugin.dbase(record),
        RmgrId::MULTI_XACT => plugin.multixact(record),
        RmgrId::STANDBY => plugin.standby(record),
        rmgr if rmgr.is_custom() => plugin.custom(record),
        _ => plugin.other(record),
    }
}
