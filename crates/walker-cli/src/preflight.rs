//! `walker preflight`: whether recovery will find the custom resource managers that the WAL needs.
//!
//! A server that meets a record of a resource manager that no library of `shared_preload_libraries` has registered stops
//! (`src/backend/access/transam/rmgr.c`: `RmgrNotFound`), and does so at each start.

mod configuration;
mod data_directory;
mod libraries;
mod needed;
mod report;
mod scanner;
mod verdict;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use pgwal::Lsn;

use crate::arguments::{DamageArguments, FilterArguments, Format, PreflightArguments, WalArguments};
use crate::exit::{Exit, Hinted};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::scan::scan;
use crate::segment_range;
use crate::wal_input::{WalInput, locate};
use data_directory::{DataDirectory, Source};
use needed::Needed;
use report::{Report, Settings, Wal};
use verdict::Verdict;

pub(crate) use verdict::Provides;

/// `walker preflight`.
pub(crate) fn run(arguments: &PreflightArguments) -> Result<Exit> {
    let mut output = Output::lock();
    let interrupt = Interrupt::watch()?;
    let data = arguments.pgdata.as_deref();
    let data = data.map(|path| DataDirectory::read(path, arguments.config_file.as_deref())).transpose()?;
    let settings = settings(arguments, data.as_ref())?;
    let (directories, range) = wal(arguments, data.as_ref())?;
    let mut input = open(&directories, &range, data.as_ref())?;

    let mut needed = Needed::default();
    let filter = FilterArguments { jobs: arguments.jobs, ..FilterArguments::default() };
    // What was found before damage is shown nevertheless.
    let outcome = scan(&mut input, &filter, &mut needed);
    let missing = missing(arguments, data.as_ref(), input.position());
    let wal = Wal {
        directories: directories.iter().map(|path| path.display().to_string()).collect(),
        timeline: input.timeline().map(pgwal::TimelineId::get),
        start: input.first().unwrap_or_default().to_string(),
        end: input.position().to_string(),
        redo: data.as_ref().map(|data| report::Redo { lsn: data.redo().to_string(), file: data.redo_file() }),
        records: needed.records,
        is_whole: outcome.is_ok()
            && !interrupt.is_requested()
            && missing.is_none()
            && !more_is_fetched(arguments, data.as_ref()),
    };
    let mut notes = notes(arguments, data.as_ref());
    notes.extend(missing);
    let report = Report::new(wal, &needed, settings, &arguments.provides, notes);
    match arguments.format {
        Format::Text => output.write(&report.to_text())?,
        Format::Json => output.write_json(&report)?,
    }
    output.finish()?;
    outcome?;
    if interrupt.is_requested() {
        bail!("interrupted before the end of the WAL");
    }
    Ok(match report.verdict() {
        Verdict::Ready => Exit::Success,
        Verdict::NotReady => Exit::Failure,
        Verdict::Unknown => Exit::Undecided,
    })
}

/// The setting, if it is known: as the command line says, or the data directory.
fn settings(arguments: &PreflightArguments, data: Option<&DataDirectory>) -> Result<Option<Settings>> {
    let (value, source) = match (&arguments.shared_preload_libraries, data) {
        (Some(value), _) => (value.clone(), Source::Argument),
        (None, Some(data)) => data.preload_libraries(),
        (None, None) => return Ok(None),
    };
    Ok(Some(Settings::new(value, source)))
}

/// The directories that hold the WAL, and which part of it is to be looked at.
fn wal(arguments: &PreflightArguments, data: Option<&DataDirectory>) -> Result<(Vec<PathBuf>, WalArguments)> {
    let PreflightArguments { start, end, timeline, .. } = *arguments;
    let mut range = WalArguments { start, end, timeline, ..WalArguments::default() };
    let mut directories = Vec::new();
    if let Some(path) = &arguments.path {
        if path.is_dir() || segment_range::split(path).is_err() {
            directories.push(locate(&WalArguments { path: Some(path.clone()), ..WalArguments::default() })?);
        } else if data.is_some() {
            let message = format!("\"{}\" is not a directory", path.display());
            return Err(Hinted::error(message, "With --pgdata, PATH is the directory of the WAL archive."));
        } else {
            range.start_segment = Some(path.clone());
            directories.push(locate(&range)?);
        }
    }
    let Some((data, pgdata)) = data.zip(arguments.pgdata.clone()) else { return Ok((directories, range)) };
    // The archive may be all there is, and the other way round.
    match locate(&WalArguments { pgdata: Some(pgdata), ..WalArguments::default() }) {
        Ok(directory) => directories.push(directory),
        Err(_) if !directories.is_empty() => {}
        Err(error) => return Err(begins(error, data)),
    }
    range.start = range.start.or(Some(data.redo()));
    let target = data.target_timeline()?.map(pgwal::TimelineId::get);
    range.timeline = range.timeline.or(target);
    Ok((directories, range))
}

fn open(directories: &[PathBuf], range: &WalArguments, data: Option<&DataDirectory>) -> Result<WalInput> {
    let paths: Vec<&Path> = directories.iter().map(PathBuf::as_path).collect();
    let (first, others) = paths.split_first().context("there is no directory to look into")?;
    let input = WalInput::open_together(first, others, range, DamageArguments::default());
    let Some(data) = data else { return input };
    let input = input.map_err(|error| begins(error, data))?;
    let expected = data.control.system_identifier;
    match input.system_identifier() {
        Some(found) if found != expected => bail!(
            "the WAL in \"{}\" is of another database system: its identifier is {found}, that of the data directory {expected}",
            first.display()
        ),
        _ => Ok(input),
    }
}

/// Adds where recovery begins to an error about WAL that cannot be found.
fn begins(error: anyhow::Error, data: &DataDirectory) -> anyhow::Error {
    let hint = format!(
        "Recovery begins at {} on timeline {}, as {} says: name the directory that holds the WAL from there on as PATH.",
        data.redo(),
        data.timeline(),
        data.redo_file()
    );
    Hinted::error(format!("{error:#}"), hint)
}

/// Whether recovery will read WAL of an archive that was not named.
fn more_is_fetched(arguments: &PreflightArguments, data: Option<&DataDirectory>) -> bool {
    let fetches = data.is_some_and(|data| data.signal.is_some() && data.is_set("restore_command"));
    fetches && arguments.path.is_none() && arguments.end.is_none()
}

/// What is to be said if the WAL ends before that which the data files have seen: a server does not accept connections
/// before it has replayed so much.
fn missing(arguments: &PreflightArguments, data: Option<&DataDirectory>, position: Lsn) -> Option<String> {
    let needed = data?.control.min_recovery_point;
    let ends_before = arguments.end.is_none() && position < needed;
    ends_before.then(|| format!("The WAL ends at {position}; recovery needs it up to {needed} at least."))
}

/// What the answer does not consider.
fn notes(arguments: &PreflightArguments, data: Option<&DataDirectory>) -> Vec<String> {
    let mut notes = Vec::new();
    let Some(data) = data else {
        let path = arguments.path.as_deref().unwrap_or(Path::new(""));
        if path.join(pgwal::ControlFile::PATH).exists() {
            notes.push(format!(
                "\"{0}\" is a data directory: --pgdata \"{0}\" looks at its settings and where recovery begins.",
                path.display()
            ));
        }
        return notes;
    };
    if data.needs_no_recovery() {
        notes.push("The server was stopped in order: it needs no recovery.".to_owned());
    }
    if more_is_fetched(arguments, Some(data)) {
        notes.push(
            "restore_command will bring more WAL, which was not looked at: name the directory of the archive as PATH."
                .to_owned(),
        );
    }
    if data.signal == Some("standby.signal") && data.is_set("primary_conninfo") {
        notes.push("The primary will send more WAL, which was not looked at.".to_owned());
    }
    if arguments.end.is_none() {
        let targets = data.targets().into_iter();
        notes.extend(targets.map(|target| format!("{target} is set: recovery may end before; see --end.")));
    }
    notes
}
