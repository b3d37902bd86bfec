//! A PostgreSQL of one major version on this machine, as its `pg_config` describes it.

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cache::cached_postgresql;
use crate::command::run;

/// Names the `pg_config` to use instead of the ones in the usual places.
pub const PG_CONFIG_VARIABLE: &str = "WALKER_PG_CONFIG";
/// Names the private copy of an installation that holds the libraries under test; set by `cargo xtask test`.
pub const INSTALLATION_VARIABLE: &str = "WALKER_INSTALLATION";

/// Names the built `walker` command; set by `cargo xtask test`.
pub const COMMAND_VARIABLE: &str = "WALKER_BIN";

/// Names the directory with the Debian packages under test; set by `cargo xtask test` and `cargo xtask package --test`.
pub const PACKAGES_VARIABLE: &str = "WALKER_PACKAGES";

/// Path of the `walker` command: named by the environment variable `WALKER_BIN`, as `cargo xtask test` does, or built
/// beside this test.
///
/// # Errors
/// If neither exists.
pub fn walker_command() -> Result<PathBuf> {
    let beside = || Some(env::current_exe().ok()?.parent()?.parent()?.join("walker"));
    let named = env::var_os(COMMAND_VARIABLE).map(PathBuf::from).or_else(beside);
    named.filter(|path| path.exists()).with_context(|| {
        format!("{COMMAND_VARIABLE} does not name the walker command; run `cargo xtask test`, which builds it")
    })
}

/// The `walker` command under test, without what this process's environment would tell it, and with times in UTC.
///
/// # Errors
/// As [`walker_command`].
pub fn walker() -> Result<Command> {
    let mut command = Command::new(walker_command()?);
    command.env_remove("RUST_BACKTRACE").env_remove("PGDATA").env("TZ", "UTC");
    Ok(command)
}

/// An installed PostgreSQL.
#[derive(Debug, Clone)]
pub struct Installation {
    pg_config: PathBuf,
    version: Version,
    /// What `pg_config` prints: `BINDIR`, `SHAREDIR`, `CPPFLAGS`, ...
    values: HashMap<String, String>,
}

impl Installation {
    /// Finds a PostgreSQL of that major version: the one that the environment variable `WALKER_PG_CONFIG` names, or
    /// else the first in the places where distributions put it, or else the one on the `PATH`, or else the one that
    /// `cargo xtask setup` keeps in its cache.
    ///
    /// # Errors
    /// [`NotFound`] if there is none; another error if `WALKER_PG_CONFIG` names none, or one of another major.
    pub fn find(major: u32) -> Result<Self> {
        let Some(named) = Self::named()? else { return Self::search(major) };
        let found = named.version();
        ensure!(found.major == major, "{PG_CONFIG_VARIABLE} names {found}, but PostgreSQL {major} is needed");
        Ok(named)
    }

    /// As [`Installation::find`], for a test of several major versions: `WALKER_PG_CONFIG` may name another one.
    ///
    /// # Errors
    /// [`NotFound`] if there is none; another error if `WALKER_PG_CONFIG` names none at all.
    pub fn find_beside(major: u32) -> Result<Self> {
        match Self::named()? {
            Some(named) if named.version.major == major => Ok(named),
            _ => Self::search(major),
        }
    }

    fn named() -> Result<Option<Self>> {
        let named = env::var_os(PG_CONFIG_VARIABLE);
        named.map(|named| Self::from_pg_config(Path::new(&named)).context(PG_CONFIG_VARIABLE)).transpose()
    }

    fn search(major: u32) -> Result<Self> {
        let usual = [
            format!("/usr/lib/postgresql/{major}/bin"),
            format!("/usr/pgsql-{major}/bin"),
            format!("/usr/local/pgsql-{major}/bin"),
            "/usr/local/pgsql/bin".to_owned(),
        ];
        let path = env::var_os("PATH").unwrap_or_default();
        usual
            .into_iter()
            .map(PathBuf::from)
            .chain(env::split_paths(&path))
            .chain(cached_postgresql(major).map(|cached| cached.join("bin")))
            .map(|directory| directory.join("pg_config"))
            .filter(|pg_config| pg_config.is_file())
            // One that cannot run is as good as none: the next may.
            .filter_map(|pg_config| Self::from_pg_config(&pg_config).ok())
            .find(|installation| installation.version.major == major)
            .ok_or_else(|| NotFound { major }.into())
    }

    /// The private copy that `cargo xtask test` has made, with the libraries under test in it.
    ///
    /// # Errors
    /// If the environment variable `WALKER_INSTALLATION` is not set or names no installation.
    pub fn for_tests() -> Result<Self> {
        Self::at(&from_xtask(INSTALLATION_VARIABLE)?).context(INSTALLATION_VARIABLE)
    }

    /// The installation below the directory `root`, as [`Installation::private_copy`] leaves it.
    ///
    /// # Errors
    /// If there is none.
    pub fn at(root: &Path) -> Result<Self> {
        let candidates = [root.join("pg_config"), root.join("bin/pg_config")];
        let pg_config = candidates.iter().find(|candidate| candidate.is_file());
        Self::from_pg_config(pg_config.with_context(|| format!("no pg_config in {}", root.display()))?)
    }

    /// The installation that a `pg_config` describes.
    ///
    /// # Errors
    /// If it cannot be run, or what it prints is not understood.
    pub fn from_pg_config(pg_config: &Path) -> Result<Self> {
        let printed = run(&mut Command::new(pg_config), "")?;
        let values: HashMap<_, _> = printed
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let version = values.get("VERSION").with_context(|| format!("{} tells no VERSION", pg_config.display()))?;
        let version = version.parse()?;
        Ok(Self { pg_config: pg_config.to_owned(), version, values })
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The options that it was configured with (`pg_config --configure`).
    ///
    /// # Errors
    /// If `pg_config` does not tell.
    pub fn configured(&self) -> Result<&str> {
        self.values.get("CONFIGURE").map(String::as_str).context("pg_config tells no CONFIGURE")
    }

    /// Path of its `pg_config`.
    #[must_use]
    pub fn pg_config(&self) -> &Path {
        &self.pg_config
    }

    /// Path of one of its programs, whether it exists or not.
    ///
    /// # Errors
    /// If `pg_config` names no `BINDIR`.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        Ok(self.binary_directory()?.join(name))
    }

    /// Where its programs are (`BINDIR`).
    ///
    /// # Errors
    /// If `pg_config` does not tell.
    pub fn binary_directory(&self) -> Result<&Path> {
        self.directory("BINDIR")
    }

    /// Where its loadable libraries are (`PKGLIBDIR`, in SQL `$libdir`).
    ///
    /// # Errors
    /// If `pg_config` does not tell.
    pub fn library_directory(&self) -> Result<&Path> {
        self.directory("PKGLIBDIR")
    }

    /// Where it keeps what does not depend on the machine (`SHAREDIR`), among it the directory `extension`.
    ///
    /// # Errors
    /// If `pg_config` does not tell.
    pub fn share_directory(&self) -> Result<&Path> {
        self.directory("SHAREDIR")
    }

    /// Where the server's headers are (`INCLUDEDIR-SERVER`), whether they are installed or not.
    ///
    /// # Errors
    /// If `pg_config` does not tell.
    pub fn server_include_directory(&self) -> Result<&Path> {
        self.directory("INCLUDEDIR-SERVER")
    }

    /// A value that `pg_config` prints, for example `CFLAGS_SL`.
    ///
    /// # Errors
    /// If it does not.
    pub fn value(&self, name: &str) -> Result<&str> {
        let value = self.values.get(name).map(String::as_str);
        value.with_context(|| format!("{} tells no {name}", self.pg_config.display()))
    }

    pub(crate) fn directory(&self, name: &str) -> Result<&Path> {
        let path = Path::new(self.value(name)?);
        ensure!(path.is_absolute(), "{} tells no directory as {name}: {}", self.pg_config.display(), path.display());
        Ok(path)
    }
}

/// There is no PostgreSQL of that major version on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotFound {
    /// The major version that was looked for.
    pub major: u32,
}

impl fmt::Display for NotFound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "PostgreSQL {} with its pg_config is not installed; {PG_CONFIG_VARIABLE} can name one in an unusual place",
            self.major
        )
    }
}

impl std::error::Error for NotFound {}

/// Version of an installation. Displays as PostgreSQL tells it: `PostgreSQL 15.20 (Debian 15.20-0+deb12u1)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// 15 in 15.20.
    pub major: u32,
    /// 20 in 15.20; 0 before the first release (`19rc1`).
    pub minor: u32,
    text: String,
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl FromStr for Version {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some(number) = text.strip_prefix("PostgreSQL ") else { bail!("not a version of PostgreSQL: {text}") };
        let major = digits(number);
        let minor = number[major.len()..].strip_prefix('.').map_or("0", digits);
        let parse = |digits: &str| digits.parse().with_context(|| format!("not a version of PostgreSQL: {text}"));
        Ok(Self { major: parse(major)?, minor: parse(minor)?, text: text.to_owned() })
    }
}

fn from_xtask(variable: &str) -> Result<PathBuf> {
    env::var_os(variable).map(PathBuf::from).with_context(|| {
        format!("{variable} is not set: this test needs what `cargo xtask test` builds and installs; run that instead")
    })
}

fn digits(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases_and_of_what_comes_before() {
        for (text, major, minor) in [
            ("PostgreSQL 15.20 (Debian 15.20-0+deb12u1)", 15, 20),
            ("PostgreSQL 18.4", 18, 4),
            ("PostgreSQL 19rc1", 19, 0),
            ("PostgreSQL 19devel", 19, 0),
        ] {
            let version: Version = text.parse().unwrap();
            assert_eq!((version.major, version.minor), (major, minor), "{text}");
            assert_eq!(version.to_string(), text);
        }
        for text in ["", "15.20", "PostgreSQL ", "PostgreSQL x", "PostgreSQL 15.", "PostgreSQL 99999999999"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
