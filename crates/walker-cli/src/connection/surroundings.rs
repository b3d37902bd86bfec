//! What libpq takes from the process and the machine: environment, home directory, user. A value, so that tests have
//! their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::exit::Hinted;

/// Environment, home directory and user.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// Environment variables.
    pub(super) variables: BTreeMap<String, String>,
    /// The home directory.
    pub(super) home: Option<PathBuf>,
    /// The operating system's name of the user.
    pub(super) user: Option<String>,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_process() -> Self {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            variables: std::env::vars_os().filter_map(utf8).collect(),
            home: std::env::home_dir(),
            user: whoami::username().ok(),
        }
    }

    /// The value of an environment variable; none if it is empty.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// The file that `variable` names, or else `file` in the home directory.
    pub(super) fn file(&self, variable: &str, file: &str) -> Option<PathBuf> {
        self.variable(variable).map(PathBuf::from).or_else(|| Some(self.home.as_ref()?.join(file)))
    }

    /// Name of the user who runs the command.
    pub(super) fn user(&self) -> Result<String> {
        self.user.clone().ok_or_else(|| {
            Hinted::error("could not find out the name of the operating system's user", "Name a user by --username.")
        })
    }

    /// Where the server's socket is if nobody says otherwise (`DEFAULT_PGSOCKET_DIR`): Debian and others have changed
    /// it.
    pub(super) fn socket_directory(&self) -> String {
        let packaged = "/var/run/postgresql";
        if Path::new(packaged).is_dir() { packaged.to_owned() } else { "/tmp".to_owned() }
    }
}
