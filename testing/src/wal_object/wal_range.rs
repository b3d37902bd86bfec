//! The records of a range of a server's WAL, read from its files.

use anyhow::{Result, ensure};
use pgwal::{Lsn, Record};
use walker_core::{FileSource, FileSourceOptions, Source as _, WalDirectory};

use crate::cluster::Cluster;

/// Tells `told` all records that begin at `start` or behind it, and before `end`. All of them must be written and not
/// removed.
pub(super) fn for_each_record(server: &Cluster, start: Lsn, end: Lsn, mut told: impl FnMut(&Record<'_>)) -> Result<()> {
    let directory = WalDirectory::open(&server.wal_directory(), None)?;
    ensure!(
        directory.start() <= start,
        "the WAL from {start} on has been removed already: the oldest segment begins at {}",
        directory.start()
    );
    let options = FileSourceOptions { start: Some(start), memory_map: false, ..FileSourceOptions::default() };
    let mut source = FileSource::new(&directory, options);
    let mut reached = start;
    while reached < end {
        let read = source.next_record(|record| {
            if record.lsn < end {
                told(record);
            }
            record.end
        })?;
        let Some(next) = read else {
            let reason = source.end_reason().map_or_else(|| "the files end".to_owned(), ToString::to_string);
            anyhow::bail!("the WAL ends at {reached}, before {end}: {reason}");
        };
        reached = next;
    }
    Ok(())
}
