//! Where WAL comes from.

use std::path::PathBuf;

use pgwal::{Lsn, ReadError, Record, TimelineHistoryError};

use crate::log_position::LogPosition;

/// A sequence of records that may grow.
pub trait Source {
    /// Gives the next record to `told` and returns what that returns; `None` if there is no record now. Asked again later, a
    /// source that grows goes on. A record is lent rather than returned, since it is large.
    ///
    /// # Errors
    /// [`SourceError`] if what there is cannot be read.
    fn next_record<T>(&mut self, told: impl FnOnce(&Record<'_>) -> T) -> Result<Option<T>, SourceError>;

    /// The end of the record that was read last, `lsn`, as a position of its log; `None` if the source does not know of
    /// which log it is. Then plugins are not told to keep their state.
    fn log_position(&self, _lsn: Lsn) -> Option<LogPosition> {
        None
    }
}

/// A source cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file or directory could not be read.
    #[error("could not read \"{}\": {cause}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The directory holds no segment.
    #[error("could not find any WAL file in \"{}\"", .0.display())]
    NoSegments(PathBuf),
    /// A segment is missing although later ones are there.
    #[error("could not find WAL segment {name} in \"{}\", which holds later ones", directory.display())]
    MissingSegment {
        /// Name of the segment.
        name: String,
        /// Where it should be.
        directory: PathBuf,
    },
    /// A segment's first page does not say what a segment must say.
    #[error("\"{}\" is not a WAL segment: {cause}", path.display())]
    NotASegment {
        /// The file.
        path: PathBuf,
        /// What is wrong with its first page.
        cause: String,
    },
    /// The log is damaged, or not one log.
    #[error("{cause}, in \"{}\"", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and what.
        cause: ReadError,
    },
    /// A segment's file ends before the segment does, although later segments are there.
    #[error("\"{}\" ends at {position}, but later segments follow", path.display())]
    CutSegment {
        /// The file.
        path: PathBuf,
        /// The record or page that is not whole.
        position: Lsn,
    },
    /// A compressed file is damaged or cut.
    #[error("could not decompress \"{}\": {cause}", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// What the decompressor says.
        cause: std::io::Error,
    },
    /// A file became shorter while it was read.
    #[error("\"{}\" shrank while it was read", .0.display())]
    Shrank(PathBuf),
    /// The history of a timeline is not as PostgreSQL writes it.
    #[error("could not read \"{}\": {cause}", path.display())]
    TimelineHistory {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: TimelineHistoryError,
    },
    /// The server has removed the segment that comes next: what is behind `position` cannot be read any more.
    #[error("{cause} (WAL position {position})")]
    Gone {
        /// The end of the last good record.
        position: Lsn,
        /// What the source says.
        cause: String,
    },
    /// A source of another kind, such as the server's own reader, failed.
    #[error("{cause} (WAL position {position})")]
    Other {
        /// The end of the last good record.
        position: Lsn,
        /// What the source says.
        cause: String,
    },
}

impl SourceError {
    /// Whether the log itself is damaged or incomplete, as against a failure to read it.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::MissingSegment { .. }
                | Self::CutSegment { .. }
                | Self::Compressed { .. }
                | Self::Gone { .. }
        )
    }

    /// Whether that part of the log does not exist any more: to try again does not help.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }

    /// Where the log cannot be read on, if the error tells.
    #[must_use]
    pub fn lsn(&self) -> Option<Lsn> {
        match self {
            Self::Damaged { cause, .. } => Some(cause.lsn),
            Self::CutSegment { position, .. } | Self::Gone { position, .. } | Self::Other { position, .. } => {
                Some(*position)
            }
            _ => None,
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound)
    }
}
