//! A plugin that fails is tried again from what it has kept: nothing is left out and nothing is told again, and other plugins do
//! not wait for it.

mod fault;

use anyhow::{Result, ensure};
use fault::{DATABASE, Load, RUNS, TIMEOUT, prepare_with, wait_for_wal};
use walker_testing::{
    Cluster, LogMark, assert_all_told, assert_garbage_equal, change_again, poll, record_checksum_cluster,
};

const MUCH: u64 = 2 << 20;

/// Lets `record_checksum` fail at the next record. Returns what the log says of it.
fn fail(cluster: &Cluster) -> Result<(LogMark, String)> {
    let mark = cluster.log_mark()?;
    // It may be waiting to be tried again.
    let asked = poll(TIMEOUT, || {
        Ok(cluster.psql(DATABASE, "SELECT walker_ask('record_checksum', 'fail')").is_ok().then_some(()))
    })?;
    ensure!(asked.is_some(), "record_checksum cannot be asked");
    let line = cluster.wait_for_log_since(mark, "plugin \"record_checksum\" failed at WAL record", TIMEOUT)?;
    ensure!(line.contains("WARNING") && line.contains("record_checksum was asked to fail"), "{line}");
    Ok((mark, line))
}

#[test]
fn a_plugin_that_fails_under_load_is_told_everything_once_more_from_what_it_kept() -> Result<()> {
    let builder = record_checksum_cluster()?.setting("walker.retry_interval", "100ms");
    let (cluster, wal) = prepare_with(builder)?;
    let load = Load::start(&cluster)?;
    for round in 0..4 {
        wait_for_wal(&cluster, MUCH)?;
        if round % 2 == 1 {
            cluster.psql(DATABASE, "CHECKPOINT")?;
            wait_for_wal(&cluster, MUCH)?;
        }
        let (_, line) = fail(&cluster)?;
        assert!(line.contains("it is tried again in "), "{line}");
    }
    wait_for_wal(&cluster, MUCH)?;
    drop(load);
    let told = assert_all_told(&cluster, &wal)?;
    assert_eq!(told.ranges.len(), 1, "{told}");
    cluster.wait_for_plugin_row("record_checksum", RUNS)?;
    assert_garbage_equal(&cluster)?;
    let log = cluster.log()?;
    assert!(!log.contains("begins anew") && !log.contains("plugin \"garbagemap\""), "{log}");
    Ok(())
}

#[test]
fn a_plugin_that_waits_to_be_tried_again_does_not_keep_others_waiting() -> Result<()> {
    let builder = record_checksum_cluster()?.setting("walker.retry_interval", "10min");
    let (cluster, wal) = prepare_with(builder)?;
    assert_all_told(&cluster, &wal)?;
    let load = Load::start(&cluster)?;
    let (_, line) = fail(&cluster)?;
    assert!(line.contains("it is tried again in "), "{line}");
    let row =
        "state = 'waiting' AND failures = 1 AND retry_time > last_error_time + '5 min' AND wal_kept AND lag_bytes > 0
         AND last_error LIKE '%was asked to fail%'";
    cluster.wait_for_plugin_row("record_checksum", row)?;
    drop(load);
    change_again(&cluster)?;
    assert_garbage_equal(&cluster)?;
    assert!(cluster.psql(DATABASE, "SELECT walker_ask('record_checksum')").is_err());
    // A reload does not make it wait for another hour.
    cluster.configure([("walker.retry_interval", "100ms")])?;
    cluster.reload()?;
    let told = assert_all_told(&cluster, &wal)?;
    assert_eq!(told.ranges.len(), 1, "{told}");
    cluster.wait_for_plugin_row("record_checksum", RUNS)?;
    assert_garbage_equal(&cluster)
}

#[test]
fn a_plugin_that_is_switched_off_gets_another_chance_at_a_reload() -> Result<()> {
    let builder =
        record_checksum_cluster()?.settings([("walker.retry_interval", "100ms"), ("walker.max_failures", "1")]);
    let (cluster, wal) = prepare_with(builder)?;
    assert_all_told(&cluster, &wal)?;
    let load = Load::start(&cluster)?;
    let (mark, line) = fail(&cluster)?;
    assert!(line.contains("it is switched off after 1 failure"), "{line}");
    cluster.wait_for_plugin_row(
        "record_checksum",
        "state = 'off' AND failures = 1 AND retry_time IS NULL AND NOT wal_kept",
    )?;
    drop(load);
    change_again(&cluster)?;
    assert_garbage_equal(&cluster)?;
    assert!(!cluster.log_since(mark)?.contains("it is tried again"), "{}", cluster.log_since(mark)?);
    cluster.reload()?;
    let told = assert_all_told(&cluster, &wal)?;
    assert_eq!(told.ranges.len(), 1, "{told}");
    cluster.wait_for_plugin_row("record_checksum", RUNS)?;
    assert_garbage_equal(&cluster)
}
