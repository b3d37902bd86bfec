//! `walker stats --by` counts what the lines of `pg_waldump` add up to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context as _, Result, ensure};
use walker_testing::{Cluster, Installation, walker};

const MAJOR: u32 = 15;
/// Size of a page in bytes.
const PAGE: u64 = 8192;

fn cluster(wal_level: &str) -> Result<Cluster> {
    let installation = Installation::for_tests().or_else(|_| Installation::find(MAJOR))?;
    let settings = [
        ("autovacuum", "off"),
        ("wal_keep_size", "2GB"),
        ("max_prepared_transactions", "10"),
        ("wal_level", wal_level),
    ];
    Cluster::builder(&installation).settings(settings).start()
}

fn stats(cluster: &Cluster, range: &[String; 2], options: &[&str]) -> Result<String> {
    let mut command = walker()?;
    let output = command.arg("stats").args(range).args(options).arg("--path").arg(cluster.wal_directory()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The rows of CSV, each by column.
fn rows(csv: &str) -> Result<Vec<HashMap<&str, &str>>> {
    let mut lines = csv.lines();
    let names: Vec<_> = lines.next().context("no heading")?.split(',').collect();
    Ok(lines.map(|line| names.iter().copied().zip(line.split(',')).collect()).collect())
}

fn number(row: &HashMap<&str, &str>, name: &str) -> Result<u64> {
    row.get(name).with_context(|| format!("no {name}"))?.parse().with_context(|| format!("{name} of {row:?}"))
}

/// Number, size without images, and size of images of all records.
fn total(statistics: &str) -> Result<[u64; 3]> {
    let line = statistics.lines().find(|line| line.starts_with("Total")).context("no total")?;
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.get(..3).and_then(|numbers| numbers.try_into().ok()).with_context(|| line.to_owned())
}

/// What `pg_waldump --bkp-details` says of a block.
struct Reference {
    relation: String,
    fork: String,
    block: u64,
    /// Length of its image in bytes, if there is one.
    image: Option<u64>,
}

impl Reference {
    /// `\tblkref #0: rel 1663/5/16384 fork main blk 7 (FPW); hole: offset: 40, length: 8000, compression saved: 162, ...`
    fn parse(line: &str) -> Option<Self> {
        let word = |name: &str| line.split(name).nth(1)?.split([' ', ',', ';']).next();
        let length = |name: &str| word(name).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        let image = line.contains("(FPW").then(|| PAGE - length(" length: ") - length("compression saved: "));
        let (relation, fork) = (word(" rel ")?.to_owned(), word(" fork ")?.to_owned());
        Some(Self { relation, fork, block: word(" blk ")?.parse().ok()?, image })
    }
}

/// Records by resource manager and so on, with the blocks of each.
fn records(text: &str) -> Vec<(&str, Vec<Reference>)> {
    let mut records: Vec<(&str, Vec<Reference>)> = Vec::new();
    for line in text.lines() {
        match (Reference::parse(line), records.last_mut()) {
            (Some(reference), Some((_, references))) if line.starts_with('\t') => references.push(reference),
            _ => records.push((line, Vec::new())),
        }
    }
    records
}

const LOAD: &str = "
    CREATE TABLE t (id int PRIMARY KEY, n int, filler text);
    INSERT INTO t SELECT g, 0, repeat('x', 100) FROM generate_series(1, 10000) g;
    CREATE TABLE u AS SELECT * FROM t;
    CHECKPOINT;
    UPDATE t SET n = 1 WHERE id % 3 = 0;
    SET wal_compression = on;
    DELETE FROM t WHERE id % 5 = 0; VACUUM t;
    UPDATE u SET n = 2 WHERE id < 100; VACUUM u;
    BEGIN; INSERT INTO t VALUES (100000); SAVEPOINT s; INSERT INTO t VALUES (100001); RELEASE s;
    SAVEPOINT r; INSERT INTO t VALUES (100002); ROLLBACK TO r; COMMIT;
    BEGIN; INSERT INTO t VALUES (100003); SAVEPOINT s; INSERT INTO t VALUES (100004); PREPARE TRANSACTION 'x';
    BEGIN; INSERT INTO t VALUES (100005); PREPARE TRANSACTION 'y';
    BEGIN; INSERT INTO t VALUES (100006); ROLLBACK;
    INSERT INTO t VALUES (100007);
    COMMIT PREPARED 'x';";

/// A load, its range and what pg_waldump says of it in detail.
fn loaded(wal_level: &str) -> Result<(Cluster, [String; 2], String)> {
    let cluster = cluster(wal_level)?;
    let start = cluster.flush_wal()?;
    cluster.psql("postgres", LOAD)?;
    let range = [format!("--start={start}"), format!("--end={}", cluster.flush_wal()?)];
    let text = cluster.pg_waldump([&range[0], &range[1], "--bkp-details"])?;
    Ok((cluster, range, text))
}

#[test]
fn places_have_the_records_and_images_that_pg_waldump_shows_of_them() -> Result<()> {
    let (cluster, range, text) = loaded("replica")?;
    let records = records(&text);
    let [count, record_size, fpi_size] = total(&cluster.pg_waldump([&range[0], &range[1], "--stats"])?)?;
    assert_eq!(records.len() as u64, count);
    let without_blocks = records.iter().filter(|(_, references)| references.is_empty()).count() as u64;

    for (by, length) in [("relation", None), ("fork", None), ("block-range", Some(128)), ("block-range", Some(7))] {
        let length_option = length.map(|length: u64| format!("--blocks-per-range={length}"));
        let mut options = vec!["--by", by, "--format=csv"];
        // 128 is what it is if nothing is said.
        options.extend(length_option.as_deref().filter(|_| length != Some(128)));
        let csv = stats(&cluster, &range, &options)?;
        let place = |reference: &Reference| {
            let fork = if by == "relation" { "" } else { &reference.fork };
            let block = length.map_or(String::new(), |length| (reference.block / length * length).to_string());
            format!("{} {fork} {block}", reference.relation)
        };
        // Records, images, bytes of images.
        let mut expected: BTreeMap<String, [u64; 3]> = BTreeMap::new();
        for (_, references) in &records {
            for place in references.iter().map(place).collect::<BTreeSet<_>>() {
                expected.entry(place).or_default()[0] += 1;
            }
            for reference in references {
                let [_, images, bytes] = expected.entry(place(reference)).or_default();
                *images += u64::from(reference.image.is_some());
                *bytes += reference.image.unwrap_or(0);
            }
        }
        expected.insert("-".to_owned(), [without_blocks, 0, 0]);
        let mut found = BTreeMap::new();
        let (mut sizes, mut last) = ([0, 0], u64::MAX);
        for row in rows(&csv)? {
            let name = match row["tablespace"] {
                "" => "-".to_owned(),
                tablespace => {
                    let part = |name| row.get(name).copied().unwrap_or_default();
                    let [database, file, fork, block] = ["database", "filenode", "fork", "first_block"].map(part);
                    format!("{tablespace}/{database}/{file} {fork} {block}")
                }
            };
            let numbers = [number(&row, "count")?, number(&row, "fpi_count")?, number(&row, "fpi_size")?];
            found.insert(name, numbers);
            sizes[0] += number(&row, "record_size")?;
            sizes[1] += numbers[2];
            let size = number(&row, "combined_size")?;
            assert!(size <= last, "not sorted: {row:?}");
            last = size;
        }
        assert!(found.len() > 10);
        assert_eq!(found, expected, "--by {by}");
        assert_eq!(sizes, [record_size, fpi_size], "--by {by}");
    }
    // The same by pg_waldump's own choice, for the table that changed most.
    let csv = stats(&cluster, &range, &["--by=relation", "--format=csv", "--top=1"])?;
    let row = rows(&csv)?.pop().context("no row")?;
    let relation = ["tablespace", "database", "filenode"].map(|name| row[name]).join("/");
    let chosen = total(&cluster.pg_waldump([&range[0], &range[1], "--stats", "--relation", &relation])?)?;
    assert_eq!(number(&row, "count")?, chosen[0]);

    // As text and JSON, with the others added up.
    let text = stats(&cluster, &range, &["--by=fork", "--top=2"])?;
    assert_eq!(text.lines().count(), 3 + 2 + 2, "{text}");
    assert_eq!(total(&text)?, [count, record_size, images(&csv_of(&cluster, &range, "fork")?)?]);
    assert!(text.contains(&relation) && text.contains("\nothers ("), "{text}");
    let json = stats(&cluster, &range, &["--by=block-range", "--format=json", "--top=2"])?;
    assert!(json.contains("\"by\": \"block-range\"") && json.contains("\"others\": {"), "{json}");
    Ok(())
}

fn csv_of(cluster: &Cluster, range: &[String; 2], by: &str) -> Result<String> {
    stats(cluster, range, &["--format=csv", "--by", by])
}

/// The number of images of all rows.
fn images(csv: &str) -> Result<u64> {
    rows(csv)?.iter().map(|row| number(row, "fpi_count")).sum()
}

#[test]
fn rows_by_resource_manager_are_the_same_in_csv_and_largest_first_if_asked() -> Result<()> {
    let (cluster, range, _) = loaded("replica")?;
    let theirs = cluster.pg_waldump([&range[0], &range[1], "--stats=record"])?;
    let csv = csv_of(&cluster, &range, "record")?;
    let mut last = u64::MAX;
    for row in rows(&csv)? {
        let name = format!("{}/{} ", row["rmgr"], row["record"]);
        let line = theirs.lines().find(|line| line.starts_with(&name)).with_context(|| name.clone())?;
        for field in ["count", "record_size", "fpi_size", "combined_size"] {
            assert!(line.contains(&format!(" {} (", row[field])), "{name} {field}");
        }
    }
    let top = stats(&cluster, &range, &["--by=record", "--top=3", "--format=csv"])?;
    for row in rows(&top)? {
        let size = number(&row, "combined_size")?;
        assert!(size <= last);
        last = size;
    }
    assert_eq!(top.lines().count(), 4);
    let one = stats(&cluster, &range, &["--top=1"])?;
    assert!(one.lines().nth(3).is_some_and(|line| line.starts_with("Heap")), "{one}");
    Ok(())
}

#[test]
fn transactions_have_their_records_and_their_outcome() -> Result<()> {
    for wal_level in ["replica", "logical"] {
        let (cluster, range, text) = loaded(wal_level)?;
        let records = records(&text);
        let [count, record_size, fpi_size] = total(&cluster.pg_waldump([&range[0], &range[1], "--stats"])?)?;
        let csv = csv_of(&cluster, &range, "transaction")?;
        let rows = rows(&csv)?;
        let xid = |line: &str| {
            line.split("tx:").nth(1).and_then(|rest| rest.split(',').next()).map(str::trim).map(str::to_owned)
        };
        let ends: Vec<_> =
            records.iter().map(|(line, _)| *line).filter(|line| line.contains("rmgr: Transaction")).collect();
        let mut by_outcome: BTreeMap<&str, u64> = BTreeMap::new();
        let mut sums = [0; 3];
        for row in &rows {
            let counts = ["count", "record_size", "fpi_size"].map(|name| number(row, name));
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count?;
            }
            *by_outcome.entry(row["outcome"]).or_default() += 1;
            let own: Vec<_> = records.iter().filter(|(line, _)| xid(line).as_deref() == Some(row["xid"])).collect();
            if row["subtransactions"] == "0" && row["outcome"] == "committed" {
                assert_eq!(number(row, "count")?, own.len() as u64, "{row:?}");
                let commit = own.last().context("no record")?.0;
                let time = commit.split("COMMIT ").nth(1).and_then(|rest| rest.get(..30));
                assert_eq!(time, Some(row["time"]), "{row:?}");
                let lsn: pgwal::Lsn = row["begin"].parse()?;
                let first = format!("lsn: {:X}/{:08X},", lsn.get() >> 32, lsn.get() & 0xFFFF_FFFF);
                assert!(own[0].0.contains(&first), "{row:?}");
            }
        }
        assert_eq!(sums, [count, record_size, fpi_size]);
        // The one with savepoints: three transactions, or two if that which was rolled back is not told of.
        let told = u64::from(wal_level == "logical");
        let with_savepoints =
            rows.iter().find(|row| number(row, "subtransactions").is_ok_and(|number| number == 1 + told));
        assert_eq!(with_savepoints.context("no transaction with savepoints")?["outcome"], "committed");
        assert_eq!(by_outcome["aborted"], 2 - told, "{csv}");
        assert_eq!((by_outcome["prepared"], by_outcome[""]), (1, 1), "{csv}");
        // The commit of the prepared one belongs to it.
        let prepared = ends.iter().find(|line| line.contains("COMMIT_PREPARED")).context("no COMMIT_PREPARED")?;
        let prepared = prepared.split("COMMIT_PREPARED ").nth(1).and_then(|rest| rest.split(':').next());
        let row = rows.iter().find(|row| Some(row["xid"]) == prepared).context("no prepared transaction")?;
        assert_eq!((row["outcome"], row["subtransactions"]), ("committed", "1"));

        let top = stats(&cluster, &range, &["--by=transaction", "--top=2"])?;
        assert_eq!(top.lines().count(), 3 + 2 + 2, "{top}");
        assert_eq!(total(&top)?[..2], [count, record_size]);
    }
    Ok(())
}

#[test]
fn options_that_do_not_go_together_are_refused() -> Result<()> {
    for options in [["--by=fork", "--blocks-per-range=8"], ["--per-record", "--by=fork"], ["--by=table", "-q"]] {
        let status = walker()?.arg("stats").args(options).output()?.status;
        assert_eq!(status.code(), Some(1), "{options:?}");
    }
    Ok(())
}
