//! Crashes under load and at quiet moments, and what recovery makes of them.

use std::env;
use std::fmt;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use rustix::process::Signal;

use super::history::History;
use super::load::{self, Progress};
use super::recovery::{Recovery, Replayed};
use super::workload::Workload;
use crate::builder::ClusterBuilder;
use crate::cluster::Cluster;
use crate::log::LogMark;
use crate::process::send_signal;

/// How many rounds of crashes there are where a test does not say it; for long runs.
pub const ROUNDS_VARIABLE: &str = "WALKER_ROUNDS";

/// For a server that restarts its children.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What suits a test of crashes, unless the test says otherwise.
pub(super) const DEFAULTS: [(&str, &str); 5] = [
    ("autovacuum", "off"),
    // The harness says when there is one.
    ("checkpoint_timeout", "1h"),
    ("max_wal_size", "4GB"),
    // Pages are written while the load runs, so that redo meets pages older and newer than its records.
    ("shared_buffers", "2MB"),
    // All WAL is there when it is counted what was replayed.
    ("wal_keep_size", "4GB"),
];

/// Crashes a server again and again while a [`Workload`] runs, and compares what recovery has made.
///
/// Each round has these crashes, with operations of all sessions before and during them:
///
/// 1. [`Crash::Busy`]: under load. In odd rounds all processes of the server are killed at once, by chance once more while it
///    recovers; in even rounds the postmaster is killed.
/// 2. [`Crash::Backend`], in odd rounds: a session's process is killed, and the postmaster restarts all others.
/// 3. [`Crash::Quiet`]: all sessions have ended, the digest is taken, and the server is killed.
///
/// By chance a crash under load has a checkpoint before it, or comes while one is made. In even rounds `full_page_writes` is
/// off: redo starts with the pages as they are in the files, and no image makes up for a change that it forgets. (No page is
/// torn there: each process ends its write before it notices that the postmaster is gone.)
///
/// After each recovery: every transaction that was committed is there, and all invariants hold; after a quiet crash the
/// digest is that of before. The test fails also if redo had nothing to do with the object.
#[derive(Debug)]
pub struct CrashTest<'a> {
    workload: &'a Workload,
    rounds: u32,
    operations: u64,
}

/// Whether there is a checkpoint under load, before the crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checkpoint {
    None,
    /// Redo starts there.
    Before,
    /// The crash comes in its midst, or soon after: pages that it has written are newer than where redo starts.
    Meanwhile,
}

/// How a server was crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Crash {
    /// The server was killed while sessions ran operations.
    Busy,
    /// The process of one session was killed while it and others ran operations.
    Backend,
    /// The server was killed when nobody did anything.
    Quiet,
}

/// What was replayed in a [`CrashTest`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CrashReport {
    /// Each crash, and what its recovery replayed, if there was anything.
    pub crashes: Vec<(Crash, Option<Recovery>)>,
    /// All operations.
    pub history: History,
}

impl CrashReport {
    /// All recoveries together.
    #[must_use]
    pub fn replayed(&self) -> Replayed {
        let mut sum = Replayed::default();
        self.crashes.iter().filter_map(|(_, recovery)| *recovery).for_each(|recovery| sum += recovery.replayed);
        sum
    }
}

impl fmt::Display for CrashReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operations, committed) = (self.history.attempts().len(), self.history.committed().count());
        let replayed = self.replayed();
        write!(formatter, "{} crashes, {operations} operations ({committed} committed); {replayed}", self.crashes.len())
    }
}

impl<'a> CrashTest<'a> {
    /// Of this workload: two rounds, or as many as the environment variable `WALKER_ROUNDS` says, with 200 operations
    /// before each crash.
    #[must_use]
    pub fn new(workload: &'a Workload) -> Self {
        let rounds = env::var(ROUNDS_VARIABLE).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2);
        Self { workload, rounds, operations: 200 }
    }

    /// So many rounds, whatever the environment says. Only from two on are there crashes of all kinds.
    #[must_use]
    pub fn rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds.max(1);
        self
    }

    /// So many operations before a crash, in all sessions together; before a crash under load at most.
    #[must_use]
    pub fn operations(mut self, operations: u64) -> Self {
        self.operations = operations.max(1);
        self
    }

    /// Starts a server as `builder` describes it (with `shared_preload_libraries`, where the object needs that), sets
    /// the workload up, and crashes it.
    ///
    /// # Errors
    /// What is wrong after which crash, and how to repeat it.
    pub fn run(&self, builder: ClusterBuilder) -> Result<CrashReport> {
        self.workload.check()?;
        let mut server = builder.defaults(DEFAULTS).start()?;
        self.workload.set_up(&server)?;
        let mut report = CrashReport { crashes: Vec::new(), history: History::default() };
        let mut random = Rng::with_seed(self.workload.seed);
        for round in 1..=self.rounds {
            let is_odd = round % 2 == 1;
            server.configure([("full_page_writes", if is_odd { "on" } else { "off" })])?;
            server.reload()?;
            let crashes: &[Crash] =
                if is_odd { &[Crash::Busy, Crash::Backend, Crash::Quiet] } else { &[Crash::Busy, Crash::Quiet] };
            for &crash in crashes {
                let seed = self.workload.seed;
                let context = || format!("round {round}, {crash:?} crash, seed {seed}");
                let recovery = self.crash(&mut server, crash, is_odd, &mut report.history, &mut random);
                report.crashes.push((crash, recovery.with_context(context)?));
            }
        }
        self.require_redo(&report)?;
        Ok(report)
    }

    fn crash(
        &self,
        server: &mut Cluster,
        crash: Crash,
        at_once: bool,
        history: &mut History,
        random: &mut Rng,
    ) -> Result<Option<Recovery>> {
        let mark = server.log_mark()?;
        let digest = match crash {
            Crash::Busy => {
                self.under_load(server, history, random, |server, _| {
                    if at_once { server.crash_at_once() } else { server.crash() }
                })?;
                if at_once && random.bool() {
                    server.crash_while_starting(Duration::from_micros(random.u64(..100_000)))?;
                }
                server.start()?;
                None
            }
            Crash::Backend => {
                let victim = random.usize(..self.workload.sessions);
                self.under_load(server, history, random, |_, progress| {
                    send_signal(progress.backends[victim], Signal::KILL)
                })?;
                wait_for_restart_of_children(server, mark)?;
                None
            }
            Crash::Quiet => {
                load::run_operations(self.workload, server, history, self.operations)?;
                self.workload.check_invariants(server, history).context("before the crash")?;
                let digest = self.workload.take_digest(server)?;
                // What was written outside of transactions may be waiting for somebody who flushes.
                server.flush_wal()?;
                server.crash()?;
                server.start()?;
                digest
            }
        };
        let recovery = Recovery::since(server, mark, self.workload.rmgr)?;
        load::check(self.workload, server, history)?;
        load::compare_digest(self.workload, server, digest.as_ref(), ["before the crash", "after the recovery"])?;
        if crash == Crash::Quiet {
            let records = recovery.map_or(0, |recovery| recovery.replayed.records);
            ensure!(records > 0, "no record of {} was replayed: {recovery:?}", self.workload.rmgr_name);
        }
        Ok(recovery)
    }

    /// Lets it crash at a random moment while sessions run operations.
    fn under_load(
        &self,
        server: &mut Cluster,
        history: &mut History,
        random: &mut Rng,
        crash: impl FnOnce(&mut Cluster, &Progress) -> Result<()>,
    ) -> Result<()> {
        let operations = random.u64(1..=self.operations);
        let checkpoint = random.choice([Checkpoint::None, Checkpoint::Before, Checkpoint::Meanwhile]);
        let checkpoint_at = random.u64(..operations);
        let pause = Duration::from_micros(random.u64(..10_000));
        load::run(self.workload, server, history, |server, progress| {
            if checkpoint == Some(Checkpoint::Before) {
                progress.wait_for(checkpoint_at)?;
                server.psql("postgres", "CHECKPOINT")?;
            }
            let mut session = server.session("postgres")?;
            progress.wait_for(operations)?;
            progress.expect_crash();
            if checkpoint == Some(Checkpoint::Meanwhile) {
                session.send("CHECKPOINT")?;
            }
            thread::sleep(pause);
            crash(server, progress)
        })
    }

    /// An error if nothing was tested.
    fn require_redo(&self, report: &CrashReport) -> Result<()> {
        let (replayed, name) = (report.replayed(), &self.workload.rmgr_name);
        ensure!(
            replayed.changed > 0 || replayed.restored == 0,
            "redo of {name} never had to change a page itself: each came with an image ({replayed}); more operations, or \
             more on the same pages, are needed"
        );
        Ok(())
    }
}

/// A backend has died: all others are stopped, and then there is recovery.
fn wait_for_restart_of_children(server: &Cluster, mark: LogMark) -> Result<()> {
    server.wait_for_log_since(mark, "all server processes terminated; reinitializing", TIMEOUT)?;
    server.wait_for_log_since(mark, "database system is ready to accept connections", TIMEOUT)?;
    server.wait_until_accepting(TIMEOUT)
}
