//! `walker dump --format json` and `csv` tell the records that `pg_waldump` tells.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use walker_testing::{Cluster, Installation, walker_command};

fn dump(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(walker_command()?);
    let output = command.arg("dump").args(arguments).arg("--path").arg(cluster.wal_directory()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// What `pg_waldump` says of each record: resource manager, transaction, LSN, operation.
fn told(line: &str) -> Option<[String; 4]> {
    let field = |name: &str| Some(line.split(name).nth(1)?.trim_start().split([' ', ',']).next()?.to_owned());
    let lsn: pgwal::Lsn = field("lsn:")?.parse().ok()?;
    Some([field("rmgr:")?, field("tx:")?, lsn.to_string(), field("desc:")?])
}

#[test]
fn each_record_is_told_once_with_the_same_fields() -> Result<()> {
    let installation = Installation::for_tests().or_else(|_| Installation::find(15))?;
    let cluster = Cluster::builder(&installation).setting("autovacuum", "off").start()?;
    let start = cluster.flush_wal()?.to_string();
    cluster.psql(
        "postgres",
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'x' FROM generate_series(1, 300) g;
         UPDATE t SET v = 'y' WHERE id < 50; CHECKPOINT; DELETE FROM t WHERE id % 7 = 0; VACUUM t;
         SELECT pg_create_restore_point('a, \"b\"');",
    )?;
    let end = cluster.flush_wal()?.to_string();
    let range = ["--start", &start, "--end", &end];
    let expected: Vec<_> = cluster.pg_waldump(range)?.lines().filter_map(told).collect();
    assert!(expected.len() > 500);

    let json = dump(&cluster, &[&range[..], &["--format", "json"]].concat())?;
    assert_eq!(json.lines().count(), expected.len());
    for (line, [rmgr, xid, lsn, operation]) in json.lines().zip(&expected) {
        for part in [
            format!("\"rmgr\":\"{rmgr}\""),
            format!("\"xid\":{xid},"),
            format!("\"lsn\":\"{lsn}\""),
            format!("\"operation\":\"{operation}\""),
        ] {
            assert!(line.contains(&part), "{part} is not in {line}");
        }
    }

    let csv = dump(&cluster, &[&range[..], &["--format", "csv"]].concat())?;
    let mut lines = csv.lines();
    let heading = lines.next().context("no heading")?;
    assert!(heading.starts_with("lsn,end,prev,xid,rmgr,operation,"), "{heading}");
    for (line, [rmgr, xid, lsn, operation]) in lines.by_ref().zip(&expected) {
        let columns: Vec<_> = line.split(',').collect();
        assert_eq!((columns[0], columns[3], columns[4], columns[5]), (&**lsn, &**xid, &**rmgr, &**operation));
    }
    assert!(csv.contains("\"a, \"\"b\"\"\""));
    assert_eq!(csv.lines().count(), expected.len() + 1);
    Ok(())
}
