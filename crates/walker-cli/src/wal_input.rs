//! The log that `--path`, `--pgdata`, `--start`, `--end` and `--timeline` name. Mirrors how
//! `src/bin/pg_waldump/pg_waldump.c` finds its directory, its first record and its end.

use std::env;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result, bail};
use pgwal::rmgr::xlog;
use pgwal::{
    DEFAULT_BLOCK_SIZE, Lsn, RawRecord, ReadError, Record, RecordHeader, RmgrId, SegmentName, SegmentNo, TimelineId,
    Version, Visit,
};
use pgwal::{PageHeader, max_align};
use walker_core::{FileSource, FileSourceOptions, LastRecord, Source, SourceError, WalDirectory, read_in_pieces};

use crate::arguments::{DamageArguments, WalArguments};
use crate::exit::{Hinted, system_message, tell, warn};
use crate::output::Output;
use crate::segment_range;

/// Where a data directory keeps its log (`XLOGDIR`).
const WAL_DIRECTORY: &str = "pg_wal";

/// The part of a log that was asked for.
#[derive(Debug)]
pub(crate) struct WalInput {
    source: FileSource,
    directory: PathBuf,
    segment_size: u32,
    start: Option<Lsn>,
    end: Option<Lsn>,
    first: Option<Lsn>,
    /// Timeline and major version of the first record.
    origin: Option<(TimelineId, Version)>,
    /// Whether a record that ends behind `end` was seen.
    end_reached: bool,
    /// How many parts of the log were lost.
    gaps: u64,
}

impl WalInput {
    /// Finds the directory and the first record.
    pub(crate) fn open(arguments: &WalArguments, damage: DamageArguments) -> Result<Self> {
        check_order(arguments)?;
        Self::open_together(&locate(arguments)?, &[], arguments, damage)
    }

    /// The first record of the log that lies in these directories together: see [`WalDirectory::open_together`].
    pub(crate) fn open_together(
        directory: &Path,
        others: &[&Path],
        arguments: &WalArguments,
        damage: DamageArguments,
    ) -> Result<Self> {
        let arguments = &with_segments(arguments, directory)?;
        check_order(arguments)?;
        let timeline = arguments.timeline.map(TimelineId::new);
        let explain = |error| Self::explain(error, directory);
        let wal_directory = WalDirectory::open_together(directory, others, timeline).map_err(explain)?;
        let segment_size = wal_directory.segment_size();
        let WalArguments { start, end, .. } = *arguments;
        let DamageArguments { skip_damage, no_verify_checksums } = damage;
        let verify_checksums = !no_verify_checksums;
        let options = FileSourceOptions { start, skip_damage, verify_checksums, ..Default::default() };
        let mut source = FileSource::new(&wal_directory, options);
        let first = source.peek().map_err(explain)?;
        if let (Some(start), None) = (start, first) {
            bail!("could not find a valid record after {start} in \"{}\"", directory.display());
        }
        let origin = source.reader().timeline().zip(source.reader().version());
        let directory = directory.to_owned();
        Ok(Self { source, directory, segment_size, start, end, first, origin, end_reached: false, gaps: 0 })
    }

    /// The timeline that was reached, if a page was read.
    pub(crate) fn timeline(&self) -> Option<TimelineId> {
        self.source.reader().timeline()
    }

    /// The installation whose log this is.
    pub(crate) fn system_identifier(&self) -> Option<u64> {
        self.source.reader().options().system_identifier
    }

    /// The directory that holds the segments; the first, if they are several.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Beginning of the first record; `None` if there is none.
    pub(crate) fn first(&self) -> Option<Lsn> {
        self.first
    }

    /// Where the next record is looked for.
    pub(crate) fn position(&self) -> Lsn {
        self.source.position()
    }

    /// Whether the end that was asked for is reached.
    pub(crate) fn end_is_reached(&self) -> bool {
        self.end_reached
    }

    /// Whether damage is skipped.
    pub(crate) fn skips_damage(&self) -> bool {
        self.source.options().skip_damage
    }

    /// The end that was asked for.
    pub(crate) fn end(&self) -> Option<Lsn> {
        self.end
    }

    /// Size of a segment in bytes.
    pub(crate) fn segment_size(&self) -> u32 {
        self.segment_size
    }

    /// Prints what `pg_waldump` says where the start is not the beginning of a record, nor of a segment: up to 16 on
    /// standard output, later on standard error.
    pub(crate) fn tell_skipped(&self, output: &mut Output) -> Result<()> {
        let Some(skipped) = self.skipped() else { return Ok(()) };
        match self.origin {
            Some((_, version)) if version >= Version::V17 => tell(&format!("walker: {skipped}")),
            _ => output.write(&skipped)?,
        }
        Ok(())
    }

    /// What `pg_waldump` says where the start is not the beginning of a record, nor of a segment.
    fn skipped(&self) -> Option<String> {
        let (start, first) = (self.start?, self.first?);
        let skipped = first.since(start);
        let plural = if skipped == 1 { "" } else { "s" };
        (skipped > 0 && start.offset_in(self.segment_size) != 0)
            .then(|| format!("first record is after {start}, at {first}, skipping over {skipped} byte{plural}\n"))
    }

    /// Gives the visitor the records that were asked for and are there now, not decoded, until it breaks. Returns
    /// whether it did. Errors are for the user; what was lost of the log is told as a warning.
    #[inline]
    pub(crate) fn for_each(&mut self, visitor: &mut impl Visit) -> Result<ControlFlow<()>> {
        let Self { source, directory, end_reached, gaps, .. } = self;
        let end = self.end.unwrap_or(Lsn::MAX);
        *end_reached |= source.position() >= end;
        if *end_reached {
            return Ok(ControlFlow::Continue(()));
        }
        let mut up_to = UpTo { end, reached: false, broken: ControlFlow::Continue(()), visitor };
        let outcome = source.for_each_raw_record(&mut up_to, |gap| {
            if gap.to < end {
                warn(&gap);
                *gaps += 1;
            }
        });
        *end_reached = up_to.reached;
        outcome.map(|_| up_to.broken).map_err(|error| Self::explain(error, directory))
    }

    /// Reads as much as it can in several threads, each piece of the log, of at most `largest` bytes, by a visitor of
    /// its own; `join` takes them in order, with the position that was reached. What is left comes by [`WalInput::for_each`].
    pub(crate) fn read_in_pieces<V: Visit + Send>(
        &mut self,
        jobs: usize,
        largest: u64,
        visitor: impl Fn() -> V + Sync,
        mut join: impl FnMut(V, Lsn) -> ControlFlow<()>,
    ) {
        let directory = self.source.directory().clone();
        let options = *self.source.options();
        let range = self.source.position()..self.end.unwrap_or(Lsn::MAX).min(directory.end());
        let join = |visitor, last: LastRecord| join(visitor, last.end);
        if let Some(last) = read_in_pieces(&directory, range, options, jobs, largest, visitor, join) {
            self.source = FileSource::behind(&directory, last, options);
        }
    }

    /// The error of a record that was found in `directory` but does not hold what it must.
    pub(crate) fn explain_content(error: ReadError, directory: &Path) -> Error {
        Self::explain(SourceError::Damaged { path: directory.to_owned(), cause: error }, directory)
    }

    /// The error of a source that reads `directory`, with a hint where one can help.
    pub(crate) fn explain(error: SourceError, directory: &Path) -> Error {
        match &error {
            SourceError::MissingSegment { .. } => {
                let oldest = WalDirectory::any_segment(directory).unwrap_or_default();
                Hinted::error(error.to_string(), format!("The oldest segment there is {oldest}."))
            }
            SourceError::NoSegments(_) => Hinted::error(
                format!("could not find any WAL file of that timeline in \"{}\"", directory.display()),
                format!("There is {}, for one.", WalDirectory::any_segment(directory).unwrap_or_default()),
            ),
            SourceError::Damaged { .. } => Error::msg(format!("could not read WAL: {error}")),
            _ => Error::new(error),
        }
    }

    /// To be called when there are no more records: that the log ends is an error only where more was asked for, or
    /// something was lost before.
    pub(crate) fn check_end(&self) -> Result<()> {
        match self.gaps {
            0 => {}
            1 => bail!("a part of the WAL was lost"),
            gaps => bail!("{gaps} parts of the WAL were lost"),
        }
        let Some(end) = self.end.filter(|_| !self.end_reached) else { return Ok(()) };
        let position = self.source.position();
        if end.since(position) < shortest_record(position) {
            return Ok(());
        }
        match self.source.end_reason() {
            Some(reason) => {
                let segment = SegmentNo::of(reason.lsn, self.segment_size);
                let timeline = self.source.reader().timeline().unwrap_or(TimelineId::new(1));
                let name = SegmentName::new(timeline, segment, self.segment_size).to_string();
                let path = self.directory.join(name);
                bail!("could not read WAL up to {end}: {reason}, in \"{}\"", path.display())
            }
            None => bail!("could not read WAL up to {end}: \"{}\" ends at {position}", self.directory.display()),
        }
    }
}

/// Gives on the records that do not go beyond `end`.
struct UpTo<'a, V> {
    end: Lsn,
    /// Whether there can be no more.
    reached: bool,
    /// What the visitor said last.
    broken: ControlFlow<()>,
    visitor: &'a mut V,
}

impl<V: Visit> Visit for UpTo<'_, V> {
    #[inline(always)]
    fn visit(&mut self, record: &RawRecord<'_>) -> ControlFlow<()> {
        let last = record.end >= self.end;
        if last {
            self.reached = true;
            if last_byte(*record) > self.end {
                return ControlFlow::Break(());
            }
        }
        self.broken = self.visitor.visit(record);
        if last { ControlFlow::Break(()) } else { self.broken }
    }
}

impl Source for WalInput {
    fn next_record<T>(&mut self, told: impl FnOnce(&Record<'_>) -> T) -> Result<Option<T>, SourceError> {
        let Self { source, directory, end_reached, .. } = self;
        let end = self.end.unwrap_or(Lsn::MAX);
        *end_reached |= source.position() >= end;
        if *end_reached {
            return Ok(None);
        }
        let Some(record) = source.next_raw_record()? else { return Ok(None) };
        if last_byte(record) > end {
            *end_reached = true;
            return Ok(None);
        }
        let damaged = |cause| SourceError::Damaged { path: directory.clone(), cause };
        record.decode().map(|record| Some(told(&record))).map_err(damaged)
    }
}

/// End of a record without the padding behind it.
fn last_byte(record: RawRecord<'_>) -> Lsn {
    let length = u64::from(record.header.total_len);
    if record.header.rmgr == RmgrId::XLOG && record.header.rmgr_info() == xlog::SWITCH {
        // It ends where the segment ends, whatever its length.
        return record.lsn.advanced(length);
    }
    Lsn::new(record.end.get().saturating_sub(max_align(length).saturating_sub(length)))
}

/// So many bytes are needed from here on for a record, together with the header of the page if one begins here.
fn shortest_record(position: Lsn) -> u64 {
    let page_header = if position.offset_in(DEFAULT_BLOCK_SIZE) == 0 { PageHeader::SIZE } else { 0 };
    (page_header + RecordHeader::SIZE) as u64
}

fn check_order(arguments: &WalArguments) -> Result<()> {
    match (arguments.start, arguments.end) {
        (Some(start), Some(end)) if end < start => {
            bail!("end WAL location {end} is before start WAL location {start}")
        }
        _ => Ok(()),
    }
}

/// The range that STARTSEG and ENDSEG name, if they are given.
fn with_segments(arguments: &WalArguments, directory: &Path) -> Result<WalArguments> {
    let segments = [&arguments.start_segment, &arguments.end_segment].into_iter().flatten();
    if arguments.start_segment.is_none() {
        return Ok(arguments.clone());
    }
    for segment in segments {
        segment_range::check_presence(segment, directory)?;
    }
    let sizes = WalDirectory::open(directory, None).map_err(|error| WalInput::explain(error, directory))?;
    segment_range::resolve(arguments, sizes.segment_size())
}

/// The directory that holds segments.
pub(crate) fn locate(arguments: &WalArguments) -> Result<PathBuf> {
    // The directory that STARTSEG is in counts where none is named otherwise.
    let beside =
        arguments.start_segment.as_deref().map(segment_range::split).transpose()?.and_then(|(beside, _)| beside);
    let beside = beside.filter(|_| arguments.path.is_none() && arguments.pgdata.is_none());
    let path = beside.as_ref().or(arguments.path.as_ref());
    let candidates = match (path, &arguments.pgdata) {
        (Some(path), _) => vec![path.clone(), path.join(WAL_DIRECTORY)],
        (None, Some(pgdata)) => vec![pgdata.join(WAL_DIRECTORY)],
        (None, None) => {
            let pgdata = env::var_os("PGDATA").map(PathBuf::from);
            let here = [PathBuf::from("."), PathBuf::from(WAL_DIRECTORY)];
            here.into_iter().chain(pgdata.map(|pgdata| pgdata.join(WAL_DIRECTORY))).collect()
        }
    };
    let given = path.or(arguments.pgdata.as_ref());
    if let Some(given) = given {
        check_directory(given)?;
    }
    let found = candidates.iter().find(|directory| WalDirectory::any_segment(directory).is_some()).cloned();
    found.ok_or_else(|| match given {
        Some(_) => {
            // What makes the directory unreadable tells more than that nothing was found.
            let unreadable = candidates.last().filter(|_| arguments.pgdata.is_some()).map(|last| check_directory(last));
            match unreadable {
                Some(Err(error)) => error,
                _ => Error::msg(format!("could not find any WAL file in \"{}\"", candidates[0].display())),
            }
        }
        None => Hinted::error("could not find any WAL file", "Name a directory by --path or --pgdata."),
    })
}

fn check_directory(directory: &Path) -> Result<()> {
    match fs::read_dir(directory) {
        Ok(_) => Ok(()),
        Err(cause) => {
            let message = format!("could not open directory \"{}\": {}", directory.display(), system_message(&cause));
            Err(match cause.kind() {
                std::io::ErrorKind::NotADirectory => Hinted::error(
                    message,
                    "Name the directory that holds the segments; a part of it is chosen by --start and --end.",
                ),
                std::io::ErrorKind::PermissionDenied => {
                    Hinted::error(message, "Run walker as the user that owns the data directory.")
                }
                std::io::ErrorKind::NotFound if directory.ends_with("pg_wal") => Hinted::error(
                    message,
                    "--pgdata names a server's data directory; a directory of segments, such as an archive, is named by --path.",
                ),
                _ => Error::msg(message),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(path: &Path) -> WalArguments {
        WalArguments { path: Some(path.to_owned()), ..WalArguments::default() }
    }

    fn failure(arguments: &WalArguments) -> String {
        format!("{:#}", WalInput::open(arguments, DamageArguments::default()).unwrap_err())
    }

    #[test]
    fn a_missing_directory_is_named() {
        let message = failure(&arguments(Path::new("/nowhere/at/all")));
        assert_eq!(message, "could not open directory \"/nowhere/at/all\": No such file or directory");
    }

    #[test]
    fn a_file_is_not_a_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(failure(&arguments(file.path())).ends_with(": Not a directory"));
    }

    #[test]
    fn an_empty_directory_has_no_wal() {
        let directory = tempfile::tempdir().unwrap();
        assert!(failure(&arguments(directory.path())).starts_with("could not find any WAL file in"));
        let data = WalArguments { path: None, pgdata: Some(directory.path().to_owned()), ..arguments(Path::new("")) };
        assert!(failure(&data).contains("pg_wal\": No such file or directory"));
    }

    #[test]
    fn an_end_before_the_start_is_refused() {
        let range = WalArguments { start: Some(Lsn::new(9)), end: Some(Lsn::new(8)), ..arguments(Path::new(".")) };
        assert_eq!(failure(&range), "end WAL location 0/8 is before start WAL location 0/9");
    }

    #[test]
    fn the_position_behind_a_page_header_is_where_the_page_ended() {
        assert_eq!(shortest_record(Lsn::new(8192)), 48);
        assert_eq!(shortest_record(Lsn::new(8192 + 24)), 24);
    }
}
