//! The walk over PostgreSQL's write-ahead log: where WAL comes from ([`Source`]), who is told ([`Plugin`]) and the
//! loop that joins them ([`Walk`]).
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

mod files;
mod log_position;
mod plugin;
mod plugin_names;
mod source;
mod walk;

pub use files::{FileSource, FileSourceOptions, Gap, LastRecord, WalDirectory, read_in_pieces};
pub use log_position::LogPosition;
pub use plugin::{Plugin, PluginError, Resume, dispatch};
pub use plugin_names::{ParsePluginNamesError, parse_plugin_names};
pub use source::{Source, SourceError};
pub use walk::{Failure, FailureKind, PluginStatus, Walk};
