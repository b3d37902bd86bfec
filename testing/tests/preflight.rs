//! `walker preflight` says before a server is started whether its recovery will stop; servers that are started then do what
//! was said.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgwal::Lsn;
use walker_testing::{Cluster, ClusterBuilder, Installation, Mode, poll, walker};

const DATABASE: &str = "postgres";
const LIBRARIES: &str = "shared_preload_libraries";
const TIMEOUT: Duration = Duration::from_secs(60);
/// What a server says that cannot replay a record of the library `custom_rmgr`.
const STOPPED: &str = "resource manager with ID 128 not registered";

/// Exit status, standard output and standard error.
#[derive(Debug)]
struct Answer {
    status: i32,
    text: String,
    error: String,
}

fn preflight<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Answer> {
    let output = walker()?.arg("preflight").args(arguments).output()?;
    let status = output.status.code().context("walker was killed")?;
    let (text, error) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    Ok(Answer { status, text, error })
}

/// Of the data directory, with these arguments too.
fn preflight_of(cluster: &Cluster, more: &[&str]) -> Result<Answer> {
    let data = cluster.data_directory();
    preflight([OsStr::new("--pgdata"), data.as_os_str()].into_iter().chain(more.iter().map(OsStr::new)))
}

fn builder() -> Result<ClusterBuilder> {
    Ok(Cluster::builder(&Installation::for_tests()?).setting("autovacuum", "off"))
}

/// A server whose library writes records of resource manager 128.
fn with_custom_rmgr() -> Result<ClusterBuilder> {
    Ok(builder()?.setting(LIBRARIES, "custom_rmgr"))
}

const DEFINITION: &str = "CREATE FUNCTION write_record(text) RETURNS pg_lsn AS 'custom_rmgr' LANGUAGE C";

/// The line that the answer says a configuration file should have.
fn fix(answer: &Answer) -> Result<(&str, &str)> {
    let line = answer.text.lines().find_map(|line| line.strip_prefix("    ")).context("there is no fix")?;
    let (name, value) = line.split_once(" = ").context("the fix is no setting")?;
    Ok((name, value.trim_matches('\'')))
}

#[test]
fn a_crashed_server_starts_once_the_fix_is_applied() -> Result<()> {
    let mut cluster = with_custom_rmgr()?.start()?;
    cluster.psql(DATABASE, DEFINITION)?;
    cluster.psql(DATABASE, "CHECKPOINT; SELECT write_record(g::text) FROM generate_series(1, 5) g")?;
    cluster.flush_wal()?;
    cluster.stop(Mode::Immediate)?;
    let answer = preflight_of(&cluster, &["--provides", "128=custom_rmgr"])?;
    ensure!(answer.status == 0 && answer.text.contains("loaded"), "{answer:?}");

    cluster.configure([(LIBRARIES, "")])?;
    let answer = preflight_of(&cluster, &[])?;
    ensure!(answer.status == 1 && answer.text.contains("LIBRARY_OF_128"), "{answer:?}");
    let json = preflight_of(&cluster, &["--format", "json", "--jobs", "2"])?;
    ensure!(json.text.contains("\"records\": 5,") && json.text.contains("\"verdict\": \"not ready\""), "{json:?}");
    let answer = preflight_of(&cluster, &["--provides", "128=custom_rmgr"])?;
    ensure!(answer.status == 1 && answer.text.contains(STOPPED), "{answer:?}");
    let failure = cluster.start().expect_err("the server started without the library").to_string();
    ensure!(failure.contains(STOPPED), "{failure}");
    // The place that is told is where the server stopped.
    let stopped_at = answer.text.split("would stop at ").nth(1).and_then(|rest| rest.split(':').next());
    let stopped_at = stopped_at.context("no place")?;
    let first = cluster.pg_waldump(["--rmgr=custom128", "--limit=1", "--start", stopped_at])?;
    let lsn = first.split("lsn: ").nth(1).and_then(|rest| rest.split(',').next()).context("no position")?;
    ensure!(lsn.parse::<Lsn>()? == stopped_at.parse()?, "{first}, not at {stopped_at}");

    // Nothing has changed by that, and other libraries may or may not register it.
    cluster.configure([(LIBRARIES, "custom_rmgr")])?;
    ensure!(preflight_of(&cluster, &[])?.status == 2);
    cluster.configure([(LIBRARIES, "")])?;
    cluster.configure([fix(&answer)?])?;
    let answer = preflight_of(&cluster, &["--provides", "128=custom_rmgr"])?;
    ensure!(answer.status == 0, "{answer:?}");
    cluster.start()
}

#[test]
fn where_no_record_needs_it_no_library_is_missed() -> Result<()> {
    let mut cluster = with_custom_rmgr()?.start()?;
    cluster.psql(DATABASE, DEFINITION)?;
    cluster.psql(DATABASE, "SELECT write_record('before the checkpoint')")?;
    cluster.psql(DATABASE, "CHECKPOINT; CREATE TABLE t AS SELECT 1")?;
    cluster.flush_wal()?;
    cluster.configure([(LIBRARIES, "")])?;
    // Running, crashed, and stopped in order.
    let nothing = |answer: &Answer| answer.status == 0 && answer.text.contains("No custom resource manager is needed");
    let answer = preflight_of(&cluster, &[])?;
    ensure!(nothing(&answer), "{answer:?}");
    cluster.stop(Mode::Immediate)?;
    let answer = preflight_of(&cluster, &[])?;
    ensure!(nothing(&answer), "{answer:?}");
    cluster.restart(Mode::Fast)?;
    cluster.stop(Mode::Fast)?;
    let answer = preflight_of(&cluster, &[])?;
    ensure!(nothing(&answer) && answer.text.contains("it needs no recovery"), "{answer:?}");
    // The directory alone holds older records.
    let answer = preflight([cluster.wal_directory()])?;
    ensure!(answer.status == 2 && answer.text.contains("registers ID 128"), "{answer:?}");
    Ok(())
}

#[test]
fn a_backup_is_looked_at_together_with_its_archive() -> Result<()> {
    let mut cluster = with_custom_rmgr()?
        .settings([
            ("archive_mode", "on"),
            ("archive_command", "mkdir -p ../socket/archive && cp %p ../socket/archive/%f"),
        ])
        .start()?;
    cluster.psql(DATABASE, DEFINITION)?;
    let archive = cluster.socket_directory().join("archive");
    let fetch = format!("cp \"{}/%f\" \"%p\"", archive.display());
    let mut backup = cluster.base_backup(builder()?.settings([
        (LIBRARIES, ""),
        ("archive_mode", "off"),
        ("restore_command", &fetch),
    ]))?;
    // Recovery fetches what the archive holds.
    backup.signal_file("recovery.signal")?;
    // Long records lie in both segments.
    let write = "SELECT write_record(repeat('x', 3000000)) FROM generate_series(1, 7)";
    cluster.psql(DATABASE, write)?;
    cluster.psql(DATABASE, "SELECT write_record('the last one')")?;
    let last = cluster.psql(DATABASE, "SELECT pg_walfile_name(pg_switch_wal())")?;
    cluster.wait_until_true(
        DATABASE,
        &format!("SELECT last_archived_wal >= '{last}' FROM pg_stat_archiver"),
        TIMEOUT,
    )?;
    cluster.stop(Mode::Fast)?;

    // What restore_command will bring is not in the backup.
    let alone = preflight_of(&backup, &[])?;
    ensure!(alone.status == 2 && alone.text.contains("restore_command will bring more WAL"), "{alone:?}");
    ensure!(alone.text.contains("as backup_label says"), "{alone:?}");
    let path = archive.to_str().context("TMPDIR is not UTF-8")?;
    let known = ["--provides", "128=custom_rmgr"];
    let answer = preflight_of(&backup, &[path, known[0], known[1]])?;
    ensure!(answer.status == 1 && answer.text.contains(STOPPED), "{answer:?}");
    let json = preflight_of(&backup, &[path, "--format=json"])?;
    ensure!(json.text.contains("\"records\": 8,"), "{json:?}");
    // It may accept connections as a standby before it meets the first such record.
    let outcome = backup.start();
    backup.wait_for_log(STOPPED, TIMEOUT).with_context(|| format!("{outcome:?}"))?;
    poll(TIMEOUT, || Ok((!backup.is_running()).then_some(())))?.context("the server runs on")?;

    // A part of the archive, and the rest in pg_wal: no record is left out where they meet.
    fs::copy(archive.join(&last), backup.wal_directory().join(&last))?;
    fs::rename(archive.join(&last), archive.join("aside"))?;
    let json = preflight_of(&backup, &[path, "--format=json"])?;
    ensure!(json.text.contains("\"records\": 8,"), "{json:?}");
    fs::rename(archive.join("aside"), archive.join(&last))?;

    backup.configure([fix(&answer)?])?;
    let answer = preflight_of(&backup, &[path, known[0], known[1]])?;
    ensure!(answer.status == 0, "{answer:?}");
    backup.start()?;
    backup.wait_until_true(DATABASE, "SELECT NOT pg_is_in_recovery()", TIMEOUT)?;

    // Of another server.
    let other = builder()?.start()?;
    let answer = preflight_of(&other, &[path])?;
    ensure!(answer.status == 1 && answer.error.contains("of another database system"), "{answer:?}");
    Ok(())
}

#[test]
fn a_backup_without_its_wal_asks_for_the_archive() -> Result<()> {
    let cluster = builder()?.start()?;
    let backup = cluster.base_backup(builder()?)?;
    for entry in fs::read_dir(backup.wal_directory())? {
        let path = entry?.path();
        if path.is_file() {
            fs::remove_file(path)?;
        }
    }
    let answer = preflight_of(&backup, &[])?;
    ensure!(answer.status == 1 && answer.error.contains("hint: Recovery begins at"), "{answer:?}");
    Ok(())
}

#[test]
fn of_wal_that_ends_too_early_nothing_is_promised() -> Result<()> {
    let cluster = builder()?.start()?;
    let mut standby = cluster.base_backup(builder()?)?;
    standby.follow(&cluster)?;
    standby.start()?;
    let replay = || standby.wait_for_lsn("pg_last_wal_replay_lsn()", cluster.flush_wal()?, TIMEOUT);
    cluster.psql(DATABASE, "CREATE TABLE t AS SELECT 1; CHECKPOINT")?;
    replay()?;
    standby.psql(DATABASE, "CHECKPOINT")?;
    let kept = standby.psql(DATABASE, "SELECT redo_wal_file FROM pg_control_checkpoint()")?;
    cluster.psql(DATABASE, "SELECT pg_switch_wal()")?;
    cluster.psql(DATABASE, "CREATE TABLE u AS SELECT 1")?;
    replay()?;
    standby.stop(Mode::Fast)?;
    assert_eq!(preflight_of(&standby, &[])?.status, 0);

    for entry in fs::read_dir(standby.wal_directory())? {
        let path = entry?.path();
        let name = path.file_name().context("no name")?.to_string_lossy().into_owned();
        if name.len() == kept.len() && name > kept {
            fs::remove_file(path)?;
        }
    }
    let answer = preflight_of(&standby, &[])?;
    ensure!(answer.status == 2 && answer.text.contains("; recovery needs it up to "), "{answer:?}");
    Ok(())
}

#[test]
fn recovery_begins_where_the_control_file_says() -> Result<()> {
    let cluster = builder()?.start()?;
    cluster.psql(DATABASE, "CREATE TABLE t AS SELECT 1; CHECKPOINT; CREATE TABLE u AS SELECT 1")?;
    let redo = cluster.psql(DATABASE, "SELECT redo_lsn FROM pg_control_checkpoint()")?;
    let answer = preflight_of(&cluster, &[])?;
    let expected = format!("Recovery begins at {redo}, as global/pg_control says.\n");
    ensure!(answer.text.starts_with(&expected), "{answer:?}, not {expected}");
    let from = format!("records from {redo} to ");
    ensure!(answer.text.contains(&from), "{answer:?}");
    Ok(())
}

/// Contents of `postgresql.conf`'s end, and of the files `a.conf` and `parts/b.conf` beside it.
const CONFIGURATIONS: [[&str; 3]; 27] = [
    ["shared_preload_libraries = 'a, b'", "", ""],
    ["shared_preload_libraries = a", "", ""],
    ["SHARED_preload_LIBRARIES 'it''s'\nother.one = 2", "", ""],
    ["shared_preload_libraries = '\"a, b\", c' # comment", "", ""],
    [r"shared_preload_libraries = 'a\'b\\c\141\t\q'", "", ""],
    ["shared_preload_libraries = a\r\nshared_preload_libraries=b", "", ""],
    ["shared_preload_libraries = a-b:c/d.e", "", ""],
    ["shared_preload_libraries = a.b", "", ""],
    ["shared_preload_libraries = a.b.c", "", ""],
    ["shared_preload_libraries = $libdir/a", "", ""],
    ["shared_preload_libraries = 12", "", ""],
    ["shared_preload_libraries = a, b", "", ""],
    ["shared_preload_libraries = 'a", "", ""],
    ["shared_preload_libraries =\n", "", ""],
    ["shared_preload_libraries = 1.5e3x", "", ""],
    ["shared_preload_libraries = 0x1Fkb", "", ""],
    ["shared_preload_libraries = = a", "", ""],
    ["include 'a.conf'", "\n\nshared_preload_libraries = one", ""],
    ["include a.conf", "shared_preload_libraries = one", ""],
    ["include 'a.conf'\nshared_preload_libraries = two", "shared_preload_libraries = one", ""],
    ["include_if_exists = 'none'\nInclude_If_Exists 'a.conf'", "shared_preload_libraries = one", ""],
    ["include 'none'", "", ""],
    ["include_dir 'parts'", "", "shared_preload_libraries = three"],
    ["include_dir 'parts'", "shared_preload_libraries = one", "include '../a.conf'"],
    ["include 'a.conf'", "include 'a.conf'", ""],
    ["include 'a.conf'", "include_dir 'parts'", "shared_preload_libraries = x"],
    ["include_dir 'none'", "", ""],
];

/// What a server says of the files as they are now: the setting with its place; or that something is wrong, and in which
/// line, if that is told.
fn of_server(cluster: &Cluster) -> Result<Result<String, String>> {
    let rows = cluster.psql_rows(
        DATABASE,
        "SELECT name, setting, sourcefile, sourceline, error FROM pg_file_settings ORDER BY seqno",
    )?;
    // That a setting needs a restart, or its name is not known, is no mistake in a file.
    let mistake = |row: &Vec<String>| row[0].is_empty() && !row[4].is_empty();
    if let Some(row) = rows.iter().find(|row| mistake(row)) {
        return Ok(Err(if row[4] == "syntax error" { format!("line {},", row[3]) } else { String::new() }));
    }
    let last = rows.iter().rfind(|row| row[0].eq_ignore_ascii_case(LIBRARIES));
    Ok(Ok(last.map(|row| format!("= '{}'\n(\"{}\", line {})", row[1], row[2], row[3])).unwrap_or_default()))
}

fn compare(cluster: &Cluster, content: &str) -> Result<()> {
    let answer = preflight_of(cluster, &[])?;
    match of_server(cluster)? {
        Ok(setting) => {
            let line = format!("shared_preload_libraries {setting}");
            ensure!(answer.status != 1 || answer.error.is_empty(), "{content}: {answer:?}");
            let normal = |path: &str| path.replace("parts/../", "");
            ensure!(normal(&answer.text).contains(&line), "{content}: {answer:?}, not {line}");
        }
        Err(line) => ensure!(
            answer.status == 1 && answer.text.is_empty() && answer.error.contains(&line) && !answer.error.is_empty(),
            "{content}: {answer:?}, not an error, {line}"
        ),
    }
    Ok(())
}

#[test]
fn settings_are_found_where_a_server_finds_them() -> Result<()> {
    let cluster = builder()?.start()?;
    let data = cluster.data_directory();
    let main = data.join("postgresql.conf");
    let original = fs::read_to_string(&main)?;
    let write = |path: &Path, content: &str| fs::write(path, content);
    fs::create_dir(data.join("parts"))?;
    for [end, one, part] in CONFIGURATIONS {
        write(&main, &format!("{original}\n{end}"))?;
        write(&data.join("a.conf"), one)?;
        write(&data.join("parts/b.conf"), part)?;
        compare(&cluster, &format!("{end} | {one} | {part}"))?;
    }
    write(&main, &original)?;
    for alter in ["= 'auto_explain', 'it''s'", "= 'a, b'", "TO DEFAULT"] {
        cluster.psql(DATABASE, &format!("ALTER SYSTEM SET shared_preload_libraries {alter}"))?;
        if alter.contains('=') {
            compare(&cluster, alter)?;
        }
    }
    let answer = preflight_of(&cluster, &[])?;
    ensure!(answer.text.contains("= ''\n(the default: not set in "), "{answer:?}");
    Ok(())
}

#[test]
fn the_command_line_of_the_last_start_counts() -> Result<()> {
    let mut cluster = builder()?.start()?;
    let options = cluster.data_directory().join("postmaster.opts");
    ensure!(fs::read_to_string(&options)?.contains("\"-D\""), "{}", fs::read_to_string(&options)?);
    cluster.stop(Mode::Fast)?;
    let start = "/bin/postgres \"-D\" \"/data\" \"-c\" \"shared_preload_libraries=a,b\"\n";
    fs::write(&options, start)?;
    let answer = preflight_of(&cluster, &[])?;
    ensure!(
        answer.text.contains("shared_preload_libraries = 'a,b'\n(the command line of the last start"),
        "{answer:?}"
    );
    Ok(())
}
