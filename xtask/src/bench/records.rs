//! What records cost that an extension in Rust writes by pgxlog, against the same records of the same extension in C: bytes of
//! WAL, CPU time of who writes, replays and describes them. The extensions are `testing/plugins/bench_records` and
//! `bench_records_rust`.
//!
//! Both sides take turns in short slices of the same session, on the same pages. Replay is that of one recovery after a crash:
//! between the slices are records that make who replays them log its CPU time.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use pgwal::Lsn;
use walker_testing::{Cluster, Installation, LogMark, Session};

use super::log::count_bytes;
use super::measure::Ratio;
use super::server::{DATABASE, SETTINGS};
use super::server_cpu;

/// Both extensions' functions, and the pages that they change.
const PREPARATION: &str = "
    CREATE TABLE pages ();
    CREATE FUNCTION make_pages(regclass, int) RETURNS void AS 'bench_records' LANGUAGE C STRICT;
    CREATE FUNCTION mark(bigint) RETURNS pg_lsn AS 'bench_records' LANGUAGE C STRICT;
    CREATE FUNCTION last_record() RETURNS pg_lsn AS 'bench_records' LANGUAGE C STRICT;
    CREATE FUNCTION describe(pg_lsn, bigint) RETURNS text AS 'bench_records' LANGUAGE C STRICT;
    CREATE FUNCTION c_messages(bigint) RETURNS void AS 'bench_records', 'write_messages' LANGUAGE C STRICT;
    CREATE FUNCTION c_add(regclass, bigint, int) RETURNS void AS 'bench_records', 'add' LANGUAGE C STRICT;
    CREATE FUNCTION c_generic(regclass, bigint, int) RETURNS void AS 'bench_records', 'add_generic' LANGUAGE C STRICT;
    CREATE FUNCTION rust_messages(bigint) RETURNS void
        AS 'bench_records_rust', 'write_messages_wrapper' LANGUAGE C STRICT;
    CREATE FUNCTION rust_add(regclass, bigint, int) RETURNS void AS 'bench_records_rust', 'add_wrapper' LANGUAGE C STRICT;
    CREATE FUNCTION rust_generic(regclass, bigint, int) RETURNS void
        AS 'bench_records_rust', 'add_generic_wrapper' LANGUAGE C STRICT;
    SELECT make_pages('pages', 8192) \\g /dev/null";

/// Nothing but the session and its checkpointless log: others write it to the files.
const OWN_SETTINGS: [(&str, &str); 7] = [
    ("shared_preload_libraries", "bench_records,bench_records_rust"),
    ("synchronous_commit", "off"),
    ("max_wal_size", "64GB"),
    ("wal_keep_size", "0"),
    ("wal_buffers", "32MB"),
    ("wal_writer_delay", "10ms"),
    ("wal_init_zero", "off"),
];

/// How often the sides take turns in each run.
const SLICES: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Rust,
    C,
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
        }
    }
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Message,
    /// Of four blocks, which are in the CPU's cache.
    HotBlock,
    /// Of so many as a table or an index may have.
    AnyBlock,
    GenericOnePage,
    GenericFourPages,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::Message, Self::HotBlock, Self::AnyBlock, Self::GenericOnePage, Self::GenericFourPages];

    const fn name(self) -> &'static str {
        match self {
            Self::Message => "custom, no block",
            Self::HotBlock => "custom, one of 4 blocks",
            Self::AnyBlock => "custom, one of 8192",
            Self::GenericOnePage => "Generic WAL, 1 page",
            Self::GenericFourPages => "Generic WAL, 4 pages",
        }
    }

    const fn is_custom(self) -> bool {
        matches!(self, Self::Message | Self::HotBlock | Self::AnyBlock)
    }

    /// As many as take about as long as `records` of the smallest.
    const fn count(self, records: u32) -> u32 {
        match self {
            Self::Message | Self::HotBlock | Self::AnyBlock => records,
            Self::GenericOnePage => records / 5,
            Self::GenericFourPages => records / 20,
        }
    }

    fn sql(self, side: Side, count: u32) -> String {
        let side = side.name();
        match self {
            Self::Message => format!("SELECT {side}_messages({count})"),
            Self::HotBlock => format!("SELECT {side}_add('pages', {count}, 4)"),
            Self::AnyBlock => format!("SELECT {side}_add('pages', {count}, 8192)"),
            Self::GenericOnePage => format!("SELECT {side}_generic('pages', {count}, 1)"),
            Self::GenericFourPages => format!("SELECT {side}_generic('pages', {count}, 4)"),
        }
    }

    const fn rmgr(self, side: Side) -> &'static str {
        match (self.is_custom(), side) {
            (true, Side::C) => "custom251",
            (true, Side::Rust) => "custom252",
            (false, _) => "Generic",
        }
    }
}

/// The sides in their order: each is the first as often as the other.
const fn order(slice: usize) -> [Side; 2] {
    if slice.is_multiple_of(2) { [Side::Rust, Side::C] } else { [Side::C, Side::Rust] }
}

/// What all slices of a run cost, Rust before C.
type Pair = [Duration; 2];

fn add(pair: &mut Pair, side: Side, cost: Duration) {
    match side {
        Side::Rust => pair[0] += cost,
        Side::C => pair[1] += cost,
    }
}

pub(super) fn run(installation: &Installation, walker: &Path, records: u32, runs: usize) -> Result<()> {
    let mut cluster = Cluster::builder(installation).settings(SETTINGS).settings(OWN_SETTINGS).start()?;
    cluster.psql(DATABASE, PREPARATION)?;
    let mut session = cluster.session(DATABASE)?;
    let bytes = Kind::ALL.map(|kind| compare_bytes(&cluster, &mut session, walker, kind));
    cluster.psql(DATABASE, "CHECKPOINT")?;

    println!("\nrecords: CPU time for each, in Rust / in C");
    let mut marks = Marks::default();
    for (kind, bytes) in Kind::ALL.into_iter().zip(bytes) {
        let bytes = bytes.with_context(|| kind.name())?;
        let count = kind.count(records);
        let written = measure_writing(&mut session, &mut marks, kind, count, runs)?;
        show("write", kind, &format!("{bytes:.0} bytes"), &written, count)?;
    }
    for kind in [Kind::Message, Kind::HotBlock] {
        let described = measure_describing(&cluster, &mut session, kind, records, runs)?;
        show("describe", kind, "", &described, records)?;
    }
    marks.set(&mut session, None)?;
    drop(session);
    cluster.flush_wal()?;
    let log = cluster.log_mark()?;
    cluster.crash()?;
    cluster.start()?;
    let replayed = marks.read(&cluster, log, runs)?;
    for kind in Kind::ALL {
        let pairs = replayed.get(&kind).context("nothing was replayed")?;
        show("replay", kind, "", pairs, kind.count(records))?;
    }
    Ok(())
}

fn show(what: &str, kind: Kind, remark: &str, pairs: &[Pair], count: u32) -> Result<()> {
    let ratio = Ratio::of(pairs)?.of_each(count.saturating_mul(SLICES as u32));
    println!("    {what:9} {:23} {remark:>10}  {ratio:.3}", kind.name());
    Ok(())
}

/// Both sides must write the same records, or the times say nothing. Returns bytes for each, without images of pages.
fn compare_bytes(cluster: &Cluster, session: &mut Session, walker: &Path, kind: Kind) -> Result<f64> {
    const COUNT: u32 = 1000;
    let mut bytes = |side: Side| -> Result<u64> {
        let start = cluster.flush_wal()?;
        session.execute(&kind.sql(side, COUNT))?;
        let end = cluster.flush_wal()?;
        let (records, bytes) = count_bytes(walker, cluster, kind.rmgr(side), start, end)?;
        ensure!(records == u64::from(COUNT), "{records} records instead of {COUNT} of {}", kind.rmgr(side));
        Ok(bytes)
    };
    // The first ones after a checkpoint have images of pages, and less data for that.
    bytes(Side::C)?;
    let (c, rust) = (bytes(Side::C)?, bytes(Side::Rust)?);
    ensure!(c == rust, "{rust} bytes in Rust, {c} in C");
    #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    Ok(c as f64 / f64::from(COUNT))
}

fn measure_writing(session: &mut Session, marks: &mut Marks, kind: Kind, count: u32, runs: usize) -> Result<Vec<Pair>> {
    let backend = session.backend_id();
    let mut pairs = Vec::new();
    for run in 0..=runs {
        let mut pair = Pair::default();
        for slice in 0..SLICES {
            for side in order(slice) {
                marks.set(session, run.checked_sub(1).map(|run| Slice { kind, side, run }))?;
                add(&mut pair, side, cost(session, backend, &kind.sql(side, count))?);
            }
        }
        if run > 0 {
            pairs.push(pair);
        }
    }
    Ok(pairs)
}

fn measure_describing(
    cluster: &Cluster,
    session: &mut Session,
    kind: Kind,
    times: u32,
    runs: usize,
) -> Result<Vec<Pair>> {
    let backend = session.backend_id();
    let mut sql = HashMap::new();
    for side in [Side::Rust, Side::C] {
        // Behind those that have images, since they are the first after a checkpoint.
        session.execute(&kind.sql(side, 8))?;
        let position: Lsn = session.execute("SELECT last_record()")?.parse()?;
        cluster.flush_wal()?;
        sql.insert(side, format!("SELECT describe('{position}', {times})"));
    }
    let texts = [Side::Rust, Side::C].map(|side| session.execute(&sql[&side]));
    let [rust, c] = texts;
    let (rust, c) = (rust?, c?);
    ensure!(rust == c && !c.is_empty(), "described as \"{rust}\" in Rust, as \"{c}\" in C");
    let mut pairs = Vec::new();
    for _ in 0..runs {
        let mut pair = Pair::default();
        for slice in 0..SLICES {
            for side in order(slice) {
                add(&mut pair, side, cost(session, backend, &sql[&side])?);
            }
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

/// CPU time of the session's process.
fn cost(session: &mut Session, backend: u32, sql: &str) -> Result<Duration> {
    let before = server_cpu::of_process(backend)?;
    session.execute(sql)?;
    Ok(server_cpu::of_process(backend)?.saturating_sub(before))
}

/// What comes behind a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    kind: Kind,
    side: Side,
    run: usize,
}

/// Records in the log that tell the CPU time of who replays them. Numbers are places in the list.
#[derive(Debug, Default)]
struct Marks(Vec<Option<Slice>>);

impl Marks {
    fn set(&mut self, session: &mut Session, slice: Option<Slice>) -> Result<()> {
        session.execute(&format!("SELECT mark({})", self.0.len()))?;
        self.0.push(slice);
        Ok(())
    }

    /// What the replay of each run cost, by the log of the server that has recovered.
    fn read(&self, cluster: &Cluster, log: LogMark, runs: usize) -> Result<HashMap<Kind, Vec<Pair>>> {
        let log = cluster.log_since(log)?;
        let times: Vec<_> = log.lines().filter_map(parse_mark).collect();
        ensure!(times.len() == self.0.len(), "{} marks were replayed of {}", times.len(), self.0.len());
        let mut pairs: HashMap<Kind, Vec<Pair>> = HashMap::new();
        for (place, (slice, ends)) in self.0.iter().zip(times.windows(2)).enumerate() {
            let &[(number, begin), (_, end)] = ends else { bail!("no pair") };
            ensure!(number == place, "mark {number} was replayed instead of {place}");
            if let Some(Slice { kind, side, run }) = *slice {
                let of_kind = pairs.entry(kind).or_insert_with(|| vec![Pair::default(); runs]);
                let pair = of_kind.get_mut(run).context("a run too much")?;
                add(pair, side, end.saturating_sub(begin));
            }
        }
        Ok(pairs)
    }
}

/// Number and CPU time in a line of the server's log.
fn parse_mark(line: &str) -> Option<(usize, Duration)> {
    let (number, time) = line.split_once("bench_records: mark ")?.1.split_once(" after ")?;
    let time = time.trim_end().strip_suffix(" ns")?.parse().ok()?;
    Some((number.parse().ok()?, Duration::from_nanos(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_in_the_log() {
        let line = "2026-11-21 22:00:00.000 UTC [42] LOG:  bench_records: mark 7 after 123456 ns";
        assert_eq!(parse_mark(line), Some((7, Duration::from_nanos(123_456))));
        assert_eq!(parse_mark("LOG:  redo starts at 0/1000028"), None);
        assert_eq!(parse_mark("CONTEXT:  WAL redo at 0/1 for bench records/MARK"), None);
    }

    #[test]
    fn each_side_is_the_first_as_often_as_the_other() {
        let first = |side| (0..SLICES).filter(|slice| order(*slice)[0] == side).count();
        assert_eq!(first(Side::Rust), first(Side::C));
    }
}
