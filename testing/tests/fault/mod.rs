//! Servers whose worker tells `record_checksum` and the garbage map while something goes wrong.
#![allow(dead_code, reason = "each test that includes this uses a part of it")]

use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use pgwal::Lsn;
use walker_testing::{
    Cluster, ClusterBuilder, LogMark, Mode, WalCopy, assert_all_told, change_again, every_kind_of_change, poll,
    record_checksum_cluster, start_garbagemap,
};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
pub(crate) const DATABASE: &str = "postgres";

/// A server that keeps its WAL, with tables of all kinds, and a copy of its WAL. All that was written so far was told.
pub(crate) fn prepare() -> Result<(Cluster, WalCopy)> {
    prepare_with(record_checksum_cluster()?)
}

/// As [`prepare`], with other settings.
pub(crate) fn prepare_with(builder: ClusterBuilder) -> Result<(Cluster, WalCopy)> {
    let cluster = start_garbagemap(builder)?;
    cluster.psql(DATABASE, "CREATE EXTENSION walker")?;
    every_kind_of_change(&cluster)?;
    let wal = WalCopy::of(&cluster)?;
    // It has come past a checkpoint, and kept something.
    assert_all_told(&cluster, &wal)?;
    Ok((cluster, wal))
}

/// Starts the server, and waits for its worker. Returns where the log was before.
pub(crate) fn start(cluster: &mut Cluster) -> Result<LogMark> {
    // The first time there is no log yet.
    let mark = if cluster.log_file().exists() { cluster.log_mark()? } else { LogMark::BEGINNING };
    cluster.start()?;
    cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    Ok(mark)
}

/// Stops the server in order, and starts it with other settings.
pub(crate) fn restart_with(cluster: &mut Cluster, settings: &[(&str, &str)]) -> Result<LogMark> {
    cluster.stop(Mode::Fast)?;
    cluster.configure(settings.iter().copied())?;
    start(cluster)
}

/// Transactions of pgbench, until this is dropped or the server has gone.
pub(crate) struct Load(Child);

impl Load {
    /// Makes the tables of pgbench the first time.
    pub(crate) fn start(cluster: &Cluster) -> Result<Self> {
        if cluster.psql(DATABASE, "SELECT to_regclass('pgbench_accounts') IS NULL")? == "t" {
            cluster.pgbench(["--initialize", "--scale=1", "--quiet"])?;
        }
        let mut pgbench = cluster.program("pgbench")?;
        pgbench.args(["--no-vacuum", "--client=3", "--time=600"]);
        pgbench.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(pgbench.spawn()?))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until so many bytes of WAL were written: others write.
pub(crate) fn wait_for_wal(cluster: &Cluster, bytes: u64) -> Result<()> {
    let written = || -> Result<Lsn> { Ok(cluster.psql(DATABASE, "SELECT pg_current_wal_lsn()")?.parse()?) };
    let until = written()?.advanced(bytes);
    let reached = poll(TIMEOUT, || Ok((written()? >= until).then_some(())))?;
    ensure!(reached.is_some(), "no {bytes} bytes of WAL were written in {TIMEOUT:?}");
    Ok(())
}

/// Where the worker's slot holds WAL back.
pub(crate) fn restart_lsn(cluster: &Cluster) -> Result<Lsn> {
    let slot = "SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'walker'";
    Ok(cluster.psql(DATABASE, slot)?.parse()?)
}

/// From now on the server removes the WAL that nobody holds back, at each checkpoint.
pub(crate) fn recycle_soon(cluster: &Cluster) -> Result<()> {
    cluster.configure([("wal_keep_size", "0"), ("min_wal_size", "2MB"), ("max_wal_size", "8MB")])?;
    cluster.reload()
}

/// From now on the server keeps its WAL again.
pub(crate) fn keep_all(cluster: &Cluster) -> Result<()> {
    cluster.configure([("wal_keep_size", "1GB")])?;
    cluster.reload()
}

/// Writes several segments and removes those that are not held back; all of them are in `wal`.
pub(crate) fn write_and_recycle(cluster: &Cluster, wal: &WalCopy) -> Result<()> {
    for _ in 0..2 {
        change_again(cluster)?;
        cluster.psql(DATABASE, "SELECT pg_switch_wal()")?;
        wal.renew(cluster)?;
        cluster.psql(DATABASE, "CHECKPOINT")?;
    }
    Ok(())
}

/// Whether the server's WAL still has the segment of this position.
pub(crate) fn has_wal(cluster: &Cluster, lsn: Lsn) -> Result<bool> {
    let name = format!("SELECT pg_walfile_name('{lsn}'::pg_lsn + 1)");
    Ok(cluster.wal_directory().join(cluster.psql(DATABASE, &name)?).exists())
}

/// The plugin was told all, as its row says too, and is not to be tried again.
pub(crate) const RUNS: &str = "state = 'running' AND pid IS NOT NULL AND lag_bytes = 0 AND applied_lsn = received_lsn
     AND flushed_lsn <= applied_lsn AND records > 0 AND retry_time IS NULL";
