//! `cargo xtask pictures`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use walker_testing::{Cluster, Mode, temporary_directory};

use crate::command::{capture, run as run_command};
use crate::libraries;
use crate::load::{self, DATABASE};
use crate::setup::prepare;
use crate::workspace::{Profile, Workspace, cargo};

/// Draws every picture of README.md and docs/ anew, by the program itself, from a server of its own.
///
/// Files go to docs/pictures. What stands behind `<!-- picture: TABLE -->` in a chapter becomes what `walker heatmap` prints of
/// that table without colours, 80 columns wide. Nothing is random: only the position in the WAL, which each picture names, may
/// differ from time to time.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Major version of PostgreSQL
    #[arg(long, default_value_t = 15, value_name = "MAJOR")]
    pg: u32,
}

/// Tables and the files that show them.
const PICTURES: [(&str, &str); 5] = [
    ("orders", "heatmap.png"),
    ("events", "hot-tail.png"),
    ("accounts", "even-spread.png"),
    ("jobs", "held-back.png"),
    ("archive", "partly-known.png"),
];

/// A table from before the worker's start, of which nothing is read.
const BEFORE: &str = "CREATE TABLE archive (id bigint, note text);
    INSERT INTO archive SELECT id, repeat('x', 60) FROM generate_series(1, 200000) AS id;
    CHECKPOINT";

/// A part of it is changed: some blocks here and there, and all of others.
const AFTER: &str = "UPDATE archive SET note = repeat('y', 60) WHERE id BETWEEN 40001 AND 80000 AND id % 1000 < 400;
    DELETE FROM archive WHERE id BETWEEN 120001 AND 140000;
    DELETE FROM archive WHERE id > 190000 AND id % 3 = 0";

/// Only the newest rows change.
const HOT_TAIL: &str = "CREATE TABLE events (id bigint PRIMARY KEY, state text, note text) WITH (fillfactor = 95);
    CREATE INDEX ON events (state);
    INSERT INTO events SELECT id, 'new', repeat('x', 60) FROM generate_series(1, 100000) AS id;
    UPDATE events SET state = 'seen' WHERE id > 92000;
    UPDATE events SET state = 'paid' WHERE id > 95000 AND id % 3 < 2;
    UPDATE events SET state = 'done' WHERE id > 97000 AND id % 3 < 1";

/// Any row changes, one as often as another.
const EVEN_SPREAD: &str =
    "CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint, filler text) WITH (fillfactor = 85);
    CREATE INDEX ON accounts (balance);
    INSERT INTO accounts SELECT id, 0, repeat('x', 60) FROM generate_series(1, 100000) AS id;
    UPDATE accounts SET balance = id WHERE id * 7919 % 100003 < 12000";

/// Jobs that are all done; nobody may remove them while somebody's snapshot may still see them.
const HELD_BACK: [&str; 2] = [
    "CREATE TABLE jobs (id bigint, state text, note text);
     INSERT INTO jobs SELECT id, 'new', repeat('x', 60) FROM generate_series(1, 40000) AS id",
    "UPDATE jobs SET state = 'done'; DELETE FROM jobs WHERE id <= 39000; VACUUM jobs",
];

/// `cargo xtask pictures`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let installation = prepare(arguments.pg)?;
    let workspace = Workspace::load()?;
    let packages = workspace.server_packages(arguments.pg);
    let libraries = libraries::build(&workspace, &installation, &packages, Profile::Dev)?;
    run_command(cargo()?.args(["build", "--package", "walker-cli"]).current_dir(workspace.root()))?;
    let copy = temporary_directory()?;
    let private = libraries::install_all(&workspace, &installation, &libraries, copy.path())?;

    let mut cluster = Cluster::builder(&private)
        .settings([("autovacuum", "off"), ("checkpoint_timeout", "1h"), ("max_wal_size", "4GB")])
        .start()?;
    cluster.psql(DATABASE, BEFORE)?;
    cluster.configure([
        ("shared_preload_libraries", "walker"),
        ("walker.plugins", "garbagemap"),
        ("garbagemap.baseline_rate", "0"),
    ])?;
    cluster.restart(Mode::Fast)?;
    cluster.psql(DATABASE, "CREATE EXTENSION garbagemap")?;
    for script in [AFTER, HOT_TAIL, EVEN_SPREAD, HELD_BACK[0]] {
        cluster.psql(DATABASE, script)?;
    }
    let mut holder = cluster.session(DATABASE)?;
    holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM jobs")?;
    cluster.psql(DATABASE, HELD_BACK[1])?;
    let draw = |table: &str| heatmap(&cluster, &workspace, table);
    wait(&cluster)?;

    let pictures = workspace.root().join("docs/pictures");
    // What the others hold does not depend on it.
    run_command(draw("jobs").arg("--output").arg(pictures.join("held-back.png")))?;
    let jobs = capture(&mut draw("jobs"))?;
    holder.execute("COMMIT")?;
    load::run_scripts(&cluster)?;
    wait(&cluster)?;
    let mut texts = vec![("jobs", jobs)];
    for (table, file) in PICTURES.into_iter().filter(|(table, _)| *table != "jobs") {
        run_command(draw(table).arg("--output").arg(pictures.join(file)))?;
        texts.push((table, capture(&mut draw(table))?));
    }
    for chapter in chapters(workspace.root())? {
        let text = fs::read_to_string(&chapter).with_context(|| format!("cannot read {}", chapter.display()))?;
        let drawn = with_pictures(&text, &texts).with_context(|| chapter.display().to_string())?;
        if drawn != text {
            fs::write(&chapter, drawn).with_context(|| format!("cannot write {}", chapter.display()))?;
        }
    }
    Ok(())
}

/// Until all that was written is in the map: else the pictures are of some place before.
fn wait(cluster: &Cluster) -> Result<()> {
    let reached = cluster.psql(DATABASE, "SELECT garbagemap_wait(pg_current_wal_insert_lsn(), 60000)")?;
    ensure!(reached == "t", "the worker is behind");
    Ok(())
}

/// As a reader types it, but for where the server is.
fn heatmap(cluster: &Cluster, workspace: &Workspace, table: &str) -> Command {
    let mut command = Command::new(workspace.built(Profile::Dev).join("walker"));
    command.args(["heatmap", "--dbname", &cluster.connection_string(DATABASE), "--table", table]);
    command.args(["--width", "80", "--colour", "never"]).env("LC_ALL", "C.UTF-8");
    command
}

fn chapters(root: &Path) -> Result<Vec<PathBuf>> {
    let mut chapters = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("docs"))? {
        chapters.push(entry?.path());
    }
    chapters.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    Ok(chapters)
}

/// The text of a chapter with what was drawn in place of what was there.
fn with_pictures(text: &str, pictures: &[(&str, String)]) -> Result<String> {
    let (mark, end, fence) = ("<!-- picture: ", " -->\n", "```");
    let mut parts = text.split(mark);
    let mut drawn = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (table, rest) = part.split_once(end).context("a mark without an end")?;
        let (_, picture) = pictures.iter().find(|(name, _)| *name == table).context(format!("no table {table}"))?;
        let block = rest.strip_prefix("```text\n").context(format!("no block of text behind {table}"))?;
        let (old, rest) = block.split_once(fence).context(format!("no end of the block behind {table}"))?;
        ensure!(!old.contains("<!--"), "no end of the block behind {table}");
        let lines = picture.trim_end().lines().map(|line| format!("{}\n", line.trim_end()));
        drawn += &format!("{mark}{table}{end}```text\n{}{fence}{rest}", lines.collect::<String>());
    }
    Ok(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_behind_its_mark_is_replaced() {
        let text = "a\n<!-- picture: t -->\n```text\nold\nlines\n```\nb\n```text\nmine\n```\n";
        let drawn = with_pictures(text, &[("t", "new  \n\nline\n".to_owned())]).unwrap();
        assert_eq!(drawn, "a\n<!-- picture: t -->\n```text\nnew\n\nline\n```\nb\n```text\nmine\n```\n");
        assert_eq!(with_pictures("no mark", &[]).unwrap(), "no mark");
        for wrong in ["<!-- picture: u -->\n```text\n```", "<!-- picture: t", "<!-- picture: t -->\ntext"] {
            assert!(with_pictures(wrong, &[("t", String::new())]).is_err(), "{wrong}");
        }
    }
}
