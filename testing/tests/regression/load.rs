//! PostgreSQL's regression tests as a load: each script by `psql`, in the order of their schedule, as
//! `src/test/regress/pg_regress.c` runs them, but whatever they print.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use walker_testing::{Cluster, Installation, regression_tests};

const DATABASE: &str = "regression";
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(120);
/// As `create_database` of `pg_regress.c` sets them.
const SETTINGS_OF_DATABASE: &str = "
    CREATE DATABASE regression TEMPLATE = template0;
    ALTER DATABASE regression SET lc_messages TO 'C';
    ALTER DATABASE regression SET lc_monetary TO 'C';
    ALTER DATABASE regression SET lc_numeric TO 'C';
    ALTER DATABASE regression SET lc_time TO 'C';
    ALTER DATABASE regression SET bytea_output TO 'hex';
    ALTER DATABASE regression SET timezone_abbreviations TO 'Default';";
/// What the regression tests have not, or on some majors only.
const MORE: &str = include_str!("more.sql");
const BLOOM: &str = include_str!("bloom.sql");
/// Each brings about all operations of one kind of index.
const INDEXES: [(&str, &str); 6] = [
    ("brin", include_str!("../dump/brin.sql")),
    ("btree", include_str!("../dump/btree.sql")),
    ("gin", include_str!("../dump/gin.sql")),
    ("gist", include_str!("../dump/gist.sql")),
    ("hash", include_str!("../dump/hash.sql")),
    ("spgist", include_str!("../dump/spgist.sql")),
];

/// Runs all of it.
pub(crate) fn run(cluster: &mut Cluster) -> Result<()> {
    run_regression_tests(cluster)?;
    for (name, script) in INDEXES {
        cluster.psql("postgres", &format!("CREATE DATABASE {name}"))?;
        cluster.psql(name, script)?;
    }
    cluster.psql("postgres", MORE)?;
    lock_rows_together(cluster)?;
    if has_bloom(cluster.installation()) {
        // With the images that a standby compares its pages with.
        cluster.psql("postgres", &format!("SET wal_consistency_checking = 'all'; {BLOOM}"))?;
    }
    restart_differently(cluster)
}

/// Rows that several transactions have locked, each row another subtransaction.
fn lock_rows_together(cluster: &Cluster) -> Result<()> {
    let (mut first, mut second) = (cluster.session("postgres")?, cluster.session("postgres")?);
    first.execute("BEGIN; SELECT count(*) FROM (SELECT FROM more WHERE id BETWEEN 1000 AND 1500 FOR KEY SHARE) s")?;
    second.execute(
        "DO $$ BEGIN FOR i IN 1000..1500 LOOP
            BEGIN
                IF i % 2 = 0 THEN UPDATE more SET n = i WHERE id = i; END IF;
                PERFORM FROM more WHERE id = i FOR SHARE;
            EXCEPTION WHEN division_by_zero THEN NULL; END;
         END LOOP; END $$",
    )?;
    first.execute("COMMIT; VACUUM (FREEZE) more")?;
    Ok(())
}

/// A crash, other settings, and without images of pages.
fn restart_differently(cluster: &mut Cluster) -> Result<()> {
    cluster.crash()?;
    cluster.configure([("max_connections", "50"), ("full_page_writes", "off")])?;
    cluster.start()?;
    cluster.psql("postgres", "UPDATE more SET n = n + 1")?;
    cluster.configure([("full_page_writes", "on")])?;
    cluster.reload()?;
    cluster.psql("postgres", "SELECT pg_logical_emit_message(false, 'prefix', 'content'); CHECKPOINT")?;
    Ok(())
}

fn run_regression_tests(cluster: &Cluster) -> Result<()> {
    // The server reads these files too, and may not be able to enter the cache.
    let directory = cluster.directory().join("regress");
    copy(&regression_tests()?, &directory)?;
    let results = directory.join("results");
    fs::create_dir(&results)?;
    fs::set_permissions(&results, Permissions::from_mode(0o777))?;

    let compressions = compressions(cluster);
    cluster.psql("postgres", SETTINGS_OF_DATABASE)?;
    for (number, group) in groups(&fs::read_to_string(directory.join("parallel_schedule"))?).iter().enumerate() {
        // Each way to compress images in its turn.
        let compression = compressions[number % compressions.len()];
        cluster.psql("postgres", &format!("ALTER SYSTEM SET wal_compression = {compression}"))?;
        cluster.reload()?;
        thread::scope(|scope| -> Result<()> {
            let tests = group.iter().map(|test| scope.spawn(|| run_test(cluster, &directory, test)));
            let tests: Vec<_> = tests.collect();
            tests.into_iter().try_for_each(|test| test.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        ensure!(cluster.is_running(), "the server has ended in {}", group.join(" "));
        // A test may show a fault that this server still has, and crash one of its processes (15.18 does in hash_part):
        // then all others are ended, too, and what is left of the WAL is recovered.
        cluster.wait_until_accepting(RECOVERY_TIMEOUT)?;
    }
    Ok(())
}

/// Whether the extension bloom is there, the only one of PostgreSQL's own that writes generic records.
pub(crate) fn has_bloom(installation: &Installation) -> bool {
    installation.share_directory().is_ok_and(|share| share.join("extension/bloom.control").is_file())
}

fn run_test(cluster: &Cluster, directory: &Path, test: &str) -> Result<()> {
    let script = directory.join("sql").join(format!("{test}.sql"));
    let mut psql = cluster.program("psql")?;
    psql.args(["-X", "-q", "-d", DATABASE, "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on"])
        .env("PGTZ", "America/Los_Angeles")
        .env("PGDATESTYLE", "Postgres, MDY")
        // What one test waits for in another may not come where statements fail.
        .env("PGOPTIONS", "-c intervalstyle=postgres_verbose -c lock_timeout=20s")
        .env("PG_ABS_SRCDIR", directory)
        .env("PG_ABS_BUILDDIR", directory)
        .env("PG_LIBDIR", directory)
        .env("PG_DLSUFFIX", ".so")
        .current_dir(directory)
        .stdin(File::open(&script).with_context(|| format!("cannot open {}", script.display()))?)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Its exit status tells no more than that some statement failed, if that.
    psql.status().context("cannot run psql")?;
    Ok(())
}

/// Lines are like `test: boolean char name`: what stands in one line runs at the same time.
fn groups(schedule: &str) -> Vec<Vec<&str>> {
    let tests = schedule.lines().filter_map(|line| line.strip_prefix("test:"));
    tests.map(|tests| tests.split_whitespace().collect()).collect()
}

/// Those that the server was built with.
fn compressions(cluster: &Cluster) -> Vec<&'static str> {
    let works = |name: &&str| cluster.psql("postgres", &format!("SET wal_compression = {name}")).is_ok();
    ["off", "pglz", "lz4", "zstd"].into_iter().filter(works).collect()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let context = || format!("cannot copy {}", from.display());
    fs::create_dir(to).with_context(context)?;
    for entry in fs::read_dir(from).with_context(context)? {
        let entry = entry.with_context(context)?;
        let target = to.join(entry.file_name());
        if entry.file_name() == "expected" {
            continue;
        }
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).with_context(context)?;
        }
    }
    Ok(())
}
