//! Where WAL comes from.

use std::path::PathBuf;

use pgwal::{Lsn, ReadError, Record};

/// A sequence of records that may grow.
pub trait Source {
    /// The next record; `None` if there is none now. Asked again later, a source that grows goes on.
    ///
    /// # Errors
    /// [`SourceError`] if what there is cannot be read.
    fn next_record(&mut self) -> Result<Option<Record<'_>>, SourceError>;
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
    /// A source of another kind, such as the server's own reader, failed.
    #[error("{cause} (WAL position {position})")]
    Other {
        /// The end of the last good record.
        position: Lsn,
        /// What the source says.
        cause: String,
    },
}
