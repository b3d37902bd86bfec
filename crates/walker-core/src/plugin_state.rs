//! What a plugin does.

use std::fmt;

/// What a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PluginState {
    /// It has not started yet.
    Starting,
    /// It was told all that there is, and is told what comes.
    Running,
    /// It is told what is there since it started or was tried again.
    CatchingUp,
    /// It failed and is tried again.
    Waiting,
    /// It failed too often.
    Off,
}

impl fmt::Display for PluginState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::CatchingUp => "catching up",
            Self::Waiting => "waiting",
            Self::Off => "off",
        })
    }
}
