//! The walk over PostgreSQL's write-ahead log: where WAL comes from ([`Source`]), who is told ([`Plugin`]) and the
//! loop that joins them ([`Walk`]; [`Walker`] over a log that goes on).
//!
//! A plugin is written once and runs in three hosts: in the server as part of a background worker, beside it on a
//! replication stream, and over files. It cannot tell them apart.
//!
//! ```
//! use pgwal::Record;
//! use walker_core::{Plugin, PluginError};
//!
//! #[derive(Default)]
//! struct Inserts(u64);
//!
//! impl Plugin for Inserts {
//!     fn name(&self) -> &str {
//!         "inserts"
//!     }
//!     fn heap(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
//!         self.0 += u64::from(record.identify() == Some("INSERT"));
//!         Ok(())
//!     }
//! }
//! ```
#![deny(unsafe_code)]

mod counts_by_rmgr;
mod event;
mod failure;
mod files;
mod lag_clock;
mod log;
mod log_position;
mod pace;
mod plugin;
mod plugin_names;
mod plugin_run;
mod plugin_state;
mod read_ahead;
mod retry_policy;
mod source;
mod statistics;
#[cfg(test)]
mod test_log;
mod walk;
mod walker;

pub use counts_by_rmgr::CountsByRmgr;
pub use event::{Event, Next};
pub use failure::{Failure, FailureKind};
pub use files::{FileSource, FileSourceOptions, Gap, LastRecord, WalDirectory, read_in_pieces};
pub use lag_clock::LagClock;
pub use log::{Held, Log};
pub use log_position::LogPosition;
pub use pace::{Pace, Rest};
pub use plugin::{Plugin, PluginError, Resume, dispatch};
pub use plugin_names::{ParsePluginNamesError, parse_plugin_names, quoted_name};
pub use plugin_run::Counts;
pub use plugin_state::PluginState;
pub use read_ahead::ReadAhead;
pub use retry_policy::RetryPolicy;
pub use source::{Source, SourceError};
pub use statistics::{PluginReport, PluginStatistics, RmgrCounts, Statistics};
pub use walk::{Told, Walk};
pub use walker::{PluginStatus, Progress, Walker};
