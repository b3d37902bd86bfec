//! A log that goes on, such as a server's.

use pgwal::Lsn;

use crate::log_position::LogPosition;
use crate::source::Source;

/// A log that may be read from anywhere.
pub trait Log {
    /// What reads it.
    type Source: Source;

    /// Reads from the first record at or behind `from` on.
    fn open(&self, from: Lsn) -> Self::Source;

    /// Its end.
    fn end(&self) -> Lsn;

    /// Where its last checkpoint began (redo position).
    fn last_checkpoint(&self) -> Lsn;

    /// Where the log can be read from if what comes at `position` cannot: at its end, or, if that is too close, where it can be
    /// found once it is longer.
    fn behind(&self, position: Lsn) -> Lsn;

    /// Whether the log can be read from this position on.
    fn holds(&self, position: &LogPosition) -> Held;
}

/// Whether a log holds a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It does.
    Yes,
    /// It may, once it is as long again: a standby has not replayed that far yet.
    NotYet,
    /// That cannot be found out now, for this reason.
    Unknown(String),
    /// It does not, for this reason.
    No(String),
}
