//! `walker dump --follow` beside a running server.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use walker_testing::{Cluster, Installation, Signal, poll, send_signal, temporary_directory, walker};

const TIMEOUT: Duration = Duration::from_secs(60);

fn cluster() -> Result<Cluster> {
    let installation = Installation::for_tests().or_else(|_| Installation::find(15))?;
    let settings = [("autovacuum", "off"), ("wal_keep_size", "2GB")];
    Cluster::builder(&installation).initdb_option("--wal-segsize=1").settings(settings).start()
}

/// A `walker` that is killed with the test.
struct Follower(Child);

impl Follower {
    fn start(cluster: &Cluster, arguments: &[&str], output: &Path) -> Result<Self> {
        let mut command = walker()?;
        command.args(arguments).arg("-p").arg(cluster.wal_directory());
        Ok(Self(command.stdin(Stdio::null()).stdout(File::create(output)?).spawn()?))
    }

    /// Presses Ctrl-C, and waits for the end, which must be a success.
    fn interrupt(&mut self) -> Result<()> {
        send_signal(self.0.id(), Signal::INT)?;
        let status = poll(TIMEOUT, || Ok(self.0.try_wait()?))?.context("it does not end")?;
        ensure!(status.success(), "{status}");
        Ok(())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Rows, and a new segment.
const LOAD: &str =
    "INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 3000) g; SELECT FROM pg_switch_wal();";

#[test]
fn new_records_are_shown_as_they_come_across_segments() -> Result<()> {
    let cluster = cluster()?;
    let start = cluster.flush_wal()?.to_string();
    let directory = temporary_directory()?;
    let output = directory.path().join("output");
    cluster.psql("postgres", "CREATE TABLE t (id int, filler text)")?;
    let mut follower = Follower::start(&cluster, &["dump", "-f", "-s", &start], &output)?;
    for _ in 0..4 {
        cluster.psql("postgres", LOAD)?;
        let end = cluster.flush_wal()?.to_string();
        let expected = cluster.pg_waldump(["-s", &start, "-e", &end])?;
        // Records behind the end may be there too: those that the server writes by itself.
        let shown = poll(TIMEOUT, || Ok(fs::read_to_string(&output)?.starts_with(&expected).then_some(())))?;
        shown.with_context(|| {
            let shown = fs::read_to_string(&output).unwrap_or_default();
            format!("{} lines of {}", shown.lines().count(), expected.lines().count())
        })?;
    }
    follower.interrupt()
}

#[test]
fn statistics_are_shown_at_the_end_that_ctrl_c_sets() -> Result<()> {
    let cluster = cluster()?;
    let start = cluster.flush_wal()?.to_string();
    cluster.psql("postgres", "CREATE TABLE t (id int, filler text)")?;
    let directory = temporary_directory()?;
    for (number, arguments) in [["dump", "-f", "-z"], ["stats", "--follow", "--by=rmgr"]].iter().enumerate() {
        let output = directory.path().join(number.to_string());
        let mut follower = Follower::start(&cluster, &[&arguments[..], &["-s", &start]].concat(), &output)?;
        cluster.psql("postgres", LOAD)?;
        let end = cluster.flush_wal()?;
        // It looks once a second.
        std::thread::sleep(Duration::from_millis(2500));
        assert_eq!(fs::read_to_string(&output)?, "");
        follower.interrupt()?;
        let shown = fs::read_to_string(&output)?;
        let reached = shown.lines().next().and_then(|line| line.trim_end_matches(':').rsplit(' ').next());
        let reached: pgwal::Lsn = reached.context("no heading")?.parse()?;
        ensure!(reached >= end, "it has read up to {reached}, not {end}");
        assert_eq!(shown, cluster.pg_waldump(["-z", "-s", &start, "-e", &reached.to_string()])?);
    }
    Ok(())
}
