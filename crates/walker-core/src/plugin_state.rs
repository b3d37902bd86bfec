//! What a plugin of the server's worker is doing.

use std::fmt;

/// How a plugin stands, as the view `pg_stat_walker` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum PluginState {
    /// It is loaded and asked where it wants to begin.
    #[default]
    Starting,
    /// It was told all that there is, and is told what comes.
    Running,
    /// It is behind the end of the log: since it has started or was tried again, or since more is written than it can deal
    /// with.
    CatchingUp,
    /// It failed, and will be tried again.
    Waiting,
    /// It failed too often, and is not tried again before the configuration is reloaded.
    Off,
}

impl fmt::Display for PluginState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::CatchingUp => "catching up",
            Self::Waiting => "waiting",
            Self::Off => "off",
        })
    }
}
