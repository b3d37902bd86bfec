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
    use tempfile::TempDir;

    /// A data directory of a server that crashed on timeline 2, with a checkpoint on timeline 1, and these files.
    fn directory(files: &[(&str, &str)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        let mut control = vec![0; 8192];
        let mut put = |at: usize, bytes: &[u8]| control[at..at + bytes.len()].copy_from_slice(bytes);
        put(8, &1300u32.to_le_bytes());
        put(16, &6u32.to_le_bytes());
        put(40, &0x140u64.to_le_bytes());
        put(48, &1u32.to_le_bytes());
        put(144, &2u32.to_le_bytes());
        let crc = crc32c::crc32c(&control[..288]);
        control[288..292].copy_from_slice(&crc.to_le_bytes());
        fs::create_dir(directory.path().join("global")).unwrap();
        fs::write(directory.path().join(ControlFile::PATH), control).unwrap();
        fs::write(directory.path().join("postgresql.conf"), "").unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        directory
    }

    fn read(files: &[(&str, &str)]) -> Result<DataDirectory> {
        DataDirectory::read(directory(files).path(), None)
    }

    #[test]
    fn a_backup_label_counts_before_the_control_file() {
        let data = read(&[]).unwrap();
        assert_eq!((data.redo(), data.timeline()), (Lsn::new(0x140), TimelineId::new(1)));
        let label = "START WAL LOCATION: 0/5000028 (file 000000030000000000000005)\nCHECKPOINT LOCATION: 0/5000060\n";
        let data = read(&[("backup_label", label)]).unwrap();
        assert_eq!((data.redo(), data.timeline()), (Lsn::new(0x500_0028), TimelineId::new(3)));
        assert!(read(&[("backup_label", "damaged")]).is_err());
    }

    #[test]
    fn the_timeline_is_the_latest_only_in_archive_recovery() {
        let target = |files: &[(&str, &str)]| read(files).unwrap().target_timeline().map_err(drop);
        let timeline = |number| Ok(Some(TimelineId::new(number)));
        let (signal, current) = (("recovery.signal", ""), ("postgresql.conf", "recovery_target_timeline = current"));
        assert_eq!(target(&[]), timeline(2));
        assert_eq!(target(&[current]), timeline(2));
        assert_eq!(target(&[signal]), Ok(None));
        assert_eq!(
            target(&[("standby.signal", ""), ("postgresql.conf", "recovery_target_timeline = latest")]),
            Ok(None)
        );
        assert_eq!(target(&[signal, current]), timeline(1));
        assert_eq!(target(&[signal, ("postgresql.auto.conf", "recovery_target_timeline = '7'"), current]), timeline(7));
        assert_eq!(target(&[signal, ("postgresql.conf", "recovery_target_timeline = x")]), Err(()));
    }

    #[test]
    fn targets_count_only_in_archive_recovery() {
        let settings = ("postgresql.conf", "recovery_target_time = '2026-01-02'\nrecovery_target_xid = ''");
        assert!(read(&[settings]).unwrap().targets().is_empty());
        assert_eq!(read(&[settings, ("recovery.signal", "")]).unwrap().targets(), ["recovery_target_time"]);
    }

    #[test]
    fn a_configuration_file_that_is_elsewhere_is_that_of_the_last_start() {
        let elsewhere = tempfile::tempdir().unwrap();
        let file = elsewhere.path().join("main.conf");
        fs::write(&file, "shared_preload_libraries = a").unwrap();
        let start = format!("/bin/postgres \"-c\" \"config_file={}\"\n", file.display());
        let data = directory(&[("postmaster.opts", &start)]);
        let libraries =
            |configuration_file| DataDirectory::read(data.path(), configuration_file).unwrap().preload_libraries();
        assert_eq!(libraries(None), ("a".to_owned(), Source::File(file.clone(), 1)));
        let other = data.path().join("postgresql.conf");
        assert_eq!(libraries(Some(&other)), (String::new(), Source::Default(other.clone())));
        fs::remove_file(&file).unwrap();
        assert_eq!(libraries(None), (String::new(), Source::Default(other.clone())));
        fs::remove_file(&other).unwrap();
        let error = DataDirectory::read(data.path(), None).unwrap_err();
        assert!(error.to_string().starts_with("could not open configuration file"), "{error}");
    }

    #[test]
    fn the_last_start_tells_its_command_line() {
        let line = "/usr/lib/postgresql/15/bin/postgres \"-D\" \"/data dir\" \"-c\" \"config_file=/etc/a.conf\" \
                    \"--shared-preload-libraries=a,b\" \"-cPort=1\" \"-i\"\n";
        let expected = [("config_file", "/etc/a.conf"), ("shared_preload_libraries", "a,b"), ("port", "1")];
        assert_eq!(settings_of_start(line), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(settings_of_start("/bin/postgres\n"), []);
    }
}
