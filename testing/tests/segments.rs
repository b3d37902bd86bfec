//! The ways in which segments are kept: whole, partial, compressed, of a server that runs or not. In each `walker dump`
//! reads what `pg_waldump` reads from the plain files.

mod waldump;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use pgwal::{Lsn, SegmentName, SegmentNo};
use tempfile::TempDir;
use waldump::{compare, copy_files, ours, segments, small_segments, theirs};
use walker_testing::{Mode, temporary_directory};

/// A record across several segments, between others.
const LOAD: &str = "
    CREATE TABLE t AS SELECT g AS id, repeat('x', 200) AS r FROM generate_series(1, 3000) g;
    SELECT pg_logical_emit_message(true, 'large', repeat('payload ', 600000));
    UPDATE t SET id = id + 1;";

/// The log of a server that was under load, in an archive, and its last position.
fn archive() -> Result<(TempDir, Lsn)> {
    let mut cluster = small_segments()?.start()?;
    cluster.psql("postgres", LOAD)?;
    let end = cluster.flush_wal()?;
    cluster.stop(Mode::Fast)?;
    let archive = temporary_directory()?;
    copy_files(&cluster.wal_directory(), archive.path())?;
    Ok((archive, end))
}

/// Replaces a file by one with another ending, whose content `write` makes.
fn rewrite(path: &Path, ending: &str, write: impl FnOnce(File, &[u8]) -> Result<()>) -> Result<()> {
    let content = fs::read(path)?;
    let target = path.with_file_name(format!("{}{ending}", path.file_name().context("no name")?.to_string_lossy()));
    write(File::create(target)?, &content)?;
    Ok(fs::remove_file(path)?)
}

fn compress(path: &Path, ending: &str) -> Result<()> {
    rewrite(path, ending, |file, content| {
        match ending {
            ".gz" => {
                let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
                encoder.write_all(content)?;
                encoder.finish()?;
            }
            ".lz4" => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(file);
                encoder.write_all(content)?;
                encoder.finish()?;
            }
            _ => zstd::stream::copy_encode(content, file, 1)?,
        }
        Ok(())
    })
}

#[test]
fn a_record_across_segments_is_read_in_each_way() -> Result<()> {
    let (archive, end) = archive()?;
    let directory = archive.path();
    let names = segments(directory)?;
    let start = names[0].parse::<SegmentName>()?.start(1 << 20);
    let range = [format!("--start={start}"), format!("--end={end}")];
    let range: Vec<_> = range.iter().map(String::as_str).collect();
    let expected = theirs(directory, &range)?.text()?;
    ensure!(expected.contains("MESSAGE transactional, prefix \"large\"; payload (4800000 bytes)"));
    compare(&ours(directory, &range)?.text()?, &expected).context("mapped")?;

    // As the log of a server that seems to run: nothing is mapped.
    let data = temporary_directory()?;
    fs::write(data.path().join("postmaster.pid"), "1\n")?;
    fs::create_dir(data.path().join("pg_wal"))?;
    copy_files(directory, &data.path().join("pg_wal"))?;
    compare(&ours(&data.path().join("pg_wal"), &range)?.text()?, &expected).context("copied")?;

    for ending in [".gz", ".lz4", ".zst"] {
        let compressed = temporary_directory()?;
        copy_files(directory, compressed.path())?;
        for name in &names {
            compress(&compressed.path().join(name), ending)?;
        }
        compare(&ours(compressed.path(), &range)?.text()?, &expected).context(ending)?;
        let middle = lines_from(&expected, expected.lines().count() / 2);
        let begin = format!("--start={}", waldump::lsn_of(middle).context("no LSN")?);
        compare(&ours(compressed.path(), &[&begin, range[1]])?.text()?, middle).context("from the middle")?;

        // Cut, and changed, in the middle of the large record.
        let path = compressed.path().join(format!("{}{ending}", names[3]));
        let content = fs::read(&path)?;
        fs::write(&path, &content[..content.len() / 2])?;
        let cut = ours(compressed.path(), &range)?;
        ensure!(!cut.success && expected.starts_with(&cut.stdout), "{}", cut.stderr);
        ensure!(cut.stderr.contains(&format!("could not decompress \"{}\"", path.display())), "{}", cut.stderr);
        let mut changed = content;
        changed[0] ^= 0xFF;
        fs::write(&path, changed)?;
        let changed = ours(compressed.path(), &range)?;
        ensure!(!changed.success && changed.stderr.contains(&path.display().to_string()), "{}", changed.stderr);
    }

    // Each segment in another way, the last one partial.
    for (number, name) in names.iter().enumerate() {
        match number % 4 {
            _ if number + 1 == names.len() => fs::rename(directory.join(name), partial(directory, name))?,
            0 => {}
            kind => compress(&directory.join(name), [".gz", ".lz4", ".zst"][kind - 1])?,
        }
    }
    compare(&ours(directory, &range)?.text()?, &expected).context("mixed")?;
    Ok(())
}

fn partial(directory: &Path, name: &str) -> std::path::PathBuf {
    directory.join(format!("{name}.partial"))
}

fn lines_from(text: &str, number: usize) -> &str {
    text.splitn(number + 1, '\n').last().unwrap_or_default()
}

#[test]
fn a_segment_of_another_size_is_read_to_its_last_byte() -> Result<()> {
    for size in ["4", "64"] {
        let cluster = small_segments()?.initdb_option(format!("--wal-segsize={size}")).start()?;
        cluster.psql("postgres", "CREATE TABLE t AS SELECT generate_series(1, 60000) AS id; DROP TABLE t")?;
        cluster.psql("postgres", "SELECT pg_switch_wal(); CREATE TABLE t AS SELECT generate_series(1, 9) AS id")?;
        let end = format!("--end={}", cluster.flush_wal()?);
        let first = segments(&cluster.wal_directory())?[0].parse::<SegmentName>()?;
        let start = format!("--start={}", first.start(size.parse::<u32>()? << 20));
        let (our, their) =
            (ours(&cluster.wal_directory(), &[&start, &end])?, theirs(&cluster.wal_directory(), &[&start, &end])?);
        assert!(compare(&our.text()?, &their.text()?)? > 60_000);
    }
    Ok(())
}

#[test]
fn a_record_that_was_given_up_is_passed_over() -> Result<()> {
    let mut cluster = small_segments()?.start()?;
    cluster.psql("postgres", "CHECKPOINT; CREATE TABLE t (id int); INSERT INTO t VALUES (1)")?;
    let before = cluster.flush_wal()?;
    cluster.psql("postgres", "SELECT pg_logical_emit_message(true, 'large', repeat('payload ', 600000))")?;
    cluster.crash()?;
    // The end of the record never came to the disk.
    let last = SegmentNo::new(SegmentNo::of(before, 1 << 20).get() + 2);
    for name in segments(&cluster.wal_directory())? {
        if name.parse::<SegmentName>()?.number(1 << 20) > last {
            fs::remove_file(cluster.wal_directory().join(name))?;
        }
    }
    cluster.start()?;
    cluster.psql("postgres", "INSERT INTO t VALUES (2)")?;
    let end = format!("--end={}", cluster.flush_wal()?);
    let directory = cluster.wal_directory();
    let first = segments(&directory)?[0].parse::<SegmentName>()?;
    let start = format!("--start={}", first.start(1 << 20));
    let their = theirs(&directory, &[&start, &end])?.text()?;
    ensure!(their.contains("OVERWRITE_CONTRECORD"), "the record was not overwritten");
    compare(&ours(&directory, &[&start, &end])?.text()?, &their)?;
    Ok(())
}
