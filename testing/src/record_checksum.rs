//! The plugin `record_checksum` against `pg_waldump`: the worker tells every record once and in order, or it tells of a gap.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use pgwal::Lsn;

use crate::builder::ClusterBuilder;
use crate::cluster::Cluster;
use crate::garbage_oracle::garbagemap_cluster;
use crate::poll::poll;
use crate::wal_copy::{WalCopy, WalRecord};

/// Long enough for a worker that was started anew, tried damaged WAL again and again, and has a lot to read.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What `record_checksum` was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordChecksum {
    /// In the order in which they were told; between two of them there is a gap.
    pub ranges: Vec<RecordRange>,
    /// How many records did not follow on the one before, or were told again, and the first of them.
    pub problems: Option<String>,
}

/// A part of the log that was told without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRange {
    /// Where the log was said to go on behind a gap; none at a beginning without one.
    pub gap: Option<Lsn>,
    /// Beginning of the first record.
    pub first: Lsn,
    /// End of the last record.
    pub end: Lsn,
    /// How many there were.
    pub records: u64,
    /// Of all of them in order.
    pub checksum: u64,
}

/// A server whose worker tells `record_checksum` and the garbage map, with small segments.
///
/// # Errors
/// If there is no PostgreSQL to test with.
pub fn record_checksum_cluster() -> Result<ClusterBuilder> {
    Ok(garbagemap_cluster()?
        .initdb_option("--wal-segsize=1")
        .setting("walker.plugins", "record_checksum, garbagemap")
        .setting("garbagemap.baseline_rate", "1000")
        .setting("wal_keep_size", "1GB")
        .setting("checkpoint_timeout", "1h"))
}

/// Flushes the WAL, waits until `record_checksum` has reached its end, and compares all that it was told with `pg_waldump`
/// over `wal`, which is renewed. Returns what it was told. It must begin where it began when it was compared over `wal` before.
///
/// # Errors
/// If it does not arrive; if something is told twice, in another order, or is missing: then it says what.
pub fn assert_all_told(cluster: &Cluster, wal: &WalCopy) -> Result<RecordChecksum> {
    assert_told_up_to(cluster, cluster.flush_wal()?, wal)
}

/// As [`assert_all_told`], up to `lsn` at least: for a standby, where nothing can be written.
///
/// # Errors
/// As [`assert_all_told`].
pub fn assert_told_up_to(cluster: &Cluster, lsn: Lsn, wal: &WalCopy) -> Result<RecordChecksum> {
    let told = RecordChecksum::ask(cluster, lsn)?;
    wal.renew(cluster)?;
    told.compare(cluster, wal).with_context(|| told.to_string())?;
    // What was kept holds all from the beginning on.
    let first = told.ranges.first().map_or(Lsn::INVALID, |range| range.first);
    let began = wal.told_from(first);
    ensure!(first == began, "what was told from {began} on is not known any more: {told}");
    Ok(told)
}

impl RecordChecksum {
    /// What `record_checksum` was told, as soon as it was told the record that ends at `lsn` or one behind it.
    ///
    /// # Errors
    /// If it was not after two minutes.
    pub fn ask(cluster: &Cluster, lsn: Lsn) -> Result<Self> {
        let mut last = String::new();
        let told = poll(TIMEOUT, || {
            // While the worker is started anew it cannot be asked.
            match cluster.psql("postgres", "SELECT walker_ask('record_checksum')") {
                Ok(answer) => last = answer,
                Err(error) => {
                    last = format!("{error:#}");
                    return Ok(None);
                }
            }
            let told = Self::parse(&last).with_context(|| format!("not an answer of record_checksum: {last}"))?;
            Ok(told.ranges.last().is_some_and(|range| range.end >= lsn).then_some(told))
        })?;
        told.with_context(|| format!("record_checksum was not told all records up to {lsn} after {TIMEOUT:?}: {last}"))
    }

    /// Compares each range with what `pg_waldump` says of it, and looks whether gaps are between them.
    ///
    /// # Errors
    /// What differs.
    pub fn compare(&self, cluster: &Cluster, wal: &WalCopy) -> Result<()> {
        if let Some(problems) = &self.problems {
            bail!("problems {problems}");
        }
        let mut before: Option<&RecordRange> = None;
        for range in &self.ranges {
            range.compare(cluster, wal)?;
            if let Some(before) = before {
                let gap = range.gap.with_context(|| format!("no gap was told between {before} and {range}"))?;
                ensure!(before.end <= gap, "what follows on the gap at {gap} was told already: {before}");
            }
            before = Some(range);
        }
        Ok(())
    }

    /// The lines of the answer, see `record_checksum.c`.
    fn parse(answer: &str) -> Option<Self> {
        let (mut ranges, mut problems, mut gap) = (Vec::new(), None, None);
        for line in answer.lines() {
            let (kind, rest) = line.split_once(' ')?;
            let words: Vec<&str> = rest.split(' ').collect();
            match (kind, words.as_slice()) {
                ("position", [_]) => {}
                ("gap", [next]) => gap = Some(next.parse().ok()?),
                ("range", [first, end, "records", records, "checksum", checksum]) => ranges.push(RecordRange {
                    gap: gap.take(),
                    first: first.parse().ok()?,
                    end: end.parse().ok()?,
                    records: records.parse().ok()?,
                    checksum: u64::from_str_radix(checksum, 16).ok()?,
                }),
                ("problems", _) => problems = Some(rest.to_owned()),
                _ => return None,
            }
        }
        Some(Self { ranges, problems })
    }
}

impl RecordRange {
    fn compare(&self, cluster: &Cluster, wal: &WalCopy) -> Result<()> {
        // The first record behind a gap is to be the first one that can be read there.
        let records = wal.records(cluster, self.gap.unwrap_or(self.first), self.end)?;
        let first = records.first().map_or(Lsn::INVALID, |record| record.lsn);
        ensure!(first == self.first, "pg_waldump begins with {first}: {self}");
        let mut checksum = FNV_OFFSET_BASIS;
        let mut same_after = None;
        for (index, record) in records.iter().enumerate() {
            checksum = add_record(checksum, record);
            if checksum == self.checksum {
                same_after = Some((index + 1, record.lsn));
            }
        }
        let count = records.len();
        match same_after {
            Some((same, _)) if same == count && self.records == count as u64 => Ok(()),
            Some((same, lsn)) => {
                bail!("the checksum is that of the first {same} of {count} records, up to {lsn}: {self}")
            }
            None => bail!("pg_waldump has {count} records with the checksum {checksum:016X}: {self}"),
        }
    }
}

impl fmt::Display for RecordRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gap, first, end, records, checksum } = self;
        if let Some(gap) = gap {
            write!(formatter, "gap to {gap}, ")?;
        }
        write!(formatter, "from {first} to {end} {records} records with the checksum {checksum:016X}")
    }
}

impl fmt::Display for RecordChecksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "record_checksum was told")?;
        for range in &self.ranges {
            write!(formatter, "; {range}")?;
        }
        Ok(())
    }
}

const FNV_OFFSET_BASIS: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x100_0000_01B3;

/// FNV-1a, as `add_record` of `record_checksum.c`.
fn add_record(checksum: u64, record: &WalRecord) -> u64 {
    let WalRecord { lsn, prev, total_len, rmgr, xid } = record;
    let bytes = [&lsn.get().to_le_bytes()[..], &prev.get().to_le_bytes(), &total_len.to_le_bytes(), &[*rmgr]];
    let bytes = bytes.into_iter().flatten().chain(&xid.to_le_bytes()).copied().collect::<Vec<u8>>();
    bytes.iter().fold(checksum, |checksum, byte| (checksum ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_record_checksum() {
        let answer = "position 0/30\nrange 0/8 0/10 records 1 checksum 00000000000000FF\ngap 0/20\n\
                      range 0/28 0/30 records 1 checksum CBF29CE484222325\nproblems 2: record 0/28 is told again";
        let told = RecordChecksum::parse(answer).unwrap();
        assert_eq!(told.ranges[0].gap, None);
        assert_eq!((told.ranges[1].gap, told.ranges[1].end), (Some(Lsn::new(0x20)), Lsn::new(0x30)));
        assert_eq!(told.ranges[1].checksum, FNV_OFFSET_BASIS);
        assert_eq!(told.problems.as_deref(), Some("2: record 0/28 is told again"));
        assert_eq!(RecordChecksum::parse("position 0/30\nsomething else"), None);
    }
}
