//! A log that is read again and again, and what counts its records.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use pgwal::Lsn;
use walker_testing::{Cluster, Installation, Mode};

use super::load::Load;
use crate::command::capture;

/// The WAL of a stopped server.
pub(super) struct Log {
    load: Load,
    cluster: Cluster,
    /// Before the tables were made.
    beginning: Lsn,
    /// Where the load begins.
    start: Lsn,
    end: Lsn,
}

impl Log {
    pub(super) fn make(installation: &Installation, load: Load, quick: bool) -> Result<Self> {
        eprintln!("==> making WAL: {}", load.description());
        let mut cluster = Cluster::builder(installation).settings(load.settings()).start()?;
        let beginning = cluster.flush_wal()?;
        load.prepare(&cluster)?;
        let start = cluster.flush_wal()?;
        load.run(&cluster, quick)?;
        let end = cluster.flush_wal()?;
        cluster.stop(Mode::Fast)?;
        Ok(Self { load, cluster, beginning, start, end })
    }

    pub(super) const fn kind(&self) -> Load {
        self.load
    }

    /// The load, on tables that were there before.
    pub(super) fn load(&self) -> Range<'_> {
        Range { log: self, start: self.start, end: self.end }
    }

    /// How its tables were made.
    pub(super) fn preparation(&self) -> Range<'_> {
        Range { log: self, start: self.beginning, end: self.start }
    }

    /// Both.
    pub(super) fn whole(&self) -> Range<'_> {
        Range { log: self, start: self.beginning, end: self.end }
    }
}

/// A part of a [`Log`].
#[derive(Clone, Copy)]
pub(super) struct Range<'a> {
    log: &'a Log,
    start: Lsn,
    end: Lsn,
}

impl Range<'_> {
    pub(super) const fn name(&self) -> &'static str {
        self.log.load.name()
    }

    #[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
    pub(super) fn mebibytes(&self) -> f64 {
        self.end.since(self.start) as f64 / f64::from(1 << 20)
    }

    /// `walker` or pg_waldump over this range.
    pub(super) fn command(&self, program: &Path, first: Option<&str>) -> Command {
        over(program, first, &self.log.cluster, self.start, self.end)
    }

    /// pg_waldump over this range.
    pub(super) fn pg_waldump(&self, first: Option<&str>) -> Result<Command> {
        Ok(self.command(&self.log.cluster.installation().program("pg_waldump")?, first))
    }

    /// Both must count the same, or the times say nothing. Returns the number of records.
    pub(super) fn check_same_counts(&self, walker: &Path) -> Result<u64> {
        let ours = capture(&mut self.command(walker, Some("stats")))?;
        let theirs = capture(&mut self.pg_waldump(Some("--stats"))?)?;
        ensure!(ours == theirs, "walker stats and pg_waldump --stats differ:\n{ours}\n{theirs}");
        total(&ours)
    }
}

/// How many records a server has written from `start` to `end`.
pub(super) fn count_records(walker: &Path, cluster: &Cluster, start: Lsn, end: Lsn) -> Result<u64> {
    total(&capture(&mut over(walker, Some("stats"), cluster, start, end))?)
}

/// How many records of a resource manager a server has written from `start` to `end`, and their bytes without images.
pub(super) fn count_bytes(walker: &Path, cluster: &Cluster, rmgr: &str, start: Lsn, end: Lsn) -> Result<(u64, u64)> {
    let statistics = capture(over(walker, Some("stats"), cluster, start, end).args(["--rmgr", rmgr]))?;
    let bytes = statistics.lines().last().and_then(|line| line.split_whitespace().nth(2)?.parse().ok());
    let bytes = bytes.with_context(|| format!("no number of bytes in:\n{statistics}"))?;
    Ok((total(&statistics)?, bytes))
}

fn over(program: &Path, first: Option<&str>, cluster: &Cluster, start: Lsn, end: Lsn) -> Command {
    let mut command = Command::new(program);
    command.args(first).arg("--path").arg(cluster.wal_directory());
    command.args(["--start", &start.to_string(), "--end", &end.to_string()]).env("TZ", "UTC");
    command
}

/// The number of records in the last line of `pg_waldump --stats`.
fn total(statistics: &str) -> Result<u64> {
    let total = statistics.lines().last().and_then(|line| line.strip_prefix("Total")?.split_whitespace().next());
    let total = total.and_then(|total| total.parse().ok());
    total.filter(|total| *total > 0).with_context(|| format!("no number of records in:\n{statistics}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_records_is_in_the_last_line() {
        let line = "Total          4512        3.1 [50%]     200 [50%]     400 [100%]";
        assert_eq!(total(&format!("Type  N (%)\nHeap  1 (1)\n{line}\n")).unwrap(), 4512);
        assert!(total("").is_err());
        assert!(total("Total      0      0 [0%]").is_err());
    }
}
