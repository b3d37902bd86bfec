//! Damaged logs: `walker dump` reads as far as `pg_waldump`, and says of the same place that it cannot go on.

mod waldump;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use pgwal::{Lsn, SegmentName};
use tempfile::TempDir;
use waldump::{Outcome, copy_files, lsn_of, ours, segments, small_segments, theirs};
use walker_testing::{Mode, temporary_directory};

const SEGMENT_SIZE: u32 = 1 << 20;
const PAGE_SIZE: u32 = 8192;
/// How many bytes are changed, and how many files are cut.
const FLIPS: u64 = 200;
const CUTS: u64 = 60;

/// Records of all sizes: within a page, over the end of one, over several.
const LOAD: &str = "
    CREATE TABLE t (id int, r text);
    INSERT INTO t SELECT g, repeat('x', (g * g) % 1900) FROM generate_series(1, 1500) g;
    SELECT count(pg_logical_emit_message(true, 'some', repeat('y', g * 1500))) FROM generate_series(1, 40) g;
    UPDATE t SET id = id + 1;";

/// The log of a server that does not run any more.
struct Archive {
    directory: TempDir,
    /// Segments of it that are full.
    full: Vec<String>,
    start: String,
    /// What `pg_waldump` says of it as it is.
    whole: String,
}

impl Archive {
    fn new() -> Result<Self> {
        let mut cluster = small_segments()?.start()?;
        cluster.psql("postgres", LOAD)?;
        cluster.stop(Mode::Fast)?;
        let directory = temporary_directory()?;
        copy_files(&cluster.wal_directory(), directory.path())?;
        // The last files are those in which the log ends, and what was made for later.
        let all = segments(directory.path())?;
        let first: SegmentName = all[0].parse()?;
        let start = format!("--start={}", first.start(SEGMENT_SIZE));
        let outcome = theirs(directory.path(), &[&start])?;
        let last = outcome.stdout.lines().last().and_then(lsn_of).context("no record")?;
        let is_full = |name: &&String| {
            name.parse::<SegmentName>().is_ok_and(|name| name.start(SEGMENT_SIZE) < last.floor(SEGMENT_SIZE))
        };
        let full: Vec<_> = all.iter().filter(is_full).cloned().collect();
        ensure!(full.len() >= 4, "only {} segments are full", full.len());
        Ok(Self { directory, full, start, whole: outcome.stdout })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self, number: u64) -> (PathBuf, Lsn) {
        let name = &self.full[usize::try_from(number).unwrap_or_default() % self.full.len()];
        let begin = name.parse::<SegmentName>().map_or(Lsn::INVALID, |name| name.start(SEGMENT_SIZE));
        (self.path().join(name), begin)
    }

    /// What both programs say of the log as it is now. For ours, all of it must be there: the end is an error too, as
    /// it always is for `pg_waldump`.
    fn read(&self) -> Result<(Outcome, Outcome)> {
        let ours = ours(self.path(), &[&self.start, "--end=FFFFFFF/0"])?;
        Ok((ours, theirs(self.path(), &[&self.start])?))
    }
}

/// Numbers that look random and are the same each time (SplitMix64).
fn random(seed: u64) -> u64 {
    let mut number = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// Where `pg_waldump` could not read on: `... at 0/1234`, or `... in log segment 0000..., offset 8192`; from 16 on
/// `... in WAL segment 0000..., LSN 0/1234, offset 8192`.
fn their_place(message: &str) -> Option<Lsn> {
    if let Some((_, place)) = message.split_once("in log segment ").or_else(|| message.split_once("in WAL segment ")) {
        let (name, offset) = place.rsplit_once(", offset ")?;
        let begin = name.get(..24)?.parse::<SegmentName>().ok()?.start(SEGMENT_SIZE);
        return Some(begin.advanced(offset.trim().parse().ok()?));
    }
    // Behind the record that was read last: the place of the error itself.
    let (_, cause) = message.split_once("error in WAL record at ")?.1.split_once(": ")?;
    let words: Vec<_> = cause.split([' ', ':', '\n']).collect();
    words.windows(2).find_map(|pair| ["at", "by"].contains(&pair[0]).then(|| pair[1].parse().ok())?)
}

/// Where walker could not read on: `... at 0/1234, in "..."`.
fn our_place(message: &str) -> Option<Lsn> {
    let message = message.lines().next()?;
    let (before, _) = message.rsplit_once(", in \"")?;
    before.rsplit_once(" at ")?.1.parse().ok()
}

#[test]
fn a_changed_byte_is_found_at_the_same_place() -> Result<()> {
    let archive = Archive::new()?;
    let mut differences = Vec::new();
    for seed in 0..FLIPS {
        let (path, begin) = archive.file(random(seed) >> 8);
        let content = fs::read(&path)?;
        // Every third in a page's header: those are rare else. The sizes in a segment's first page are another matter:
        // pg_waldump does not begin without them.
        let mut offset = random(seed + 1_000_000) % u64::from(SEGMENT_SIZE);
        if seed % 3 == 0 {
            offset = offset / u64::from(PAGE_SIZE) * u64::from(PAGE_SIZE) + random(seed + 2_000_000) % 24;
        }
        if offset < 40 {
            continue;
        }
        let mut changed = content.clone();
        changed[usize::try_from(offset)?] ^= 1 << (random(seed + 3_000_000) % 8);
        fs::write(&path, &changed)?;
        let (our, their) = archive.read()?;
        fs::write(&path, &content)?;
        let position = begin.advanced(offset);
        if our.stdout != their.stdout
            || our_place(&our.stderr) != their_place(&their.stderr)
            || our.success
            || their.success
        {
            let last = |outcome: &Outcome| outcome.stdout.lines().last().and_then(lsn_of);
            differences.push(format!(
                "{position}: last record {:?} and {:?}\n  {}\n  {}",
                last(&our),
                last(&their),
                our.stderr.trim(),
                their.stderr.trim()
            ));
        }
    }
    ensure!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

#[test]
fn a_file_that_is_cut_ends_at_the_same_place() -> Result<()> {
    let archive = Archive::new()?;
    for seed in 0..CUTS {
        let (path, begin) = archive.file(random(seed) >> 8);
        let content = fs::read(&path)?;
        let mut length = random(seed + 4_000_000) % u64::from(SEGMENT_SIZE);
        if seed % 2 == 0 {
            length -= length % u64::from(PAGE_SIZE);
        }
        if begin == archive.file(0).1 && length < 40 {
            continue;
        }
        fs::write(&path, &content[..usize::try_from(length)?])?;
        let (our, their) = archive.read()?;
        fs::write(&path, &content)?;
        let cut = begin.advanced(length);
        ensure!(!our.success && !their.success, "{cut}: no error\n{}\n{}", our.stderr, their.stderr);
        // pg_waldump reads whole pages only: what begins on the page that is cut is read by us alone.
        let more = our.stdout.strip_prefix(&their.stdout);
        let more = more.with_context(|| format!("{cut}: pg_waldump read more\n{}\n{}", our.stderr, their.stderr))?;
        for line in more.lines() {
            let lsn = lsn_of(line).context("no LSN")?;
            ensure!(lsn < cut && archive.whole.contains(line), "{cut}: {line}");
            ensure!(!length.is_multiple_of(u64::from(PAGE_SIZE)), "{cut}: {line}");
        }
        let name = path.file_name().context("no name")?.to_string_lossy().into_owned();
        ensure!(our.stderr.contains(&name) && their.stderr.contains(&name), "{}\n{}", our.stderr, their.stderr);
    }
    Ok(())
}

#[test]
fn a_page_without_content_is_the_end_only_if_none_follows() -> Result<()> {
    let archive = Archive::new()?;
    ensure!(ours(archive.path(), &[&archive.start])?.text()? == archive.whole, "the log ends without an error");
    let (path, begin) = archive.file(2);
    let content = fs::read(&path)?;
    for (offset, length) in [(8 * PAGE_SIZE, PAGE_SIZE), (9 * PAGE_SIZE, 2), (100_000, 5000)] {
        let (offset, length) = (offset as usize, length as usize);
        let mut changed = content.clone();
        changed[offset..offset + length].fill(0);
        fs::write(&path, &changed)?;
        let (our, their) = (ours(archive.path(), &[&archive.start])?, theirs(archive.path(), &[&archive.start])?);
        fs::write(&path, &content)?;
        let position = begin.advanced(offset as u64);
        ensure!(!our.success && our.stdout == their.stdout, "{position}\n{}\n{}", our.stderr, their.stderr);
        let (our_place, their_place) = (our_place(&our.stderr), their_place(&their.stderr));
        ensure!(our_place.is_some() && our_place == their_place, "{position}\n{}\n{}", our.stderr, their.stderr);
    }
    Ok(())
}

#[test]
fn behind_damage_reading_goes_on_if_asked_to() -> Result<()> {
    let archive = Archive::new()?;
    let end = archive.whole.lines().last().and_then(lsn_of).context("no record")?;
    let options = [archive.start.clone(), format!("--end={}", end), "--skip-damage".to_owned()];
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let whole = ours(archive.path(), &options[..2])?.text()?;
    ensure!(ours(archive.path(), &options)?.text()? == whole, "without damage it must make no difference");
    for seed in 0..40 {
        let (path, begin) = archive.file(random(seed) >> 8);
        let content = fs::read(&path)?;
        let offset = 40 + random(seed + 5_000_000) % u64::from(SEGMENT_SIZE - 40);
        let mut changed = content.clone();
        changed[usize::try_from(offset)?] ^= 0x10;
        fs::write(&path, &changed)?;
        let outcome = ours(archive.path(), &options)?;
        fs::write(&path, &content)?;
        let position = begin.advanced(offset);
        // A byte that no checksum covers is not missed.
        if outcome.success {
            ensure!(outcome.stdout == whole && outcome.stderr.is_empty(), "{position}");
            continue;
        }
        ensure!(outcome.stderr.contains("walker: warning: lost WAL from "), "{position}: {}", outcome.stderr);
        ensure!(
            outcome.stderr.ends_with("walker: error: a part of the WAL was lost\n"),
            "{position}: {}",
            outcome.stderr
        );
        let lost: Vec<_> = missing_lines(&whole, &outcome.stdout).with_context(|| format!("{position}"))?;
        ensure!(!lost.is_empty() && lost.len() < 200, "{position}: {} records lost", lost.len());
        let near = |line: &&str| {
            lsn_of(line).is_some_and(|lsn| lsn.since(position) < 100_000 && position.since(lsn) < 100_000)
        };
        ensure!(lost.iter().all(near), "{position}: lost {lost:?}");
    }
    Ok(())
}

/// The lines of `all` that `some` does not have; an error if `some` has others.
fn missing_lines<'a>(all: &'a str, some: &str) -> Result<Vec<&'a str>> {
    let mut found = some.lines().peekable();
    let missing: Vec<_> = all.lines().filter(|line| found.next_if_eq(line).is_none()).collect();
    match found.next() {
        Some(other) => anyhow::bail!("never written: {other}"),
        None => Ok(missing),
    }
}

#[test]
fn a_missing_or_cut_segment_is_skipped_if_asked_for() -> Result<()> {
    let archive = Archive::new()?;
    let (path, begin) = archive.file(1);
    let content = fs::read(&path)?;
    let next = begin.advanced(u64::from(SEGMENT_SIZE));
    let name = path.file_name().context("no name")?.to_string_lossy().into_owned();
    for length in [None, Some(500_000), Some(0)] {
        match length {
            None => fs::remove_file(&path)?,
            Some(length) => fs::write(&path, &content[..length])?,
        }
        let refused = ours(archive.path(), &[&archive.start])?;
        ensure!(!refused.success && refused.stderr.contains(&name), "{length:?}: {}", refused.stderr);
        let outcome = ours(archive.path(), &[&archive.start, "--skip-damage"])?;
        ensure!(!outcome.success && outcome.stderr.contains(&name), "{length:?}: {}", outcome.stderr);
        let lost = missing_lines(&archive.whole, &outcome.stdout)?;
        ensure!(lost.len() > 10, "{length:?}: {} records lost", lost.len());
        let within =
            |line: &&str| lsn_of(line).is_some_and(|lsn| lsn < next.advanced(100_000) && begin.since(lsn) < 100_000);
        ensure!(lost.iter().all(within), "{length:?}: lost too much");
        fs::write(&path, &content)?;
    }
    Ok(())
}

#[test]
fn checksums_are_verified_unless_told_not_to() -> Result<()> {
    let archive = Archive::new()?;
    let (path, _) = archive.file(2);
    let content = fs::read(&path)?;
    let mut changed = content.clone();
    // Within the text of a large message or a tuple.
    let run = changed.windows(100).rposition(|window| window.iter().all(|byte| *byte == b'y' || *byte == b'x'));
    changed[run.context("no text")? + 50] = b'z';
    fs::write(&path, &changed)?;
    let refused = ours(archive.path(), &[&archive.start, "--quiet"])?;
    ensure!(
        !refused.success && refused.stderr.contains("incorrect resource manager data checksum"),
        "{}",
        refused.stderr
    );
    let believed = ours(archive.path(), &[&archive.start, "--no-verify-checksums", "--quiet"])?;
    ensure!(believed.success, "{}", believed.stderr);
    Ok(())
}
