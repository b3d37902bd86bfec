//! Who holds back removal is named, and the statement beside it ends that.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use walker_testing::{Cluster, garbagemap_cluster, start_garbagemap};

use super::{DATABASE, TIMEOUT, number, printed, report, table, text, wait_until_exact};

const DEAD: u64 = 300;

fn cluster() -> Result<Cluster> {
    let cluster = start_garbagemap(garbagemap_cluster()?.setting("wal_level", "logical"))?;
    cluster.psql(DATABASE, "CREATE TABLE t AS SELECT generate_series(1, 3000) AS id")?;
    // Else it has empty blocks at its end from 16 on, which VACUUM gives back whatever is held.
    cluster.psql(DATABASE, "VACUUM t")?;
    wait_until_exact(&cluster, "t")?;
    Ok(cluster)
}

fn blocker<'r>(report: &'r Value, name: &str) -> Result<&'r Value> {
    let blockers = report["blockers"].as_array().context("no blockers")?;
    blockers.iter().find(|blocker| blocker["name"] == name).with_context(|| format!("{name}: {blockers:#?}"))
}

/// The holder is named and what it holds is not promised; with the statement that is shown all may go.
fn assert_ended_by_its_statement(cluster: &Cluster, name: &str, kind: &str) -> Result<()> {
    cluster.psql(DATABASE, &format!("DELETE FROM t WHERE ctid IN (SELECT ctid FROM t LIMIT {DEAD})"))?;
    let said = report(cluster)?;
    let of_table = table(&said, "public.t")?;
    assert_eq!(of_table["figures"]["held_back_by"], name, "{of_table:#}");
    assert_eq!((number(&of_table["gain"]["tuples"])?, of_table["vacuum"].is_null()), (0, true), "{of_table:#}");
    // No setting would help.
    assert_eq!(
        (&of_table["advice"]["verdict"], of_table["advice"]["statement"].is_null()),
        (&"held_back".into(), true)
    );
    let found = blocker(&said, name)?;
    assert_eq!((text(&found["kind"])?, number(&found["held_tuples"])?), (kind, DEAD));
    ensure!(number(&found["age"])? > 0 && !text(&found["advice"])?.is_empty());
    let statement = text(&found["statement"])?;
    ensure!(printed(cluster, &["report"])?.contains(statement));

    cluster.psql(DATABASE, statement)?;
    // A session that is ended is gone a moment later.
    let gone = format!("SELECT count(*) = 0 FROM garbagemap_horizon() WHERE held_back_by = $name${name}$name$");
    cluster.wait_until_true(DATABASE, &gone, TIMEOUT)?;
    let said = report(cluster)?;
    ensure!(blocker(&said, name).is_err());
    assert_eq!(number(&table(&said, "public.t")?["gain"]["tuples"])?, DEAD);
    cluster.psql(DATABASE, "VACUUM t")?;
    Ok(())
}

#[test]
fn sessions_and_prepared_transactions_are_named_and_ended() -> Result<()> {
    let cluster = cluster()?;
    let mut session = cluster.session(DATABASE)?;
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t")?;
    let name = format!("backend {} (idle in transaction)", session.backend_id());
    assert_ended_by_its_statement(&cluster, &name, "backend")?;

    cluster.psql(DATABASE, "BEGIN; CREATE TABLE other (); PREPARE TRANSACTION 'it''s <b>'")?;
    assert_ended_by_its_statement(&cluster, "prepared transaction 'it''s <b>'", "prepared_transaction")?;
    Ok(())
}

/// A standby of the server that tells it what it still needs.
fn standby_of(primary: &Cluster) -> Result<Cluster> {
    let feedback = garbagemap_cluster()?
        .setting("wal_level", "logical")
        .setting("hot_standby_feedback", "on")
        .setting("wal_receiver_status_interval", "1s");
    let mut standby = primary.base_backup(feedback)?;
    standby.follow(primary)?;
    standby.start()?;
    let fed_back = "SELECT count(*) = 1 FROM pg_stat_replication WHERE backend_xmin IS NOT NULL";
    primary.wait_until_true(DATABASE, fed_back, TIMEOUT)?;
    Ok(standby)
}

#[test]
fn a_standby_is_named_and_its_own_report_refers_to_the_primary() -> Result<()> {
    let primary = cluster()?;
    let standby = standby_of(&primary)?;
    let mut snapshot = standby.session(DATABASE)?;
    snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t")?;
    primary.psql(DATABASE, "DELETE FROM t WHERE id <= 300")?;
    let sender = primary.psql(DATABASE, "SELECT pid FROM pg_stat_replication")?;
    let said = report(&primary)?;
    let name = format!("walsender {} (walreceiver)", sender.trim());
    assert_eq!(table(&said, "public.t")?["figures"]["held_back_by"], name.as_str());
    let found = blocker(&said, &name)?;
    assert_eq!((text(&found["kind"])?, number(&found["held_tuples"])?), ("walsender", DEAD));
    ensure!(text(&found["advice"])?.contains("hot_standby_feedback"));

    let end = primary.flush_wal()?;
    let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{end}'");
    standby.wait_until_true(DATABASE, &replayed, TIMEOUT)?;
    let lines = printed(&standby, &["report"])?;
    ensure!(
        lines.contains("This is a standby: VACUUM runs on its primary") && !lines.contains("ALTER TABLE"),
        "{lines}"
    );
    // It asks nothing that a standby refuses.
    ensure!(printed(&standby, &["heatmap", "--all"])?.contains("public.t"));
    Ok(())
}

#[test]
fn a_logical_slot_holds_back_catalogs() -> Result<()> {
    let cluster = cluster()?;
    cluster.psql(DATABASE, "SELECT pg_create_logical_replication_slot('stays', 'test_decoding')")?;
    // Something has to happen for it to have an age.
    cluster.psql(DATABASE, "CREATE TABLE one (); DROP TABLE one; DELETE FROM t WHERE id <= 300")?;
    let said = report(&cluster)?;
    let name = "replication slot \"stays\"";
    let found = blocker(&said, name)?;
    assert_eq!((text(&found["kind"])?, &found["holds_catalogs_only"]), ("replication_slot", &Value::Bool(true)));
    // Tables of users are not concerned.
    assert_eq!(number(&table(&said, "public.t")?["gain"]["tuples"])?, DEAD);
    let statement = text(&found["statement"])?;
    assert_eq!(statement, "SELECT pg_drop_replication_slot('stays');");
    cluster.psql(DATABASE, statement)?;
    ensure!(blocker(&report(&cluster)?, name).is_err());
    Ok(())
}
