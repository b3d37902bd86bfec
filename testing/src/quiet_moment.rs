//! Comparing what WALker says with what PostgreSQL says, at one position of the WAL.

use anyhow::{Result, bail, ensure};
use pgwal::Lsn;

use crate::cluster::Cluster;
use crate::session::Session;

/// A server that does nothing for clients still writes to its WAL now and then.
const ATTEMPTS: usize = 10;
const WAIT_MILLISECONDS: u32 = 60_000;

impl Cluster {
    /// Flushes the WAL, waits until the garbage map has reached its end, and lets `read` ask both sides; does it again
    /// until nothing was written meanwhile. So both answers are true for the position that `read` is told.
    ///
    /// A SELECT prunes the pages that it reads, which writes to the WAL: whoever reads tables does it before.
    /// pgstattuple and pageinspect do not prune.
    ///
    /// # Errors
    /// If the garbage map does not arrive, something is written each time, or `read` fails.
    pub fn at_a_quiet_moment<T>(
        &self,
        database: &str,
        mut read: impl FnMut(&mut Session, Lsn) -> Result<T>,
    ) -> Result<T> {
        let mut session = self.session(database)?;
        for _ in 0..ATTEMPTS {
            let lsn = self.flush_wal()?;
            let arrived = session.execute(&format!("SELECT garbagemap_wait('{lsn}', {WAIT_MILLISECONDS})"))?;
            ensure!(arrived == "t", "the garbage map has not reached {lsn} after {WAIT_MILLISECONDS} ms");
            let answer = read(&mut session, lsn)?;
            let now: Lsn = session.execute("SELECT pg_current_wal_insert_lsn()")?.parse()?;
            if now == lsn {
                return Ok(answer);
            }
        }
        bail!("something was written to the WAL in each of {ATTEMPTS} attempts to compare")
    }
}
