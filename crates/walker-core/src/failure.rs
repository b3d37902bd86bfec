//! What is told of a plugin that failed.

use std::fmt;

use pgwal::Lsn;

use crate::plugin::PluginError;

/// A plugin failed.
#[derive(Debug)]
pub struct Failure {
    /// Its name.
    pub plugin: String,
    /// What it could not do.
    pub kind: FailureKind,
    /// End of the last record that it was told without failing.
    pub last_good: Lsn,
    /// What it says.
    pub cause: PluginError,
}

/// What a plugin could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Be loaded or start.
    Startup,
    /// Leave the process alive: it ended in a callback of the plugin, and was started anew.
    Process,
    /// Deal with the record that begins here.
    Record(Lsn),
    /// Begin anew behind a gap.
    Gap,
    /// Use what it had kept: it begins anew.
    Resume,
    /// Keep what it has: it goes on with what it kept before.
    Flush,
    /// What is not urgent.
    Work,
    /// Shut down in order.
    Shutdown,
}

impl FailureKind {
    /// Whether the plugin is called no more until it is tried again.
    #[must_use]
    pub const fn stops(self) -> bool {
        matches!(self, Self::Startup | Self::Process | Self::Record(_) | Self::Gap)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, kind, last_good, cause } = self;
        write!(formatter, "plugin \"{plugin}\" ")?;
        match kind {
            FailureKind::Startup => formatter.write_str("could not start")?,
            FailureKind::Process => formatter.write_str("ended the process that called it")?,
            FailureKind::Record(lsn) => {
                write!(formatter, "failed at WAL record {lsn} (last good position {last_good})")?;
            }
            FailureKind::Gap => write!(formatter, "failed at a gap behind {last_good}")?,
            FailureKind::Resume => formatter.write_str("cannot use the state that it kept, and begins anew")?,
            FailureKind::Flush => write!(formatter, "could not keep its state of {last_good}")?,
            FailureKind::Work => formatter.write_str("failed")?,
            FailureKind::Shutdown => formatter.write_str("could not shut down")?,
        }
        write!(formatter, ": {cause}")
    }
}
