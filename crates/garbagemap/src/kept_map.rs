//! A map that outlives restarts.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use pgwal::{Lsn, Record};
use walker_core::{LogPosition, Plugin, PluginError, Resume};

use crate::data_files::DataFiles;
use crate::map::GarbageMap;
use crate::snapshot;

/// A [`GarbageMap`] that is kept in a file whenever the walk says so, and goes on from there.
pub struct KeptMap {
    map: GarbageMap,
    /// Makes a map that knows nothing yet.
    empty: Box<dyn Fn() -> GarbageMap>,
    path: PathBuf,
    files: Option<DataFiles>,
    report: Option<Report>,
}

/// Tells somebody of a map.
type Report = Box<dyn Fn(&GarbageMap)>;

impl fmt::Debug for KeptMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeptMap").field("path", &self.path).finish_non_exhaustive()
    }
}

impl KeptMap {
    /// A map that is kept in the file `path`, whose directory is made if it is not there. `empty` makes one that knows
    /// nothing yet.
    pub fn new(path: impl Into<PathBuf>, empty: impl Fn() -> GarbageMap + 'static) -> Self {
        Self { map: empty(), empty: Box::new(empty), path: path.into(), files: None, report: None }
    }

    /// The map reads from these files what the log does not tell.
    #[must_use]
    pub fn with_files(mut self, files: DataFiles) -> Self {
        self.files = Some(files);
        self.apply_limits();
        self
    }

    /// Each time that the map is kept, `report` is told of it: at checkpoints, and at the end.
    #[must_use]
    pub fn with_report(mut self, report: impl Fn(&GarbageMap) + 'static) -> Self {
        self.report = Some(Box::new(report));
        self
    }

    /// The limits may be set anew at any time.
    fn apply_limits(&mut self) {
        if let Some(files) = &self.files {
            self.map.set_max_memory(files.limits().max_memory);
        }
    }
}

impl Plugin for KeptMap {
    fn name(&self) -> &str {
        self.map.name()
    }

    fn resume(&mut self) -> Result<Resume, PluginError> {
        let Some((position, mut map)) = snapshot::read(&self.path)? else { return Ok(Resume::Checkpoint) };
        map.inherit(&self.map);
        self.map = map;
        // After a failure, what was read for the map of before.
        if let Some(files) = &mut self.files {
            files.forget();
        }
        Ok(Resume::At(position))
    }

    fn gap(&mut self, _next: Lsn) -> Result<(), PluginError> {
        self.map = (self.empty)();
        self.apply_limits();
        if let Some(files) = &mut self.files {
            files.forget();
        }
        Ok(())
    }

    fn work(&mut self) -> Result<bool, PluginError> {
        self.apply_limits();
        let Some(files) = &mut self.files else { return Ok(false) };
        Ok(files.read_some(&mut self.map)?)
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        self.map.record(record)
    }

    fn answer(&mut self, question: &[u8], position: Lsn) -> Result<Vec<u8>, PluginError> {
        self.map.answer(question, position)
    }

    fn flush(&mut self, position: &LogPosition) -> Result<(), PluginError> {
        self.apply_limits();
        if let Some(report) = &self.report {
            report(&self.map);
        }
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        Ok(snapshot::write(&self.path, position, &self.map)?)
    }
}
