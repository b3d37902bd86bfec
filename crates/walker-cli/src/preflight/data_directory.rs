//! What a data directory says of its next start: where recovery begins, on which timeline, and which libraries are loaded.
//!
//! Mirrors `InitWalRecovery` (`src/backend/access/transam/xlogrecovery.c`): `backup_label` counts before `pg_control`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, Result};
use pgwal::{BackupLabel, ControlFile, DatabaseState, Lsn, TimelineId};

use super::configuration::Configuration;
use crate::exit::{Hinted, system_message};

/// What asks for archive recovery: the WAL is fetched by `restore_command` or from a primary.
const SIGNAL_FILES: [&str; 2] = ["standby.signal", "recovery.signal"];
/// The command line of the last start (`CreateOptsFile`).
const OPTIONS_FILE: &str = "postmaster.opts";
/// Settings that end recovery before the WAL ends.
const TARGETS: [&str; 5] =
    ["recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid"];

/// Where a setting was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// In a file, in this line.
    File(PathBuf, usize),
    /// Nowhere in these files: it has its default.
    Default(PathBuf),
    /// On the command line of the server's last start, as this file tells.
    LastStart(PathBuf),
    /// On the command line of this program.
    Argument,
}

/// What is said of the next start.
#[derive(Debug)]
pub(super) struct DataDirectory {
    path: PathBuf,
    pub(super) control: ControlFile,
    pub(super) label: Option<BackupLabel>,
    /// The signal file that is there.
    pub(super) signal: Option<&'static str>,
    configuration: Configuration,
    configuration_file: PathBuf,
    last_start: Vec<(String, String)>,
}

impl DataDirectory {
    /// Reads the files of `path`. The settings are in `configuration_file`, or where the last start found them, or in `path`.
    ///
    /// # Errors
    /// If a file that must be there cannot be read, or a server would not start with it.
    pub(super) fn read(path: &Path, configuration_file: Option<&Path>) -> Result<Self> {
        let control_path = path.join(ControlFile::PATH);
        let control = fs::read(&control_path).map_err(|cause| {
            let message = format!("could not open file \"{}\": {}", control_path.display(), system_message(&cause));
            match cause.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    Hinted::error(message, "Name a data directory by --pgdata, and a directory of WAL without it.")
                }
                io::ErrorKind::PermissionDenied => {
                    Hinted::error(message, "Run walker as the user that owns the data directory.")
                }
                _ => Error::msg(message),
            }
        })?;
        let control = ControlFile::parse(&control)
            .with_context(|| format!("could not understand file \"{}\"", control_path.display()))?;
        let label_path = path.join(BackupLabel::FILE_NAME);
        let label = read_if_exists(&label_path)?.map(|content| BackupLabel::parse(&content)).transpose();
        let label = label.with_context(|| format!("invalid data in file \"{}\"", label_path.display()))?;
        let signal = SIGNAL_FILES.into_iter().find(|name| path.join(name).exists());
        let last_start = read_if_exists(&path.join(OPTIONS_FILE))?.map(|line| settings_of_start(&line));
        let last_start = last_start.unwrap_or_default();

        let of_start = last_start.iter().rev().find(|(name, _)| name == "config_file").map(|(_, file)| path.join(file));
        let named = configuration_file.map(Path::to_owned).or(of_start.filter(|file| file.exists()));
        let configuration_file = named.unwrap_or_else(|| path.join("postgresql.conf"));
        let configuration = Configuration::read(&configuration_file, path).map_err(|error| {
            let message = error.to_string();
            if configuration_file.exists() {
                return Error::new(error);
            }
            Hinted::error(message, "Name the file by --config-file; Debian keeps it in /etc/postgresql.")
        })?;
        let path = path.to_owned();
        Ok(Self { path, control, label, signal, configuration, configuration_file, last_start })
    }

    /// Where redo begins.
    pub(super) fn redo(&self) -> Lsn {
        self.label.map_or(self.control.redo, |label| label.start)
    }

    /// The file that says where redo begins.
    pub(super) fn redo_file(&self) -> &'static str {
        if self.label.is_some() { BackupLabel::FILE_NAME } else { ControlFile::PATH }
    }

    /// The timeline on which redo begins.
    pub(super) fn timeline(&self) -> TimelineId {
        self.label.map_or(self.control.timeline, |label| label.timeline)
    }

    /// Whether the server was stopped in order, and recovery has nothing to do.
    pub(super) fn needs_no_recovery(&self) -> bool {
        self.control.state == DatabaseState::ShutDown && self.label.is_none() && self.signal.is_none()
    }

    /// The timeline that recovery is to come to; `None` is the latest there is.
    ///
    /// # Errors
    /// If `recovery_target_timeline` is none.
    pub(super) fn target_timeline(&self) -> Result<Option<TimelineId>> {
        let target = self.value("recovery_target_timeline").filter(|_| self.signal.is_some());
        match target.as_deref() {
            // Without a signal file the setting does not count.
            None if self.signal.is_none() => Ok(Some(self.control.recovery_timeline())),
            None | Some("latest" | "") => Ok(None),
            Some("current") => Ok(Some(self.timeline())),
            Some(number) => {
                let parsed = number.parse().ok().filter(|number| *number > 0).map(TimelineId::new);
                let message = || format!("recovery_target_timeline is not a valid number: \"{number}\"");
                parsed.map(Some).with_context(message)
            }
        }
    }

    /// The value of `shared_preload_libraries`, and where it was found.
    pub(super) fn preload_libraries(&self) -> (String, Source) {
        const NAME: &str = "shared_preload_libraries";
        if let Some(value) = self.of_last_start(NAME) {
            return (value.to_owned(), Source::LastStart(self.path.join(OPTIONS_FILE)));
        }
        match self.configuration.get(NAME) {
            Some(setting) => (setting.value.clone(), Source::File(setting.file.clone(), setting.line)),
            None => (String::new(), Source::Default(self.configuration_file.clone())),
        }
    }

    /// The settings that end recovery before the WAL ends.
    pub(super) fn targets(&self) -> Vec<&'static str> {
        TARGETS.into_iter().filter(|name| self.signal.is_some() && self.is_set(name)).collect()
    }

    /// Whether the setting has a value that is not empty.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| !value.is_empty())
    }

    fn value(&self, name: &str) -> Option<String> {
        let in_files = || self.configuration.get(name).map(|setting| setting.value.clone());
        self.of_last_start(name).map(str::to_owned).or_else(in_files)
    }

    fn of_last_start(&self, name: &str) -> Option<&str> {
        self.last_start.iter().rev().find(|(set, _)| set == name).map(|(_, value)| value.as_str())
    }
}

fn read_if_exists(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(String::from_utf8_lossy(&content).into_owned())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => {
            Err(Error::msg(format!("could not open file \"{}\": {}", path.display(), system_message(&cause))))
        }
    }
}

/// The settings of a line as `CreateOptsFile` (`src/backend/postmaster/postmaster.c`) writes it: the program, then each
/// argument in double quotes.
fn settings_of_start(line: &str) -> Vec<(String, String)> {
    let mut arguments = line.split('"').skip(1).step_by(2);
    let mut settings = Vec::new();
    while let Some(argument) = arguments.next() {
        // As `ParseLongOption`; -c may have its value behind it or in the next argument.
        let setting = match (argument.strip_prefix("--"), argument.strip_prefix("-c")) {
            (Some(setting), _) => Some(setting),
            (None, Some("")) => arguments.next(),
            (None, setting) => setting,
        };
        if let Some((name, value)) = setting.and_then(|setting| setting.split_once('=')) {
            settings.push((name.replace('-', "_").to_ascii_lowercase(), value.to_owned()));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_start_tells_its_command_line() {
        let line = "/usr/lib/postgresql/15/bin/postgres \"-D\" \"/data dir\" \"-c\" \"config_file=/etc/a.conf\" \
                    \"--shared-preload-libraries=a,b\" \"-cPort=1\" \"-i\"\n";
        let expected = [("config_file", "/etc/a.conf"), ("shared_preload_libraries", "a,b"), ("port", "1")];
        assert_eq!(settings_of_start(line), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(settings_of_start("/bin/postgres\n"), []);
    }
}
