//! What a recovery replayed, by the server's log and its WAL.

use std::fmt;

use anyhow::{Context as _, Result};
use pgwal::{Lsn, Record, RmgrId};

use super::wal_range::for_each_record;
use crate::cluster::Cluster;
use crate::log::LogMark;

/// What a recovery after a crash replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Where redo started.
    pub start: Lsn,
    /// Beginning of the last record that was replayed.
    pub last: Lsn,
    /// Records of the object's resource manager among them, and the blocks in these.
    pub replayed: Replayed,
}

/// Records of one resource manager that were replayed, and the blocks in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Replayed {
    /// How many records.
    pub records: u64,
    /// Blocks that came with the page itself, which redo puts into place.
    pub restored: u64,
    /// Blocks that came without the page, or only with one to compare with: redo itself had to change it.
    pub changed: u64,
    /// Among these, those that came with a page to compare with (`wal_consistency_checking`).
    pub checked: u64,
}

impl Recovery {
    /// The recovery whose beginning is in the server's log after `mark`; `None` if nothing was to be replayed.
    pub(super) fn since(server: &Cluster, mark: LogMark, rmgr: RmgrId) -> Result<Option<Self>> {
        let log = server.log_since(mark)?;
        let Some(start) = position(&log, "redo starts at ") else { return Ok(None) };
        let last = position(&log, "redo done at ");
        let last = last.with_context(|| format!("redo has started at {start} and come to no end:\n{log}"))?;
        let replayed = Replayed::between(server, start, last.advanced(1), rmgr)?;
        Ok(Some(Self { start, last, replayed }))
    }
}

impl Replayed {
    /// Counts the records of `rmgr` that begin between the two positions.
    pub(super) fn between(server: &Cluster, start: Lsn, end: Lsn, rmgr: RmgrId) -> Result<Self> {
        let mut replayed = Self::default();
        for_each_record(server, start, end, |record| {
            if record.rmgr == rmgr {
                replayed.add(record);
            }
        })?;
        Ok(replayed)
    }

    fn add(&mut self, record: &Record<'_>) {
        /// Images of this record that redo does not apply are there to compare with (`XLR_CHECK_CONSISTENCY`).
        const CHECK_CONSISTENCY: u8 = 0x02;

        self.records += 1;
        for block in &record.blocks {
            if block.applied_image().is_some() {
                self.restored += 1;
            } else {
                self.changed += 1;
                self.checked += u64::from(block.image.is_some() && record.info & CHECK_CONSISTENCY != 0);
            }
        }
    }
}

impl std::ops::AddAssign for Replayed {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.restored += other.restored;
        self.changed += other.changed;
        self.checked += other.checked;
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, restored, changed, checked } = self;
        write!(
            formatter,
            "{records} records, {restored} blocks restored, {changed} changed, {checked} of these checked"
        )
    }
}

/// The last position behind `words` in the log.
fn position(log: &str, words: &str) -> Option<Lsn> {
    let (_, behind) = log.rsplit_once(words)?;
    behind.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_in_the_log() {
        let log = "LOG:  redo starts at 0/1500028\nLOG:  redo done at 0/15BFE18 system usage: CPU: user: 0.00 s\n";
        assert_eq!(position(log, "redo starts at "), Some(Lsn::new(0x150_0028)));
        assert_eq!(position(log, "redo done at "), Some(Lsn::new(0x15B_FE18)));
        assert_eq!(position(log, "redo is not required"), None);
    }
}
