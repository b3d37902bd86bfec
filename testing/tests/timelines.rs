//! Logs of several timelines: `walker dump` reads the way to one of them as `pg_waldump` reads each part of it.

mod waldump;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use pgwal::{Lsn, TimelineHistory, TimelineId};
use waldump::{compare, copy_files, ours, segments, small_segments, theirs};
use walker_testing::{Cluster, Mode, temporary_directory};

const LOAD: &str = "
    CREATE TABLE IF NOT EXISTS t (id int, filler text);
    INSERT INTO t SELECT g, repeat('x', 300) FROM generate_series(1, 4000) g;
    UPDATE t SET id = id + 1 WHERE id % 3 = 0;";

/// Another cluster with the data directory of `original`, which must not run.
fn copy_of(original: &Cluster) -> Result<Cluster> {
    let copy = small_segments()?.build()?;
    let (from, to) = (original.data_directory(), copy.data_directory());
    let settings = fs::read(to.join("postgresql.conf"))?;
    // Ownership stays, as the server needs it.
    fs::remove_dir_all(&to)?;
    let status = Command::new("cp").arg("-a").arg(&from).arg(&to).status()?;
    ensure!(status.success(), "cannot copy {}", from.display());
    fs::write(to.join("postgresql.conf"), settings)?;
    Ok(copy)
}

/// Lets `cluster` begin a new timeline, which leaves the one that it is on. Other timelines are known by `archive`.
fn branch(cluster: &mut Cluster, archive: &Path) -> Result<()> {
    // Of the others it sees the history alone, for the numbers that are taken.
    let restore = format!("case %f in *.history) cp {}/%f %p;; *) exit 1;; esac", archive.display());
    cluster.configure([("restore_command", restore.as_str()), ("recovery_target_timeline", "current")])?;
    fs::write(cluster.data_directory().join("standby.signal"), "")?;
    cluster.start()?;
    cluster.promote()
}

fn switch_point(directory: &Path, timeline: u32, ancestor: u32) -> Result<Lsn> {
    let timeline = TimelineId::new(timeline);
    let content = fs::read(directory.join(TimelineHistory::file_name(timeline)))?;
    let history = TimelineHistory::parse(timeline, &content)?;
    history.switch_point(TimelineId::new(ancestor)).context("not an ancestor")
}

/// Parts of the log, each of one timeline, one behind the other, in the words of `pg_waldump`.
fn parts(directory: &Path, parts: &[(u32, Option<Lsn>, Option<Lsn>)]) -> Result<String> {
    let mut all = String::new();
    for &(timeline, start, end) in parts {
        let first = segments(directory)?.into_iter().next().context("no segment")?;
        let start = start.unwrap_or(first.parse::<pgwal::SegmentName>()?.start(1 << 20));
        let mut options = vec![format!("--timeline={timeline}"), format!("--start={start}")];
        options.extend(end.map(|end| format!("--end={end}")));
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let outcome = theirs(directory, &options)?;
        // Without an end it is an error that the log ends.
        ensure!(outcome.success == end.is_some(), "{}", outcome.stderr);
        all.push_str(&outcome.stdout);
    }
    Ok(all)
}

#[test]
fn the_way_to_each_timeline_is_read() -> Result<()> {
    let archive = temporary_directory()?;
    let directory = archive.path();
    // Timeline 1, which 2 and 3 leave, 3 later than 2; 4 leaves 3; 1 goes on.
    let mut first = small_segments()?.start()?;
    first.psql("postgres", LOAD)?;
    first.stop(Mode::Fast)?;
    let mut second = copy_of(&first)?;
    first.start()?;
    first.psql("postgres", LOAD)?;
    first.stop(Mode::Fast)?;
    let mut third = copy_of(&first)?;
    first.start()?;
    first.psql("postgres", LOAD)?;
    first.stop(Mode::Fast)?;

    branch(&mut second, directory)?;
    second.psql("postgres", LOAD)?;
    second.stop(Mode::Fast)?;
    copy_files(&second.wal_directory(), directory)?;
    branch(&mut third, directory)?;
    third.psql("postgres", LOAD)?;
    third.stop(Mode::Fast)?;
    branch(&mut third, directory)?;
    third.psql("postgres", LOAD)?;
    third.stop(Mode::Fast)?;
    for cluster in [&second, &third, &first] {
        copy_files(&cluster.wal_directory(), directory)?;
    }

    let (to_second, to_third) = (switch_point(directory, 2, 1)?, switch_point(directory, 3, 1)?);
    let to_fourth = switch_point(directory, 4, 3)?;
    assert!(to_second < to_third && to_third < to_fourth);
    let on_first = parts(directory, &[(1, None, None)])?;
    let on_second = parts(directory, &[(1, None, Some(to_second)), (2, Some(to_second), None)])?;
    let on_third = parts(directory, &[(1, None, Some(to_third)), (3, Some(to_third), None)])?;
    let on_fourth = parts(
        directory,
        &[(1, None, Some(to_third)), (3, Some(to_third), Some(to_fourth)), (4, Some(to_fourth), None)],
    )?;
    for (timeline, expected) in [("1", &on_first), ("2", &on_second), ("3", &on_third), ("4", &on_fourth)] {
        let read = ours(directory, &["--timeline", timeline])?.text()?;
        let lines = compare(&read, expected).with_context(|| format!("timeline {timeline}"))?;
        assert!(lines > 10_000, "{lines}");
    }
    compare(&ours(directory, &[])?.text()?, &on_fourth).context("the highest timeline")?;
    assert!(on_first.len() > on_third.len() / 2 && on_first != on_third);

    // Only what the old timeline has: up to where it was left, and not what it did afterwards.
    for name in segments(directory)?.iter().filter(|name| name.starts_with("00000004")) {
        fs::remove_file(directory.join(name))?;
    }
    let before_fourth = parts(directory, &[(1, None, Some(to_third)), (3, Some(to_third), Some(to_fourth))])?;
    compare(&ours(directory, &["--timeline", "4"])?.text()?, &before_fourth)?;
    Ok(())
}
