//! Formats, files, names that are meant to break them, and exit codes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use walker_testing::{Cluster, SUPERUSER, garbagemap_cluster, start_garbagemap, temporary_directory};

use super::{DATABASE, json, number, printed, report, run, table, text, wait_until_exact};

/// As SQL writes it.
const HOSTILE: &str = "\"a<b>&'; --\"";
const ESCAPED: &str = "&#34;a&#60;b&#62;&#38;&#39;; --&#34;";

fn cluster() -> Result<Cluster> {
    let cluster = start_garbagemap(garbagemap_cluster()?.setting("garbagemap.baseline_rate", "1000"))?;
    cluster.psql(
        DATABASE,
        &format!(
            "CREATE TABLE {HOSTILE} (id int, note text);
             INSERT INTO {HOSTILE} SELECT g, repeat('x', g % 100) FROM generate_series(1, 5000) g;
             DELETE FROM {HOSTILE} WHERE id % 3 = 0 AND id < 4000;
             CREATE TABLE small AS SELECT 1 AS id; DELETE FROM small; CREATE TABLE none (id int)"
        ),
    )?;
    wait_until_exact(&cluster, &HOSTILE.replace('\'', "''"))?;
    cluster.psql(DATABASE, "SELECT garbagemap_wait(pg_current_wal_insert_lsn())")?;
    Ok(cluster)
}

/// What a file holds after the command has written over it.
fn written(cluster: &Cluster, directory: &Path, name: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let path = directory.join(name);
    fs::write(&path, "x".repeat(1_000_000))?;
    let said = printed(cluster, &[arguments, &["--output", path.to_str().context("no UTF-8")?]].concat())?;
    ensure!(said.trim_end().ends_with(&format!(" written to {}", path.display())), "{said}");
    Ok(fs::read(&path)?)
}

fn assert_self_contained(page: &str) {
    for outside in ["http:", "https:", "src=", "url(h", "@import", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains(ESCAPED) && !page.contains("a<b>"), "{page}");
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn the_report_is_written_in_each_format_and_its_sql_runs() -> Result<()> {
    let cluster = cluster()?;
    let directory = temporary_directory()?;
    let page = String::from_utf8(written(&cluster, directory.path(), "a.html", &["report"])?)?;
    assert_self_contained(&page);
    ensure!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    let lines = String::from_utf8(written(&cluster, directory.path(), "a.txt", &["report"])?)?;
    ensure!(lines.contains(&format!("public.{HOSTILE}")) && !lines.contains('\u{1b}'));
    let other = String::from_utf8(written(&cluster, directory.path(), "b.txt", &["report", "--format", "html"])?)?;
    ensure!(other.starts_with("<!DOCTYPE html>"));
    let limited = json(&cluster, &["report", "--format", "json", "--limit", "1"])?;
    assert_eq!(limited["tables"].as_array().map(Vec::len), Some(1));
    ensure!(text(&limited["left_out"])?.starts_with("And "));

    let said = report(&cluster)?;
    let hostile = table(&said, &format!("public.{HOSTILE}"))?;
    let of_table = hostile["checks"].as_array().context("no checks")?;
    let of_all = said["checks"].as_array().context("no checks")?;
    ensure!(of_table.len() >= 3 && of_all.len() >= 3);
    for check in of_table.iter().chain(of_all) {
        cluster.psql(DATABASE, text(&check["sql"])?)?;
    }
    // They give the figures that they stand beside.
    let found = cluster.psql(DATABASE, text(&of_table[1]["sql"])?)?;
    let figures = &hostile["figures"];
    let expected = format!("{}|{}|{}|", figures["live_tuples"], figures["dead_tuples"], figures["dead_bytes"]);
    ensure!(found.starts_with(&expected), "{found} {expected}");
    ensure!(number(&figures["dead_tuples"])? == 1_333);
    cluster.psql(DATABASE, text(&hostile["vacuum"])?)?;
    Ok(())
}

#[test]
fn heat_maps_are_written_in_each_format_with_the_figures_of_pgstattuple() -> Result<()> {
    let cluster = cluster()?;
    let directory = temporary_directory()?;
    let one: &[&str] = &["heatmap", "--table", HOSTILE, "--blocks-per-range", "4"];
    let all: &[&str] = &["heatmap", "--all"];
    for arguments in [one, all] {
        let page = String::from_utf8(written(&cluster, directory.path(), "a.html", arguments)?)?;
        assert_self_contained(&page);
        ensure!(written(&cluster, directory.path(), "a.png", arguments)?.starts_with(b"\x89PNG"));
        let svg = String::from_utf8(written(&cluster, directory.path(), "a.svg", arguments)?)?;
        ensure!(svg.starts_with("<svg") && svg.contains("a&lt;b&gt;") && !svg.contains("a<b>"));
        let lines = printed(&cluster, arguments)?;
        ensure!(lines.contains("a<b>&'; --") && !lines.contains('\u{1b}'), "{lines}");
        ensure!(printed(&cluster, &[arguments, &["--format", "svg"]].concat())?.starts_with("<svg"));
    }

    // Each range, by reading the table.
    let data = json(&cluster, &[one, &["--format", "json"]].concat())?;
    let ranges = data["tables"][0]["ranges"].as_array().context("no ranges")?;
    let sum = |column: &str| -> Result<u64> { ranges.iter().map(|range| number(&range[column])).sum() };
    let found = cluster.psql(
        DATABASE,
        &format!(
            "SELECT tuple_count + dead_tuple_count, dead_tuple_count, dead_tuple_len, table_len / 8192 FROM pgstattuple('{}'::regclass)",
            HOSTILE.replace('\'', "''")
        ),
    )?;
    let told = format!("{}|{}|{}|{}", sum("tuples")?, sum("dead_tuples")?, sum("dead_bytes")?, sum("known_blocks")?);
    assert_eq!(told, found.trim());
    let mut next = 0;
    for range in ranges {
        assert_eq!(number(&range["first_block"])?, next);
        next = number(&range["last_block"])? + 1;
    }
    assert_eq!(next, sum("known_blocks")?);

    let csv = printed(&cluster, &[one, &["--format", "csv"]].concat())?;
    assert_eq!(csv.lines().count(), ranges.len() + 1);
    ensure!(csv.lines().skip(1).all(|line| line.starts_with("\"\"\"a<b>&'; --\"\"\",")), "{csv}");
    let header = "table,first_block,last_block,known_blocks,tuples,dead_tuples,dead_bytes,free_bytes,all_visible_blocks,lsn,inexact";
    assert_eq!(csv.lines().next(), Some(header));

    // All tables: those with most garbage first, and what is left out is said.
    let data = json(&cluster, &["heatmap", "--all", "--format", "json"])?;
    assert_eq!(text(&data["tables"][0]["table"])?, format!("public.{HOSTILE}"));
    let tables = cluster.psql(DATABASE, "SELECT count(*) FROM garbagemap WHERE relkind <> 'p' AND n_blocks > 0")?;
    assert_eq!(data["tables"].as_array().map(|tables| tables.len().to_string()).as_deref(), Some(tables.trim()));
    let two = printed(&cluster, &["heatmap", "--all", "--limit", "2"])?;
    let rest = tables.trim().parse::<u64>()? - 2;
    ensure!(two.contains(&format!("And {rest} more tables of ")), "{two}");
    Ok(())
}

#[test]
fn what_cannot_be_done_is_said_and_the_exit_code_is_1() -> Result<()> {
    let cluster = cluster()?;
    let fails = |arguments: &[&str], expected: &str| -> Result<()> {
        let (is_success, text, error) = run(&cluster, arguments)?;
        ensure!(!is_success && text.is_empty() && error.contains(expected), "{arguments:?}: {text}{error}");
        Ok(())
    };
    fails(&["report", "--output", "/nowhere/a.html"], "could not write file \"/nowhere/a.html\"")?;
    fails(&["report", "--output", "/nowhere/a.gif"], "the ending of \"/nowhere/a.gif\" does not tell the format")?;
    fails(&["heatmap", "--table", "t", "--output", "a.gif"], "does not tell the format")?;
    fails(&["heatmap", "--table", "not_there"], "could not find table \"not_there\"")?;
    let too_many = ["heatmap", "--all", "--blocks-per-range", "1", "--format", "svg"];
    ensure!(run(&cluster, &too_many)?.0, "a small database has few blocks");
    cluster.psql(DATABASE, "DROP EXTENSION garbagemap")?;
    fails(&["report"], "does not have the extension garbagemap\nwalker: hint: Run CREATE EXTENSION garbagemap")?;
    fails(&["heatmap", "--all"], "run CREATE EXTENSION garbagemap in this database")?;
    Ok(())
}

#[test]
fn an_owner_sees_his_own_tables() -> Result<()> {
    let cluster = cluster()?;
    cluster.psql(
        DATABASE,
        "CREATE ROLE somebody LOGIN; CREATE SCHEMA his AUTHORIZATION somebody; SET ROLE somebody;
         CREATE TABLE his.own AS SELECT generate_series(1, 100) AS id; DELETE FROM his.own WHERE id < 10",
    )?;
    cluster.psql(DATABASE, "SELECT garbagemap_wait(pg_current_wal_insert_lsn())")?;
    let connection = cluster.connection_string(DATABASE).replace(&format!("user={SUPERUSER}"), "user=somebody");
    for arguments in [&["report"][..], &["heatmap", "--all"]] {
        let data = json(&cluster, &[arguments, &["--format", "json", "--dbname", &connection]].concat())?;
        let tables = data["tables"].as_array().context("no tables")?;
        let names: Vec<&str> =
            tables.iter().filter_map(|table| table["table"].as_str().or(table["figures"]["name"].as_str())).collect();
        assert_eq!(names, ["his.own"], "{data:#}");
    }
    Ok(())
}
