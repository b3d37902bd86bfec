//! Which of several servers is wanted, by what its sessions can do (`target_session_attrs`).

use anyhow::{Result, bail};
use postgres::Config;
use postgres::config::TargetSessionAttrs;

use super::Parameters;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionAttributes {
    Any,
    ReadWrite,
    ReadOnly,
    /// A standby if there is one, or else any.
    PreferStandby,
}

impl SessionAttributes {
    /// What the parameters say. A primary is taken for a server that can be written to, and a standby for one that cannot.
    pub(super) fn of(parameters: &Parameters) -> Result<Self> {
        Ok(match parameters.get("target_session_attrs").map(String::as_str) {
            None | Some("any") => Self::Any,
            Some("read-write" | "primary") => Self::ReadWrite,
            Some("read-only" | "standby") => Self::ReadOnly,
            Some("prefer-standby") => Self::PreferStandby,
            Some(value) => bail!("invalid target_session_attrs value: \"{value}\""),
        })
    }

    /// What is wanted of all servers in turn; if none has it, in the next round.
    pub(super) fn rounds(self) -> impl Iterator<Item = Self> {
        let (first, second) = match self {
            Self::PreferStandby => (Self::ReadOnly, Some(Self::Any)),
            only => (only, None),
        };
        [first].into_iter().chain(second)
    }

    /// Tells the client library.
    pub(super) fn set(self, config: &mut Config) {
        config.target_session_attrs(match self {
            Self::Any | Self::PreferStandby => TargetSessionAttrs::Any,
            Self::ReadWrite => TargetSessionAttrs::ReadWrite,
            Self::ReadOnly => TargetSessionAttrs::ReadOnly,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_preferred_by_asking_twice() {
        let parameters = Parameters::from([("target_session_attrs".to_owned(), "prefer-standby".to_owned())]);
        let rounds: Vec<_> = SessionAttributes::of(&parameters).unwrap().rounds().collect();
        assert_eq!(rounds, [SessionAttributes::ReadOnly, SessionAttributes::Any]);
        assert_eq!(SessionAttributes::of(&Parameters::new()).unwrap().rounds().count(), 1);
    }
}
