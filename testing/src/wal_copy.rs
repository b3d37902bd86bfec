//! What a server has written to its WAL, kept although the server removes it, and read by the `pg_waldump` of its major.

use std::cell::OnceCell;
use std::fs;
use std::io;

use anyhow::{Context as _, Result};
use pgwal::{Lsn, RmgrId, SegmentName, TimelineHistory, TimelineHistoryEntry, TimelineId};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::command::run;
use crate::directory::temporary_directory;

/// Bytes of a segment's beginning that are not zero in one that was written to.
const PAGE_HEADER: usize = 24;

/// A record as a line of `pg_waldump` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WalRecord {
    pub(crate) lsn: Lsn,
    pub(crate) prev: Lsn,
    pub(crate) total_len: u32,
    pub(crate) rmgr: u8,
    pub(crate) xid: u32,
}

/// Copies of a server's segments and history files. A segment that is copied again has grown.
#[derive(Debug)]
pub struct WalCopy {
    directory: TempDir,
    /// Beginning of the first record that a plugin was told, as soon as that was looked at.
    told_from: OnceCell<Lsn>,
}

impl WalCopy {
    /// Copies all that the server's WAL directory holds now.
    ///
    /// # Errors
    /// If a file cannot be copied.
    pub fn of(cluster: &Cluster) -> Result<Self> {
        let copy = Self { directory: temporary_directory()?, told_from: OnceCell::new() };
        copy.renew(cluster)?;
        Ok(copy)
    }

    /// Copies all that the server's WAL directory holds now. What it does not hold any more stays.
    ///
    /// # Errors
    /// If a file cannot be copied.
    pub fn renew(&self, cluster: &Cluster) -> Result<()> {
        let directory = cluster.wal_directory();
        for entry in fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.parse::<SegmentName>().is_err() && !name.ends_with(".history") {
                continue;
            }
            match fs::read(entry.path()) {
                // One that the server has just made, and not written to: pg_waldump takes the size of segments from any file.
                Ok(content) if content.iter().take(PAGE_HEADER).all(|byte| *byte == 0) => {}
                // The server has just removed or recycled it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                content => {
                    let content = content.with_context(|| format!("cannot read {name}"))?;
                    fs::write(self.directory.path().join(&name), content)?;
                }
            }
        }
        Ok(())
    }

    /// Where the plugin that is compared began: `first`, when this is asked first.
    pub(crate) fn told_from(&self, first: Lsn) -> Lsn {
        *self.told_from.get_or_init(|| first)
    }

    /// The records between `start`, or the first one behind it, and `end`, where one ends: on the way to the highest timeline.
    pub(crate) fn records(&self, cluster: &Cluster, start: Lsn, end: Lsn) -> Result<Vec<WalRecord>> {
        let mut records = Vec::new();
        for TimelineHistoryEntry { timeline, begin, end: left, .. } in self.history()?.entries() {
            let (from, to) = (start.max(*begin), end.min(left.unwrap_or(Lsn::MAX)));
            if from >= to {
                continue;
            }
            let mut pg_waldump = cluster.program("pg_waldump")?;
            pg_waldump.arg("--path").arg(self.directory.path());
            pg_waldump.args([format!("--timeline={timeline}"), format!("--start={from}"), format!("--end={to}")]);
            let printed = run(&mut pg_waldump, "").with_context(|| format!("{from} to {to} on timeline {timeline}"))?;
            for line in printed.lines().filter(|line| line.starts_with("rmgr: ")) {
                records.push(parse(line).with_context(|| format!("not a line of pg_waldump: {line}"))?);
            }
        }
        Ok(records)
    }

    fn history(&self) -> Result<TimelineHistory> {
        let mut highest = TimelineId::new(1);
        for entry in fs::read_dir(self.directory.path())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if let Some(number) = name.strip_suffix(".history") {
                highest = highest.max(TimelineId::new(u32::from_str_radix(number, 16)?));
            }
        }
        if highest == TimelineId::new(1) {
            return Ok(TimelineHistory::parse(highest, b"")?);
        }
        let content = fs::read(self.directory.path().join(TimelineHistory::file_name(highest)))?;
        Ok(TimelineHistory::parse(highest, &content)?)
    }
}

/// `rmgr: Heap  len (rec/tot):  54/  150, tx:  734, lsn: 0/014E8A98, prev 0/014E8A60, desc: ...`.
fn parse(line: &str) -> Option<WalRecord> {
    let (rmgr, rest) = line.strip_prefix("rmgr: ")?.split_once("len (rec/tot):")?;
    let mut fields = rest.split(',');
    let total_len = fields.next()?.split_once('/')?.1.trim().parse().ok()?;
    let xid = fields.next()?.trim().strip_prefix("tx:")?.trim().parse().ok()?;
    let lsn = fields.next()?.trim().strip_prefix("lsn:")?.trim().parse().ok()?;
    let prev = fields.next()?.trim().strip_prefix("prev")?.trim().parse().ok()?;
    let rmgr = rmgr.trim();
    let number = |id: &RmgrId| id.name().is_some_and(|name| name == rmgr).then(|| id.get());
    let custom = || rmgr.strip_prefix("custom")?.parse().ok();
    let rmgr = RmgrId::BUILT_IN.iter().find_map(number).or_else(custom)?;
    Some(WalRecord { lsn, prev, total_len, rmgr, xid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_pg_waldump() {
        let line = "rmgr: LogicalMessage len (rec/tot):     56/   156, tx:        734, lsn: 0/014E8A98, prev 1/014E8A60, \
                    desc: MESSAGE transactional, prefix \"a, lsn: b\"";
        let record = parse(line).unwrap();
        assert_eq!((record.lsn, record.prev), (Lsn::new(0x14E_8A98), Lsn::new(0x1_014E_8A60)));
        assert_eq!((record.total_len, record.rmgr, record.xid), (156, 21, 734));
        let custom =
            "rmgr: custom128   len (rec/tot):     26/    26, tx:  7, lsn: 0/8, prev 0/0, desc: UNKNOWN (10) rmid: 128";
        assert_eq!(parse(custom).unwrap().rmgr, 128);
        assert_eq!(parse("rmgr: Nothing len (rec/tot):     26/    26, tx:  7, lsn: 0/8, prev 0/0, desc: "), None);
    }
}
