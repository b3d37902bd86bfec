//! record_count_rust: an example of a plugin in Rust.
//!
//! Counts records by resource manager and says so in the server's log after each checkpoint and at the end; asked, it
//! answers with the same text. What it needs of the server is one macro and the log: the counting itself also runs
//! outside.

use std::collections::BTreeMap;
use std::fmt;

use pgwal::{Lsn, Record, RmgrId};
use walker_core::{LogPosition, Plugin, PluginError};

pgrx::pg_module_magic!();

pgxlog::walker_plugin!(RecordCount::default());

/// How many records of each resource manager there were, and where.
#[derive(Debug, Default)]
struct RecordCount {
    first: Option<Lsn>,
    last: Lsn,
    records: BTreeMap<RmgrId, u64>,
}

impl fmt::Display for RecordCount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.records.values().sum();
        write!(formatter, "from {} to {}: all {all}", self.first.unwrap_or_default(), self.last)?;
        self.records.iter().try_for_each(|(rmgr, count)| write!(formatter, ", {rmgr} {count}"))
    }
}

impl Plugin for RecordCount {
    fn name(&self) -> &str {
        "record_count_rust"
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        self.first.get_or_insert(record.lsn);
        self.last = record.end;
        *self.records.entry(record.rmgr).or_default() += 1;
        Ok(())
    }

    fn answer(&mut self, _question: &[u8], _position: Lsn) -> Result<Vec<u8>, PluginError> {
        Ok(self.to_string().into_bytes())
    }

    fn flush(&mut self, _position: &LogPosition) -> Result<(), PluginError> {
        pgrx::log!("record_count_rust: {self}");
        Ok(())
    }
}
