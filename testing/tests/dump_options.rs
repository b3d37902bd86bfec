//! Command lines of `pg_waldump` work unchanged behind `walker dump`, and what is more than `pg_waldump` offers is
//! checked against its text.

use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use pgwal::{Lsn, SegmentName, SegmentNo, TimelineId};
use walker_testing::{Cluster, Installation, temporary_directory, walker};

const MAJOR: u32 = 15;
const SEGMENT_SIZE: u32 = 1024 * 1024;

fn cluster() -> Result<Cluster> {
    let installation = Installation::for_tests().or_else(|_| Installation::find(MAJOR))?;
    let settings = [
        ("autovacuum", "off"),
        ("wal_keep_size", "2GB"),
        ("max_prepared_transactions", "10"),
        ("track_commit_timestamp", "on"),
    ];
    Cluster::builder(&installation).initdb_option("--wal-segsize=1").settings(settings).start()
}

fn text(output: Output) -> Result<String> {
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// What both programs do with the same command line.
fn both(cluster: &Cluster, arguments: &[&str]) -> Result<(Output, Output)> {
    let directory = cluster.wal_directory();
    let ours = walker()?.arg("dump").args(arguments).current_dir(&directory).output()?;
    let mut theirs = cluster.program("pg_waldump")?;
    Ok((ours, theirs.env("TZ", "UTC").args(arguments).current_dir(&directory).output()?))
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// The segment that holds `lsn`.
fn segment(lsn: Lsn) -> String {
    let number = SegmentNo::of(lsn, SEGMENT_SIZE);
    SegmentName::new(TimelineId::new(1), number, SEGMENT_SIZE).to_string()
}

/// Some records of several segments: a start that is no beginning of a segment, and the end.
fn load(cluster: &Cluster) -> Result<(Lsn, Lsn)> {
    let start = cluster.flush_wal()?;
    cluster.psql(
        "postgres",
        "CREATE TABLE t (id int PRIMARY KEY, filler text);
         INSERT INTO t SELECT g, repeat('x', 200) FROM generate_series(1, 10000) g;
         CHECKPOINT; UPDATE t SET filler = 'y' WHERE id % 100 = 0; VACUUM t;
         BEGIN; INSERT INTO t VALUES (-1); SAVEPOINT a; INSERT INTO t VALUES (-2); ROLLBACK TO a; COMMIT;
         SELECT FROM pg_switch_wal();",
    )?;
    Ok((start, cluster.flush_wal()?))
}

#[test]
fn command_lines_of_pg_waldump_work_unchanged() -> Result<()> {
    let cluster = cluster()?;
    let (start, end) = load(&cluster)?;
    let range = [format!("--start={start}"), format!("--end={end}")];
    let [first, second, last] = [start, start.advanced(SEGMENT_SIZE.into()), end].map(segment);
    let with_directory = cluster.wal_directory().join(&second).display().to_string();
    let within = format!("--start={}", Lsn::new((start.get() / 0x10_0000 + 1) * 0x10_0000 + 0x1000));
    let before = format!("--end={}", Lsn::new((start.get() / 0x10_0000 + 2) * 0x10_0000 - 0x1000));
    let end_of_segment = format!("-e{}", Lsn::new((start.get() / 0x10_0000 + 2) * 0x10_0000));
    let range = [range[0].as_str(), range[1].as_str()];
    let path = cluster.data_directory().display().to_string();
    let cases: [&[&str]; 25] = [
        &["-z", range[0], range[1]],
        &["--stats", range[0], range[1]],
        &["--stats=rmgr", range[0], range[1]],
        &["--stats=record", range[0], range[1], "-r", "Heap"],
        &["-z", "-q", range[0], range[1]],
        &["-z", "-x", "1", range[0], range[1]],
        &["-z", "-w", "-n", "3", range[0], range[1]],
        &["-f", range[0], range[1]],
        &["-fz", range[0], range[1]],
        &["-p", &path, "-n", "-1", range[0], range[1]],
        &["-n0", "-t1", range[0], range[1]],
        &["-x", "4000000000", range[0], range[1]],
        &[&first, range[0], "-b"],
        &[&second],
        &[&with_directory],
        &["-p", &path, &second, "-q"],
        &["-p.", &second, &last, range[1]],
        &[&first, &last, range[0], range[1], "-bw"],
        &[&second, &within, &before],
        &[&second, &within],
        &[&second, &end_of_segment],
        &["-z", &second, "-t", "7"],
        &["-F", "vm", range[0], range[1]],
        &["-F", "fsm", "-b", range[0], range[1]],
        &["-F", "init", range[0], range[1]],
    ];
    for arguments in cases {
        let (ours, theirs) = both(&cluster, arguments)?;
        let (status, stderr) = (ours.status, String::from_utf8_lossy(&ours.stderr).into_owned());
        assert_eq!(status.code(), theirs.status.code(), "{arguments:?}: {stderr}");
        assert_eq!(ours.stderr.is_empty(), theirs.stderr.is_empty(), "{arguments:?}: {stderr}");
        let (ours, theirs) = (String::from_utf8(ours.stdout)?, String::from_utf8(theirs.stdout)?);
        for (our, their) in ours.lines().zip(theirs.lines()) {
            assert_eq!(our, their, "{arguments:?}");
        }
        assert_eq!(ours.len(), theirs.len(), "{arguments:?}");
        let silent = arguments.iter().any(|argument| ["-q", "fsm", "init", "4000000000", "1"].contains(argument));
        assert_eq!(ours.is_empty(), silent, "{arguments:?}");
    }
    for option in ["-V", "--version", "-?", "--help"] {
        assert!(text(walker()?.args(["dump", option]).output()?)?.contains("walker"), "{option}");
    }
    Ok(())
}

#[test]
fn mistakes_have_the_exit_code_and_the_words_of_pg_waldump() -> Result<()> {
    let cluster = cluster()?;
    let (start, end) = load(&cluster)?;
    let [first, second] = [start, start.advanced(SEGMENT_SIZE.into())].map(segment);
    let (start, end) = (format!("--start={start}"), format!("--end={end}"));
    let empty = temporary_directory()?;
    let empty = empty.path().display().to_string();
    let full = cluster.data_directory().display().to_string();
    // Without words: both have their own.
    let cases: [(&[&str], &str); 27] = [
        (&["-p", "/nowhere", &start], "could not open directory \"/nowhere\": No such file or directory"),
        (&["-p", &empty, &start], "could not find any WAL file"),
        (&["-p", &second, &start], ": Not a directory"),
        (&["/nowhere/000000010000000000000001"], "could not open directory \"/nowhere\": No such file or directory"),
        (&["00000001000000000000ABCD"], "could not locate WAL file \"00000001000000000000ABCD\""),
        (&[&first, "00000001000000000000ABCD"], "00000001000000000000ABCD\""),
        (&["nothing"], "\"nothing\""),
        (&[&second, &first], &format!("ENDSEG {first} is before STARTSEG {second}")),
        (&[&second, &start], &format!("is not inside file \"{second}\"")),
        (&[&first, &end], &format!("is not inside file \"{first}\"")),
        (&[&first, &second, "third"], ""),
        (&["-s", "0", &end], "invalid WAL location: \"0\""),
        (&["-e", "x/y", &start], "invalid WAL location: \"x/y\""),
        (&["-s", "FFFF/0"], ""),
        (&[&start, "-e", "FFFF/0"], ""),
        (&[&start, "-t", "0"], ""),
        (&[&start, "-t", "x"], ""),
        (&[&start, "-r", "none"], "resource manager \"none\" does not exist"),
        (&[&start, "-r", "custom1"], "custom resource manager \"custom1\" does not exist"),
        (&[&start, "-R", "1/2"], "invalid relation specification: \"1/2\""),
        (&[&start, "-R", "0/2/3"], "invalid relation specification: \"0/2/3\""),
        (&[&start, "-F", "MAIN"], "invalid fork name: \"MAIN\""),
        (&[&start, "-x", "abc"], ""),
        (&[&start, "-B", "1"], ""),
        (&[&start, "-n", "many"], ""),
        (&[&start, "--stats=fork"], ""),
        (&[&start, "--unknown"], ""),
    ];
    for (arguments, words) in cases {
        let (ours, theirs) = both(&cluster, arguments)?;
        assert_eq!((ours.status.code(), theirs.status.code()), (Some(1), Some(1)), "{arguments:?}");
        let [ours, theirs] = [ours.stderr, theirs.stderr].map(|stderr| String::from_utf8_lossy(&stderr).into_owned());
        assert!(ours.contains(words) && theirs.contains(words), "{arguments:?}\n{ours}{theirs}");
    }
    let refused = walker()?.args(["dump", "--save-fullpage", &full]).output()?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr)?.contains(&format!("directory \"{full}\" exists but is not empty")));
    Ok(())
}

#[test]
fn options_that_choose_records_may_be_repeated() -> Result<()> {
    let cluster = cluster()?;
    let start = cluster.flush_wal()?.to_string();
    let xid = |sql: &str| cluster.psql("postgres", &format!("{sql} RETURNING pg_current_xact_id()::xid"));
    cluster.psql("postgres", "CREATE TABLE a (id int); CREATE TABLE b (id int); CREATE TABLE c (id int)")?;
    let xids = [xid("INSERT INTO a VALUES (1)")?, xid("INSERT INTO b VALUES (1)")?, xid("INSERT INTO c VALUES (1)")?];
    cluster.psql(
        "postgres",
        "INSERT INTO a SELECT generate_series(1, 1000); INSERT INTO b SELECT generate_series(1, 1000);
         VACUUM a; VACUUM b; INSERT INTO c SELECT generate_series(1, 1000)",
    )?;
    let end = cluster.flush_wal()?.to_string();
    let relation = |table: &str| {
        let path = "SELECT concat_ws('/', 1663, oid, pg_relation_filenode('TABLE')) FROM pg_database
                     WHERE datname = current_database()";
        cluster.psql("postgres", &path.replace("TABLE", table))
    };
    let (a, b) = (relation("a")?, relation("b")?);
    let range = ["-s", &start, "-e", &end];
    let dump = |options: &[&str]| -> Result<String> {
        let path = cluster.wal_directory();
        text(walker()?.arg("dump").args(range).args(options).arg("-p").arg(path).output()?)
    };
    // What several runs of pg_waldump show together.
    let together = |runs: &[&[&str]]| -> Result<BTreeSet<String>> {
        let mut together = BTreeSet::new();
        for options in runs {
            let shown = cluster.pg_waldump(range.iter().chain(*options))?;
            ensure!(!shown.is_empty(), "{options:?} finds nothing");
            together.extend(shown.lines().map(str::to_owned));
        }
        Ok(together)
    };
    let cases: [(&[&str], &[&[&str]]); 5] = [
        (&["-x", &xids[0], "-x", &xids[2]], &[&["-x", &xids[0]], &["-x", &xids[2]]]),
        (&["-R", &a, "-R", &b], &[&["-R", &a], &["-R", &b]]),
        (&["-R", &a, "-R", &b, "-B", "2"], &[&["-R", &a, "-B", "2"], &["-R", &b, "-B", "2"]]),
        (&["-R", &a, "-B", "1", "-B", "3"], &[&["-R", &a, "-B", "1"], &["-R", &a, "-B", "3"]]),
        (&["-R", &a, "-F", "vm", "-F", "main"], &[&["-R", &a, "-F", "vm"], &["-R", &a, "-F", "main"]]),
    ];
    for (options, runs) in cases {
        let ours = dump(options)?;
        assert_eq!(ours.lines().map(str::to_owned).collect::<BTreeSet<_>>(), together(runs)?, "{options:?}");
    }
    Ok(())
}

#[test]
fn times_of_commit_bound_what_is_shown() -> Result<()> {
    let cluster = cluster()?;
    let start = cluster.flush_wal()?.to_string();
    cluster.psql("postgres", "CREATE TABLE t (id int)")?;
    for sql in [
        "INSERT INTO t VALUES (1)",
        "BEGIN; INSERT INTO t VALUES (2); ROLLBACK",
        "BEGIN; INSERT INTO t VALUES (3); PREPARE TRANSACTION 'x'",
        "INSERT INTO t VALUES (4)",
        "COMMIT PREPARED 'x'",
        "INSERT INTO t VALUES (5)",
    ] {
        cluster.psql("postgres", sql)?;
    }
    let end = cluster.flush_wal()?.to_string();
    let mut pg_waldump = cluster.program("pg_waldump")?;
    let all = pg_waldump.env("TZ", "UTC").args(["-s", &start, "-e", &end, "-p"]).arg(cluster.wal_directory());
    let all = text(all.output()?)?;
    let all = lines(&all);
    // Time of the end of a transaction, as the text has it.
    let time = |line: &str| -> Option<String> {
        let (_, description) = line.split_once("desc: ")?;
        let (operation, rest) = description.split_once(' ')?;
        let ends = ["COMMIT", "ABORT", "COMMIT_PREPARED", "ABORT_PREPARED"].contains(&operation);
        let at = rest.find(" UTC")?;
        ends.then(|| rest.get(at.checked_sub(26)?..at + 4).map(str::to_owned))?
    };
    let times: Vec<_> = all.iter().filter_map(|line| time(line)).collect();
    assert!(times.len() >= 6, "{times:?}");
    let dump = |zone: &str, options: &[&str]| -> Result<String> {
        let mut command = walker()?;
        let command = command.args(["dump", "-s", &start, "-e", &end]).args(options).arg("-p");
        text(command.arg(cluster.wal_directory()).env("TZ", zone).output()?)
    };
    let place =
        |wanted: &str| all.iter().position(|line| time(line).as_deref() == Some(wanted)).context("no such time");
    for wanted in &times {
        let since = dump("UTC", &["--since", wanted])?;
        assert_eq!(lines(&since), all[place(wanted)?..], "--since {wanted}");
        // The first later end of a transaction is where it stops.
        let later = all.iter().position(|line| time(line).is_some_and(|time| time > *wanted)).unwrap_or(all.len());
        let until = dump("UTC", &["--until", wanted])?;
        assert_eq!(lines(&until), all[..later], "--until {wanted}");
    }
    // Both together, in another form, with another option and in statistics.
    let (first, last) = (&times[1], &times[4]);
    let later = all.iter().position(|line| time(line).is_some_and(|time| time > *last)).context("no later one")?;
    let expected = &all[place(first)?..later];
    let offset = |time: &str| time.replace(" UTC", "+00").replacen(' ', "T", 1);
    let local = |time: &str| time.replace(" UTC", "");
    assert_eq!(lines(&dump("Asia/Tokyo", &["--since", &offset(first), "--until", &offset(last), "-q"])?).len(), 0);
    let both = dump("UTC", &["--since", &local(first), "--until", &local(last), "-r", "Heap"])?;
    let heap: Vec<_> = expected.iter().copied().filter(|line| line.starts_with("rmgr: Heap ")).collect();
    assert_eq!(lines(&both), heap);
    let statistics = dump("Asia/Tokyo", &["--since", &offset(first), "--until", &offset(last), "-z"])?;
    let total = lines(&statistics).last().and_then(|line| line.split_whitespace().nth(1)).map(str::to_owned);
    assert_eq!(total, Some(expected.len().to_string()));
    // Read as local time, it is nine hours earlier.
    let first_end = all.iter().position(|line| time(line).is_some()).context("no end")?;
    assert_eq!(lines(&dump("Asia/Tokyo", &["--until", &local(last)])?), all[..first_end]);
    Ok(())
}

#[test]
fn times_are_local() -> Result<()> {
    let cluster = cluster()?;
    let start = cluster.flush_wal()?.to_string();
    let origin = "SELECT pg_replication_origin_create('there'), pg_replication_origin_session_setup('there');";
    let times = [
        "2026-03-08 06:59:59.999999+00",
        "2026-03-08 07:00:00+00",
        "2026-11-01 05:59:59.5+00",
        "2026-11-01 06:00:00+00",
        "2026-07-01 12:00:00.000001+00",
        "1999-07-01 12:00:00.25+00",
        "1999-12-31 23:59:59.999999+00",
        "1700-01-01 00:00:00+00",
        "0800-02-03 04:05:06+00",
        "0044-03-15 12:00:00+00 BC",
        "12026-01-01 00:00:00+00",
        "infinity",
    ];
    // The time at a replicated transaction's origin is free, and printed by the same function as that of its commit.
    let transaction = |time| {
        format!(
            "BEGIN; SELECT pg_replication_origin_xact_setup('0/AFFE', '{time}'); CREATE TABLE t (a int);
                 DROP TABLE t; COMMIT;"
        )
    };
    cluster.psql("postgres", &(origin.to_owned() + &times.map(transaction).concat()))?;
    cluster.psql(
        "postgres",
        "BEGIN; CREATE TABLE t (a int); PREPARE TRANSACTION 'x'; COMMIT PREPARED 'x'; CHECKPOINT;
         SELECT pg_create_restore_point('here');",
    )?;
    let end = cluster.flush_wal()?.to_string();
    for zone in ["UTC", "America/New_York", "Asia/Kolkata", "Europe/Dublin", "Australia/Lord_Howe", "<+0330>-3:30", ""]
    {
        let print = |command: &mut Command, more: &[&str]| -> Result<String> {
            let command = command.args(["-s", &start, "-e", &end, "-p"]).arg(cluster.wal_directory()).args(more);
            text(command.env("TZ", zone).output()?)
        };
        let ours = print(walker()?.arg("dump"), &[])?;
        let theirs = print(&mut cluster.program("pg_waldump")?, &[])?;
        for (our, their) in ours.lines().zip(theirs.lines()) {
            assert_eq!(our, their, "TZ={zone}");
        }
        assert_eq!(ours.len(), theirs.len(), "TZ={zone}");
        if zone == "America/New_York" {
            assert!(
                ours.contains("at 2026-03-08 01:59:59.999999 EST")
                    && ours.contains("at 2026-03-08 03:00:00.000000 EDT")
            );
            let json = print(walker()?.arg("dump"), &["--format=json"])?;
            assert!(json.contains("at 2026-11-01 01:59:59.500000 EDT") && json.contains("01:00:00.000000 EST"));
            let statistics = print(walker()?.arg("stats"), &["--by=transaction"])?;
            assert!(statistics.contains(" EST ") || statistics.contains(" EDT "), "{statistics}");
        }
    }
    Ok(())
}

/// The files of a directory, by name.
fn files(directory: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in directory.read_dir()? {
        let path = entry?.path();
        files.push((path.file_name().context("no name")?.to_string_lossy().into_owned(), std::fs::read(path)?));
    }
    files.sort_unstable();
    Ok(files)
}

#[test]
fn images_are_saved_as_pg_waldump_saves_them() -> Result<()> {
    // The pg_waldump of 15 does not save images.
    for major in 16..=18 {
        let installation = match Installation::find(major) {
            Ok(installation) => installation,
            Err(error) => {
                // Nothing may be left out in continuous integration.
                ensure!(env::var_os("CI").is_none_or(|value| value != "true"), "{error:#}");
                eprintln!("skipped: {error:#}");
                continue;
            }
        };
        let cluster = Cluster::builder(&installation).setting("autovacuum", "off").start()?;
        let start = cluster.flush_wal()?.to_string();
        for compression in ["off", "pglz", "lz4", "zstd"] {
            let supported = "SELECT $1 = ANY (enumvals) FROM pg_settings WHERE name = 'wal_compression'";
            if cluster.psql("postgres", &supported.replace("$1", &format!("'{compression}'")))? != "t" {
                continue;
            }
            cluster.psql(
                "postgres",
                &format!(
                    "SET wal_compression = {compression};
                     CREATE TABLE {compression}_t AS SELECT g AS id, repeat('abc', 20) AS r FROM generate_series(1, 3000) g;
                     CREATE INDEX ON {compression}_t (id); VACUUM {compression}_t; CHECKPOINT;
                     UPDATE {compression}_t SET r = 'd' WHERE id % 50 = 0; VACUUM {compression}_t;
                     SET wal_consistency_checking = 'heap'; DELETE FROM {compression}_t WHERE id = 7;"
                ),
            )?;
        }
        let end = cluster.flush_wal()?.to_string();
        let parent = temporary_directory()?;
        let [ours, theirs] = ["ours/below", "theirs"].map(|name| parent.path().join(name));
        let save = |command: &mut Command, directory: &Path, more: &[&str]| -> Result<String> {
            let command = command.args(["-s", &start, "-e", &end, "-p"]).arg(cluster.wal_directory()).args(more);
            text(command.arg("--save-fullpage").arg(directory).env("TZ", "UTC").output()?)
        };
        let our_text = save(walker()?.arg("dump"), &ours, &[])?;
        assert_eq!(our_text, save(&mut cluster.program("pg_waldump")?, &theirs, &[])?);
        let (our_files, their_files) = (files(&ours)?, files(&theirs)?);
        let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&our_files), names(&their_files));
        assert!(our_files == their_files && our_files.len() > 50, "{} files", our_files.len());
        assert!(names(&our_files).iter().any(|name| name.ends_with("_vm")));
        // With statistics, and of chosen records only.
        let [ours, theirs] = ["our statistics", "their statistics"].map(|name| parent.path().join(name));
        let options = ["--stats", "-F", "vm"];
        let our_text = save(walker()?.arg("dump"), &ours, &options)?;
        assert_eq!(our_text, save(&mut cluster.program("pg_waldump")?, &theirs, &options)?);
        assert!(files(&ours)? == files(&theirs)? && !files(&ours)?.is_empty());
    }
    Ok(())
}

#[test]
fn a_saved_image_is_the_page() -> Result<()> {
    let cluster = cluster()?;
    cluster.psql("postgres", "CREATE EXTENSION pageinspect")?;
    let database = cluster.psql("postgres", "SELECT oid FROM pg_database WHERE datname = 'postgres'")?;
    for compression in ["off", "pglz", "lz4", "zstd"] {
        let load = format!(
            "CREATE TABLE {compression}_t AS SELECT repeat('abc', 20) AS r FROM generate_series(1, 50);
             CHECKPOINT; SELECT pg_current_wal_insert_lsn()"
        );
        let start = cluster.psql("postgres", &load)?;
        let insert = format!("SET wal_compression = {compression}; INSERT INTO {compression}_t VALUES ('d')");
        cluster.psql("postgres", &insert)?;
        let end = cluster.flush_wal()?.to_string();
        let page = format!("SELECT encode(get_raw_page('{compression}_t', 0), 'hex')");
        let page = cluster.psql("postgres", &page)?;
        let filenode = cluster.psql("postgres", &format!("SELECT pg_relation_filenode('{compression}_t')"))?;

        let parent = temporary_directory()?;
        let directory = parent.path().join("pages");
        let mut command = walker()?;
        let command = command.args(["dump", "-q", "-s", &start, "-e", &end, "-p"]).arg(cluster.wal_directory());
        assert_eq!(text(command.arg("--save-fullpage").arg(&directory).output()?)?, "");
        let wanted = format!(".1663.{database}.{filenode}.0_main");
        let files = files(&directory)?;
        let (name, saved) = files.iter().find(|(name, _)| name.ends_with(&wanted)).context("no image of the table")?;
        assert!(name.starts_with("00000001-00000000-"), "{name}");
        // The page's LSN is set behind the record that holds the image.
        let hexadecimal: String = saved.iter().skip(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(page.get(16..), Some(hexadecimal.as_str()), "{compression}");
    }
    Ok(())
}
