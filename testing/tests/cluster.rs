//! The library against a real server.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use anyhow::{Context as _, Result};
use walker_testing::{Cluster, Installation, Mode, Signal, plugins, poll, send_signal, temporary_directory};

const TIMEOUT: Duration = Duration::from_secs(60);

/// These tests need nothing of ours inside of the server, so they also run without `cargo xtask test`.
fn installation() -> Result<Installation> {
    Installation::for_tests().or_else(|_| Installation::find(15))
}

fn cluster() -> Result<Cluster> {
    Cluster::builder(&installation()?).setting("autovacuum", "off").start()
}

#[test]
fn a_server_starts_answers_and_stops() -> Result<()> {
    let mut cluster = cluster()?;
    assert!(cluster.is_running());
    let version = cluster.psql("postgres", "SHOW server_version_num")?;
    assert_eq!(version.parse::<u32>()? / 10_000, cluster.installation().version().major);
    assert_eq!(cluster.psql("postgres", "SHOW listen_addresses")?, "");
    assert_eq!(cluster.psql("postgres", "SHOW fsync")?, "off");
    assert_eq!(cluster.psql("postgres", "SELECT current_user")?, "postgres");
    cluster.stop(Mode::Fast)?;
    assert!(!cluster.is_running());
    assert!(cluster.psql("postgres", "SELECT 1").is_err());
    cluster.start()?;
    assert_eq!(cluster.psql("postgres", "SELECT 1")?, "1");
    cluster.restart(Mode::Smart)?;
    assert_eq!(cluster.psql("postgres", "SELECT 1")?, "1");
    Ok(())
}

#[test]
fn the_server_does_not_run_as_root() -> Result<()> {
    let cluster = cluster()?;
    let owner = fs::metadata(format!("/proc/{}", cluster.postmaster_id()?))?.uid();
    assert_ne!(owner, 0);
    assert_eq!(owner, fs::metadata(cluster.data_directory())?.uid());
    Ok(())
}

#[test]
fn an_installation_that_is_closed_to_the_server_s_user_serves_too() -> Result<()> {
    let closed = temporary_directory()?;
    let copy = installation()?.private_copy(closed.path())?;
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700))?;
    let cluster = Cluster::builder(&copy).start()?;
    cluster.psql("postgres", "CREATE EXTENSION pgstattuple")?;
    assert_eq!(cluster.psql("postgres", "SELECT table_len > 0 FROM pgstattuple('pg_class')")?, "t");
    Ok(())
}

#[test]
fn dropping_a_cluster_stops_the_server_and_removes_its_directory() -> Result<()> {
    let cluster = cluster()?;
    let (directory, postmaster) = (cluster.directory().to_owned(), cluster.postmaster_id()?);
    drop(cluster);
    assert!(!directory.exists());
    assert!(!fs::exists(format!("/proc/{postmaster}"))?);
    Ok(())
}

#[test]
fn a_kept_cluster_runs_on() -> Result<()> {
    let cluster = Cluster::builder(&installation()?).detached().start()?;
    let (postmaster, psql) = (cluster.postmaster_id()?, cluster.program("psql")?.get_program().to_owned());
    let connection = cluster.connection_string("postgres");
    let directory = cluster.keep();
    let output = std::process::Command::new(psql).args(["-XAtc", "SELECT 1", "-d", &connection]).output()?;
    send_signal(postmaster, Signal::QUIT)?;
    let stopped = poll(TIMEOUT, || Ok((!fs::exists(directory.join("data/postmaster.pid"))?).then_some(())))?;
    assert!(stopped.is_some());
    fs::remove_dir_all(directory)?;
    assert_eq!(String::from_utf8(output.stdout)?, "1\n");
    Ok(())
}

#[test]
fn a_server_that_ended_by_itself_can_be_started_again() -> Result<()> {
    let mut cluster = Cluster::builder(&installation()?).build()?;
    cluster.stop(Mode::Fast)?;
    cluster.start()?;
    assert!(cluster.start().unwrap_err().to_string().contains("runs already"));
    send_signal(cluster.postmaster_id()?, Signal::QUIT)?;
    assert!(poll(TIMEOUT, || Ok((!cluster.is_running()).then_some(())))?.is_some());
    cluster.start()?;
    assert_eq!(cluster.psql("postgres", "SELECT 1")?, "1");
    Ok(())
}

#[test]
fn a_server_that_does_not_start_shows_its_log() -> Result<()> {
    let error = Cluster::builder(&installation()?).setting("shared_preload_libraries", "no_such_library").start();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("could not access file \"no_such_library\""), "{error}");
    Ok(())
}

#[test]
fn options_of_initdb_and_settings_reach_the_server() -> Result<()> {
    let cluster = Cluster::builder(&installation()?)
        .initdb_option("--wal-segsize=1")
        .data_checksums()
        .settings([("work_mem", "5MB"), ("cluster_name", r"it's a \ test")])
        .start()?;
    let show = |name: &str| cluster.psql("postgres", &format!("SHOW {name}"));
    assert_eq!(show("wal_segment_size")?, "1MB");
    assert_eq!(show("data_checksums")?, "on");
    assert_eq!(show("work_mem")?, "5MB");
    assert_eq!(show("cluster_name")?, r"it's a \ test");
    cluster.configure([("work_mem", "6MB")])?;
    cluster.reload()?;
    assert_eq!(show("work_mem")?, "6MB");
    Ok(())
}

#[test]
fn a_script_runs_each_statement_on_its_own_and_stops_at_the_first_error() -> Result<()> {
    let cluster = cluster()?;
    let printed = cluster.psql(
        "postgres",
        "CREATE DATABASE other; \\c other\nCREATE TABLE t (a int, b text);\nVACUUM t; SELECT 1, 'x'; SELECT 2",
    )?;
    assert_eq!(printed, "1|x\n2");
    let error = cluster.psql("other", "INSERT INTO t VALUES (1); SELECT 1/0; INSERT INTO t VALUES (2)").unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("psql failed (exit status: 3)") && error.contains("division by zero"), "{error}");
    assert_eq!(cluster.psql("other", "SELECT count(*) FROM t")?, "1");
    Ok(())
}

#[test]
fn rows_come_apart_into_columns() -> Result<()> {
    let cluster = cluster()?;
    let rows = cluster.psql_rows("postgres", "SELECT * FROM (VALUES (1, E'a|b\\nc'), (2, NULL)) AS v ORDER BY 1")?;
    assert_eq!(rows, [["1", "a|b\nc"], ["2", ""]]);
    assert!(cluster.psql_rows("postgres", "SELECT 1 WHERE false")?.is_empty());
    assert_eq!(cluster.psql_rows("postgres", "SELECT ''")?, [[""]]);
    Ok(())
}

#[test]
fn a_committed_row_survives_a_crash() -> Result<()> {
    let mut cluster = cluster()?;
    cluster.psql("postgres", "CREATE TABLE t (id int); INSERT INTO t VALUES (1)")?;
    let mut open = cluster.session("postgres")?;
    open.execute("BEGIN; INSERT INTO t VALUES (2)")?;
    cluster.crash()?;
    assert!(!cluster.is_running());
    let error = open.execute("COMMIT").unwrap_err().to_string();
    assert!(error.contains("the connection is lost"), "{error}");
    let mark = cluster.log_mark()?;
    cluster.start()?;
    assert!(cluster.log_since(mark)?.contains("automatic recovery in progress"));
    assert_eq!(cluster.psql("postgres", "SELECT id FROM t")?, "1");
    Ok(())
}

#[test]
fn a_crash_at_once_ends_a_statement_in_its_midst() -> Result<()> {
    let mut cluster = cluster()?;
    let mut busy = cluster.session("postgres")?;
    // Nothing that is waited for: it would not notice that the postmaster has gone.
    busy.send(
        "SELECT count(*) FROM generate_series(1, 1000) a, generate_series(1, 1000) b, generate_series(1, 1000) c",
    )?;
    let runs = format!("SELECT state = 'active' FROM pg_stat_activity WHERE pid = {}", busy.backend_id());
    cluster.wait_until_true("postgres", &runs, TIMEOUT)?;
    cluster.crash_at_once()?;
    assert!(busy.wait(TIMEOUT).is_err());
    cluster.start()?;
    assert_eq!(cluster.psql("postgres", "SELECT 1")?, "1");
    Ok(())
}

#[test]
fn a_crashed_cluster_leaves_no_shared_memory() -> Result<()> {
    let mut cluster = cluster()?;
    let lines = fs::read_to_string(cluster.data_directory().join("postmaster.pid"))?;
    let segment = lines.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)).map(str::to_owned);
    let exists = || -> Result<bool> {
        let table = fs::read_to_string("/proc/sysvipc/shm")?;
        Ok(table.lines().any(|line| line.split_whitespace().nth(1) == segment.as_deref()))
    };
    let maps = fs::read_to_string(format!("/proc/{}/maps", cluster.postmaster_id()?))?;
    let file = maps.split_whitespace().find(|word| word.starts_with("/dev/shm/PostgreSQL.")).map(str::to_owned);
    let file = file.context("the postmaster has no POSIX shared memory")?;
    cluster.crash()?;
    assert!(exists()? && fs::exists(&file)?);
    drop(cluster);
    assert!(!exists()? && !fs::exists(&file)?);
    Ok(())
}

#[test]
fn an_uncommitted_row_is_invisible_to_another_session() -> Result<()> {
    let cluster = cluster()?;
    cluster.psql("postgres", "CREATE TABLE t (id int PRIMARY KEY)")?;
    let (mut writer, mut reader) = (cluster.session("postgres")?, cluster.session("postgres")?);
    assert_ne!(writer.backend_id(), reader.backend_id());
    writer.execute("BEGIN; INSERT INTO t VALUES (1)")?;
    assert_eq!(writer.execute("SELECT id FROM t")?, "1");
    assert_eq!(reader.execute("SELECT id FROM t")?, "");
    writer.execute("COMMIT")?;
    assert_eq!(reader.execute("SELECT id FROM t")?, "1");
    Ok(())
}

#[test]
fn a_session_can_wait_for_the_lock_of_another() -> Result<()> {
    let cluster = cluster()?;
    cluster.psql("postgres", "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0)")?;
    let (mut first, mut second) = (cluster.session("postgres")?, cluster.session("postgres")?);
    first.execute("BEGIN; UPDATE t SET n = 1")?;
    second.send("UPDATE t SET n = n + 10 RETURNING n")?;
    let waiting = format!("SELECT cardinality(pg_blocking_pids({})) = 1", second.backend_id());
    cluster.wait_until_true("postgres", &waiting, TIMEOUT)?;
    assert!(second.wait(Duration::ZERO).unwrap_err().to_string().contains("not done"));
    first.execute("COMMIT")?;
    assert_eq!(second.wait(TIMEOUT)?, "11");
    Ok(())
}

#[test]
fn a_session_goes_on_after_an_error() -> Result<()> {
    let cluster = cluster()?;
    let mut session = cluster.session("postgres")?;
    session.execute("BEGIN")?;
    let error = session.execute("SELECT 1/0").unwrap_err().to_string();
    assert!(error.contains("division by zero"), "{error}");
    session.execute("ROLLBACK; DROP TABLE IF EXISTS no_such_table")?;
    assert_eq!(session.execute("SELECT 1; SELECT 2")?, "1\n2");
    Ok(())
}

#[test]
fn wal_can_be_flushed_waited_for_and_dumped() -> Result<()> {
    let cluster = cluster()?;
    let segments = fs::read_dir(cluster.wal_directory())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.len() == 24);
    assert_ne!(segments.count(), 0);
    let before = cluster.flush_wal()?;
    cluster.psql("postgres", "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 10)")?;
    let after = cluster.flush_wal()?;
    assert!(after > before);
    cluster.wait_for_lsn("pg_current_wal_flush_lsn()", after, TIMEOUT)?;
    let error = cluster.wait_for_lsn("NULL::pg_lsn", after, Duration::ZERO).unwrap_err().to_string();
    assert!(error.contains(&format!("not yet {after}")), "{error}");
    let relation = "SELECT oid || '/' || pg_relation_filenode('t') FROM pg_database WHERE datname = 'postgres'";
    let relation = cluster.psql("postgres", relation)?;
    let range = [format!("--start={before}"), format!("--end={after}")];
    let dumped = cluster.pg_waldump(range.iter().chain([&format!("--relation=1663/{relation}")]))?;
    assert_eq!(dumped.matches("desc: INSERT").count(), 10, "{dumped}");
    Ok(())
}

#[test]
fn the_log_can_be_waited_for() -> Result<()> {
    let cluster = cluster()?;
    cluster.wait_for_log("database system is ready to accept connections", TIMEOUT)?;
    let mark = cluster.log_mark()?;
    cluster.psql("postgres", "DO $$ BEGIN RAISE LOG 'a word to the log'; END $$")?;
    let line = cluster.wait_for_log_since(mark, "a word", TIMEOUT)?;
    assert!(line.ends_with("LOG:  a word to the log"), "{line}");
    let error = cluster.wait_for_log_since(mark, "ready to accept", Duration::ZERO).unwrap_err().to_string();
    assert!(error.contains("a word to the log"), "{error}");
    Ok(())
}

#[test]
fn a_killed_worker_makes_the_postmaster_restart_its_children() -> Result<()> {
    let cluster = cluster()?;
    let killed = cluster.kill_background_worker("walwriter", Signal::KILL)?;
    cluster.wait_for_log("all server processes terminated; reinitializing", TIMEOUT)?;
    cluster.wait_until_accepting(TIMEOUT)?;
    let started = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walwriter')";
    cluster.wait_until_true("postgres", started, TIMEOUT)?;
    assert_ne!(cluster.background_workers("walwriter")?, killed);
    assert!(cluster.kill_background_worker("no such worker", Signal::TERM).is_err());
    Ok(())
}

#[test]
fn pgbench_runs() -> Result<()> {
    let cluster = cluster()?;
    cluster.pgbench(["-i", "-s", "1", "-q"])?;
    let report = cluster.pgbench(["-t", "10", "-n"])?;
    assert!(report.contains("number of transactions actually processed: 10/10"), "{report}");
    assert!(cluster.pgbench(["--no-such-option"]).unwrap_err().to_string().contains("pgbench failed"));
    Ok(())
}

#[test]
fn a_client_in_another_language_connects_by_the_connection_string() -> Result<()> {
    let cluster = cluster()?;
    cluster.psql("postgres", "CREATE DATABASE \"it's\"")?;
    let mut psql = cluster.program("psql")?;
    for variable in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE"] {
        psql.env_remove(variable);
    }
    let output =
        psql.args(["-XAtc", "SELECT current_database()", "-d", &cluster.connection_string("it's")]).output()?;
    assert_eq!(String::from_utf8(output.stdout)?, "it's\n");
    Ok(())
}

#[test]
fn a_private_copy_takes_libraries_and_extensions_of_its_own() -> Result<()> {
    let original = installation()?;
    let directory = temporary_directory()?;
    let copy = original.private_copy(directory.path())?;
    assert_eq!(copy.version(), original.version());

    let source = directory.path().join("answer.c");
    fs::write(
        &source,
        "#include \"postgres.h\"\n#include \"fmgr.h\"\n#include \"answer.h\"\nPG_MODULE_MAGIC;\n\
         PG_FUNCTION_INFO_V1(answer);\nDatum answer(PG_FUNCTION_ARGS) { PG_RETURN_INT32(ANSWER); }\n",
    )?;
    let include = directory.path().join("include-of-ours");
    fs::create_dir(&include)?;
    fs::write(include.join("answer.h"), "#define ANSWER 42\n")?;
    let library = directory.path().join("compiled.so");
    plugins::compile_c_plugin(&copy, &source, &include, &library)?;
    copy.install_library(&library, "answer")?;
    copy.install_library(&library, "answer")?;
    let control = directory.path().join("answer.control");
    fs::write(&control, "default_version = '1.0'\nmodule_pathname = '$libdir/answer'\n")?;
    let script = directory.path().join("answer--1.0.sql");
    fs::write(&script, "CREATE FUNCTION answer() RETURNS int AS 'MODULE_PATHNAME' LANGUAGE C STRICT;\n")?;
    copy.install_extension_files([&control, &script])?;
    assert!(!fs::exists(original.library_directory()?.join("answer.so"))?);
    assert!(!fs::exists(original.share_directory()?.join("extension/answer.control"))?);

    let cluster = Cluster::builder(&Installation::at(directory.path())?).start()?;
    assert_eq!(cluster.psql("postgres", "CREATE EXTENSION answer; SELECT answer()")?, "42");
    assert_eq!(
        cluster.psql("postgres", "CREATE EXTENSION pgstattuple; SELECT 'contrib is there too'")?,
        "contrib is there too"
    );
    Ok(())
}

#[test]
fn a_plugin_that_does_not_compile_says_why() -> Result<()> {
    let directory = temporary_directory()?;
    let source = directory.path().join("broken.c");
    fs::write(&source, "int broken(void) { return no_such_name; }\n")?;
    let output = directory.path().join("broken.so");
    let error = plugins::compile_c_plugin(&installation()?, &source, directory.path(), &output).unwrap_err();
    assert!(format!("{error:#}").contains("no_such_name"), "{error:#}");
    Ok(())
}
