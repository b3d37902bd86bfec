//! The range of the log that STARTSEG and ENDSEG name. Mirrors the part of `main` in
//! `src/bin/pg_waldump/pg_waldump.c` that parses files as boundaries.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, Result, bail};
use pgwal::{Lsn, SegmentName, SegmentNo};

use crate::arguments::WalArguments;
use crate::exit::Hinted;

/// Directory and name of a segment's file as the user wrote it; without a slash there is no directory.
pub(crate) fn split(path: &Path) -> Result<(Option<PathBuf>, SegmentName)> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // Behind a dot there may be how the file is compressed, or that it is partial.
    let base = name.split('.').next().unwrap_or_default();
    let segment = base.parse().map_err(Error::new)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok((directory.map(Path::to_owned), segment))
}

/// Turns the segments that were named, in a directory where segments have `segment_size` bytes, into start, end and
/// timeline.
///
/// # Errors
/// If the segments or the locations contradict each other.
pub(crate) fn resolve(arguments: &WalArguments, segment_size: u32) -> Result<WalArguments> {
    let Some(start_path) = &arguments.start_segment else { return Ok(arguments.clone()) };
    let (_, first) = split(start_path)?;
    let end_path = arguments.end_segment.as_ref().unwrap_or(start_path);
    let (_, last) = split(end_path)?;
    let [first_number, last_number] = [first, last].map(|name| name.number(segment_size));
    if last_number < first_number {
        bail!("ENDSEG {} is before STARTSEG {}", end_path.display(), start_path.display());
    }
    let within = |lsn: Lsn, number: SegmentNo| SegmentNo::of(lsn, segment_size) == number;
    let limit = last_number.next().start(segment_size);
    let start = arguments.start.unwrap_or_else(|| first_number.start(segment_size));
    if !within(start, first_number) {
        bail!("start WAL location {start} is not inside file \"{first}\"");
    }
    let end = arguments.end.unwrap_or(limit);
    if !within(end, last_number) && end != limit {
        bail!("end WAL location {end} is not inside file \"{}\"", end_path.display());
    }
    // As in pg_waldump, the name has precedence over --timeline.
    let timeline = Some(last.timeline.get());
    Ok(WalArguments { start: Some(start), end: Some(end), timeline, ..arguments.clone() })
}

/// Refuses a segment that is not in the directory, under whatever ending.
pub(crate) fn check_presence(path: &Path, directory: &Path) -> Result<()> {
    let (_, segment) = split(path)?;
    let name = segment.to_string();
    let entries =
        directory.read_dir().with_context(|| format!("could not open directory \"{}\"", directory.display()))?;
    let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    if names.any(|found| found.split('.').next() == Some(&name)) {
        return Ok(());
    }
    Err(Hinted::error(
        format!("could not locate WAL file \"{name}\""),
        format!("It was looked for in \"{}\".", directory.display()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u32 = 1 << 20;

    fn arguments(segments: &[&str], start: Option<u64>, end: Option<u64>) -> WalArguments {
        WalArguments {
            start_segment: segments.first().map(PathBuf::from),
            end_segment: segments.get(1).map(PathBuf::from),
            start: start.map(Lsn::new),
            end: end.map(Lsn::new),
            ..WalArguments::default()
        }
    }

    fn range(segments: &[&str], start: Option<u64>, end: Option<u64>) -> Result<(u64, u64, u32), String> {
        let range = resolve(&arguments(segments, start, end), SIZE).map_err(|error| error.to_string())?;
        Ok((range.start.unwrap().get(), range.end.unwrap().get(), range.timeline.unwrap()))
    }

    #[test]
    fn segments_are_boundaries_unless_locations_are_given() {
        let (two, four) = ("dir/000000030000000000000002", "000000030000000000000004.gz");
        assert_eq!(range(&[two], None, None), Ok((0x20_0000, 0x30_0000, 3)));
        assert_eq!(range(&[two, four], None, None), Ok((0x20_0000, 0x50_0000, 3)));
        assert_eq!(range(&[two, four], Some(0x20_0100), Some(0x40_0100)), Ok((0x20_0100, 0x40_0100, 3)));
        assert_eq!(range(&[two], None, Some(0x30_0000)), Ok((0x20_0000, 0x30_0000, 3)));
    }

    #[test]
    fn contradictions_are_refused_in_the_words_of_pg_waldump() {
        let (two, four) = ("000000030000000000000002", "dir/000000030000000000000004");
        for (segments, start, end, expected) in [
            (
                vec![four, two],
                None,
                None,
                "ENDSEG 000000030000000000000002 is before STARTSEG dir/000000030000000000000004",
            ),
            (
                vec![two],
                Some(0x30_0000),
                None,
                "start WAL location 0/300000 is not inside file \"000000030000000000000002\"",
            ),
            (
                vec![two],
                None,
                Some(0x10_0000),
                "end WAL location 0/100000 is not inside file \"000000030000000000000002\"",
            ),
            (
                vec![two, four],
                None,
                Some(0x20_0100),
                "end WAL location 0/200100 is not inside file \"dir/000000030000000000000004\"",
            ),
            (vec!["dir/none"], None, None, "\"none\" is not the name of a WAL segment"),
        ] {
            assert_eq!(range(&segments, start, end).unwrap_err(), expected);
        }
    }

    #[test]
    fn without_segments_nothing_changes() {
        let range = resolve(&arguments(&[], Some(7), None), SIZE).unwrap();
        assert_eq!((range.start, range.end, range.timeline), (Some(Lsn::new(7)), None, None));
    }

    #[test]
    fn a_segment_may_be_there_compressed() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("000000010000000000000002.zst"), "").unwrap();
        check_presence(Path::new("000000010000000000000002"), directory.path()).unwrap();
        let error = check_presence(Path::new("000000010000000000000003"), directory.path()).unwrap_err();
        assert_eq!(error.to_string(), "could not locate WAL file \"000000010000000000000003\"");
    }
}
