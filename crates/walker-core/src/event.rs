//! What a walker tells of itself.

use std::fmt;
use std::time::Duration;

use pgwal::Lsn;

use crate::failure::Failure;
use crate::source::SourceError;

/// What happened, for the log.
#[derive(Debug)]
pub enum Event {
    /// A plugin is told records from here on: it has started, was tried again, or begins anew.
    Begins {
        /// Its name.
        plugin: String,
        /// Where.
        at: Lsn,
    },
    /// A plugin failed.
    Failed {
        /// How.
        failure: Failure,
        /// What becomes of it.
        next: Next,
    },
    /// A part of the log cannot be read.
    Unreadable {
        /// Why.
        cause: SourceError,
        /// Who is told of the gap.
        plugins: Vec<String>,
        /// Where it goes on.
        next: Lsn,
    },
}

/// What becomes of a plugin that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It goes on.
    GoesOn,
    /// It is tried again after this pause.
    Retry(Duration),
    /// It is switched off after so many failures.
    Off(u32),
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begins { plugin, at } => write!(formatter, "plugin \"{plugin}\" begins at {at}"),
            Self::Failed { failure, next } => {
                write!(formatter, "{failure}")?;
                match next {
                    Next::GoesOn => Ok(()),
                    Next::Retry(pause) => write!(formatter, "; it is tried again in {pause:?}"),
                    Next::Off(failures) => write!(formatter, "; it is switched off after {failures} failures"),
                }
            }
            Self::Unreadable { cause, plugins, next } if plugins.is_empty() => {
                write!(formatter, "could not read WAL: {cause}; goes on at {next}")
            }
            Self::Unreadable { cause, plugins, next } => {
                let plugins = plugins.join(", ");
                write!(formatter, "could not read WAL: {cause}; goes on at {next}, where plugins begin anew: {plugins}")
            }
        }
    }
}
