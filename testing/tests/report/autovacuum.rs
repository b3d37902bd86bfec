//! Settings that are proposed make autovacuum begin at the number of dead tuples that the report foretells.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use walker_testing::{Cluster, Installation, garbagemap_cluster, poll, start_garbagemap};

use super::{DATABASE, TIMEOUT, report, table, text, wait_until_exact};

const ROWS: u64 = 12_000;
/// A tenth of them.
const WANTED: u64 = 1_200;

fn cluster() -> Result<Cluster> {
    let builder = garbagemap_cluster()?
        .setting("autovacuum", "on")
        .setting("autovacuum_naptime", "1s")
        // Only dead tuples are a reason.
        .setting("autovacuum_vacuum_insert_threshold", "-1")
        .setting("autovacuum_analyze_threshold", "1000000");
    let cluster = start_garbagemap(builder)?;
    cluster.psql(
        DATABASE,
        &format!(
            "CREATE TABLE t (id int, note text);
             INSERT INTO t SELECT g, repeat('x', 750) FROM generate_series(1, {ROWS}) g;
             CREATE TABLE canary (id int) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);
             INSERT INTO canary SELECT generate_series(1, 100)"
        ),
    )?;
    cluster.psql(DATABASE, "VACUUM ANALYZE t")?;
    cluster.psql(DATABASE, "VACUUM ANALYZE canary")?;
    wait_until_exact(&cluster, "t")?;
    Ok(cluster)
}

fn autovacuums(cluster: &Cluster, table: &str) -> Result<String> {
    cluster.psql(DATABASE, &format!("SELECT autovacuum_count FROM pg_stat_user_tables WHERE relname = '{table}'"))
}

fn wait_for_another(cluster: &Cluster, table: &str, before: &str) -> Result<()> {
    let sql = format!("SELECT autovacuum_count > {before} FROM pg_stat_user_tables WHERE relname = '{table}'");
    cluster.wait_until_true(DATABASE, &sql, TIMEOUT)
}

/// So many rows are dead then, and the statistics that autovacuum goes by say so.
fn delete_up_to(cluster: &Cluster, count: u64) -> Result<()> {
    cluster.psql(DATABASE, &format!("DELETE FROM t WHERE id <= {count}"))?;
    let sql = format!("SELECT n_dead_tup = {count} FROM pg_stat_user_tables WHERE relname = 't'");
    cluster.wait_until_true(DATABASE, &sql, TIMEOUT)
}

/// Autovacuum has looked at all tables since this was called.
fn wait_for_a_round(cluster: &Cluster, row: u32) -> Result<()> {
    let before = autovacuums(cluster, "canary")?;
    cluster.psql(DATABASE, &format!("DELETE FROM canary WHERE id = {row}"))?;
    wait_for_another(cluster, "canary", &before)
}

/// The advice on a table, once it is the expected one: another process may hold back removal for a moment.
fn wait_for_verdict(cluster: &Cluster, verdict: &str) -> Result<Value> {
    let advice = || -> Result<Value> { Ok(table(&report(cluster)?, "public.t")?["advice"].clone()) };
    let found = poll(TIMEOUT, || Ok(Some(advice()?).filter(|advice| advice["verdict"] == verdict)))?;
    match found {
        Some(found) => Ok(found),
        None => anyhow::bail!("not {verdict}: {:#}", advice()?),
    }
}

#[test]
fn with_the_proposed_settings_autovacuum_begins_where_it_was_foretold() -> Result<()> {
    let cluster = cluster()?;
    let before = autovacuums(&cluster, "t")?;
    delete_up_to(&cluster, 100)?;
    let advice = wait_for_verdict(&cluster, "change")?;
    assert_eq!(advice["begins_at"].as_f64(), Some(2_450.0), "{advice:#}");
    let words = advice["words"].to_string();
    ensure!(words.contains("10 % of 12,000 tuples are 1,200."), "{words}");
    let statement = text(&advice["statement"])?;
    ensure!(statement.starts_with("ALTER TABLE public.t SET (autovacuum_vacuum_scale_factor = 0.095"), "{statement}");
    cluster.psql(DATABASE, statement)?;

    let begins_above = begins_above(&wait_for_verdict(&cluster, "no_change")?)?;
    ensure!((WANTED - 1..=WANTED).contains(&begins_above), "{begins_above}");
    assert_begins_above(&cluster, begins_above, &before)
}

/// At how many dead tuples autovacuum does not yet begin.
fn begins_above(advice: &Value) -> Result<u64> {
    let number = advice["begins_at"].as_f64().context("no number")?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
    Ok(number as u64)
}

fn assert_begins_above(cluster: &Cluster, count: u64, before: &str) -> Result<()> {
    delete_up_to(cluster, count)?;
    wait_for_a_round(cluster, 1)?;
    wait_for_a_round(cluster, 2)?;
    assert_eq!(autovacuums(cluster, "t")?, before, "it began at {count}");
    delete_up_to(cluster, count + 1)?;
    wait_for_another(cluster, "t", before)
}

#[test]
fn where_tuples_die_quickly_a_fixed_number_is_proposed_as_the_version_has_it() -> Result<()> {
    let cluster = cluster()?;
    let before = autovacuums(&cluster, "t")?;
    // On average of five minutes they are more than a tenth of the table in ten.
    delete_up_to(&cluster, 800)?;
    let advice = wait_for_verdict(&cluster, "change")?;
    let statement = text(&advice["statement"])?;
    ensure!(advice["words"].to_string().contains("die in 10 minutes"), "{advice:#}");
    let major = Installation::for_tests()?.version().major;
    let options = statement.strip_prefix("ALTER TABLE public.t SET (").context("another statement")?;
    let number = match major {
        18.. => options.strip_prefix("autovacuum_vacuum_max_threshold = ").and_then(|rest| rest.strip_suffix(");")),
        _ => options
            .strip_prefix("autovacuum_vacuum_threshold = ")
            .and_then(|rest| rest.strip_suffix(", autovacuum_vacuum_scale_factor = 0);")),
    };
    let number: u64 = number.with_context(|| statement.to_owned())?.parse()?;
    ensure!((WANTED..2_000).contains(&number), "{advice:#}");
    cluster.psql(DATABASE, statement)?;
    assert_eq!(begins_above(&wait_for_verdict(&cluster, "no_change")?)?, number);
    assert_begins_above(&cluster, number, &before)
}

#[test]
fn a_table_that_autovacuum_leaves_alone_is_named() -> Result<()> {
    let cluster = cluster()?;
    cluster.psql(DATABASE, "ALTER TABLE t SET (autovacuum_enabled = off)")?;
    delete_up_to(&cluster, 5_000)?;
    let advice = wait_for_verdict(&cluster, "disabled")?;
    assert_eq!(text(&advice["statement"])?, "ALTER TABLE public.t RESET (autovacuum_enabled);");
    let before = autovacuums(&cluster, "t")?;
    cluster.psql(DATABASE, text(&advice["statement"])?)?;
    wait_for_another(&cluster, "t", &before)
}
