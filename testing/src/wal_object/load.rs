//! Sessions that run operations at the same time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use fastrand::Rng;

use super::history::{Attempt, History, Outcome};
use super::workload::{DATABASE, Differing, Operation, SCHEMA, Turn, Workload};
use crate::cluster::Cluster;
use crate::log::LogMark;
use crate::poll::poll;
use crate::session::Session;

/// For all operations that are waited for at once.
const TIMEOUT: Duration = Duration::from_secs(600);

/// How far the sessions are.
#[derive(Debug)]
pub(super) struct Progress {
    /// Process ids of the server's processes that serve them.
    pub(super) backends: Vec<u32>,
    /// Number of the last operation that was begun.
    number: AtomicU64,
    done: AtomicU64,
    /// They shall end, each with the operation that it is at.
    stop: AtomicBool,
    /// From now on, who loses the connection has done nothing wrong.
    crash_expected: AtomicBool,
    failed: AtomicBool,
    /// Held while one session is at maintenance.
    maintenance: Mutex<()>,
}

impl Progress {
    /// Waits until so many operations are done, in all sessions together, or one of them fails.
    pub(super) fn wait_for(&self, operations: u64) -> Result<()> {
        let is_done = || self.done.load(Ordering::Relaxed) >= operations || self.failed.load(Ordering::Relaxed);
        let done = poll(TIMEOUT, || Ok(is_done().then_some(())))?;
        done.with_context(|| {
            let done = self.done.load(Ordering::Relaxed);
            format!("{done} of {operations} operations are done after {TIMEOUT:?}")
        })
    }

    /// The server is about to crash.
    pub(super) fn expect_crash(&self) {
        self.crash_expected.store(true, Ordering::SeqCst);
    }
}

/// Lets the workload's sessions run operations, all at the same time, for as long as `meanwhile` takes. What they did is added to
/// `history`; after a crash it is not known of the last one of each.
pub(super) fn run(
    workload: &Workload,
    server: &mut Cluster,
    history: &mut History,
    meanwhile: impl FnOnce(&mut Cluster, &Progress) -> Result<()>,
) -> Result<()> {
    let (first, mark) = (history.last_number(), server.log_mark()?);
    let sessions = (0..workload.sessions).map(|_| server.session(DATABASE));
    let sessions = sessions.collect::<Result<Vec<_>>>()?;
    let progress = Progress {
        backends: sessions.iter().map(Session::backend_id).collect(),
        number: AtomicU64::new(first),
        done: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        crash_expected: AtomicBool::new(false),
        failed: AtomicBool::new(false),
        maintenance: Mutex::new(()),
    };
    let (outcome, ended) = thread::scope(|scope| {
        let threads: Vec<_> = (sessions.into_iter().enumerate())
            .map(|(number, session)| {
                let random = Rng::with_seed(workload.seed ^ (first << 8) ^ ((number as u64) << 48));
                let progress = &progress;
                scope.spawn(move || run_session(workload, session, number, random, progress))
            })
            .collect();
        // They end also if this panics.
        let stop = StopOnDrop(&progress);
        let outcome = meanwhile(server, &progress);
        drop(stop);
        let ended: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (outcome, ended)
    });
    let mut failure = None;
    for ended in ended {
        let (attempts, error) = ended.map_err(|_| anyhow!("an operation's closure panicked"))?;
        history.add(attempts);
        failure = failure.or(error);
    }
    // What a session fails with is the cause of what `meanwhile` fails with.
    failure.map_or(outcome, |error| Err(with_log(server, mark, error)))
}

/// Who lost the connection does not know why; the server's log does.
fn with_log(server: &Cluster, mark: LogMark, error: anyhow::Error) -> anyhow::Error {
    if format!("{error:#}").contains("connection") {
        anyhow!("{error:#}\nthe end of the server's log:\n{}", server.log_tail(mark))
    } else {
        error
    }
}

/// Lets the workload's sessions run so many operations, in all of them together, or a few more.
pub(super) fn run_operations(
    workload: &Workload,
    server: &mut Cluster,
    history: &mut History,
    operations: u64,
) -> Result<()> {
    run(workload, server, history, |_, progress| progress.wait_for(operations))
}

struct StopOnDrop<'a>(&'a Progress);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Nobody shall wait for a session whose operation has panicked.
struct TellOfPanic<'a>(&'a Progress);

impl Drop for TellOfPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
        }
    }
}

fn run_session(
    workload: &Workload,
    mut session: Session,
    session_number: usize,
    mut random: Rng,
    progress: &Progress,
) -> (Vec<Attempt>, Option<anyhow::Error>) {
    let mut attempts = Vec::new();
    let _tells = TellOfPanic(progress);
    while !progress.stop.load(Ordering::Relaxed) {
        let number = progress.number.fetch_add(1, Ordering::Relaxed) + 1;
        let (operation, _maintenance) = choose(workload, &mut random, &progress.maintenance);
        let roll_back = workload.roll_back_one_in.is_some_and(|transactions| random.u64(..transactions) == 0);
        let sql = (operation.write_sql)(&mut Turn { random: &mut random, number, session: session_number });
        let executed = session.execute(&in_transaction(operation, &sql, number, roll_back));
        let (outcome, error) = match executed {
            Ok(_) if roll_back && operation.in_transaction => (Outcome::RolledBack, None),
            Ok(_) => (Outcome::Committed, None),
            Err(error) => judge(workload, error, progress),
        };
        let is_last = error.is_some() || outcome == Outcome::Interrupted;
        let Operation { name, in_transaction, .. } = operation;
        let error = error.map(|error| error.context(format!("operation {number} ({name}): {sql}")));
        let (operation, in_transaction) = (name.clone(), *in_transaction);
        attempts.push(Attempt { number, session: session_number, operation, sql, outcome, in_transaction });
        if error.is_some() {
            progress.failed.store(true, Ordering::Relaxed);
        }
        if is_last {
            return (attempts, error);
        }
        progress.done.fetch_add(1, Ordering::Relaxed);
    }
    (attempts, None)
}

/// What a session does next. Only one at a time is at maintenance: several would mostly wait for each other.
fn choose<'a>(
    workload: &'a Workload,
    random: &mut Rng,
    maintenance: &'a Mutex<()>,
) -> (&'a Operation, Option<MutexGuard<'a, ()>>) {
    if let Some(operation) = random.choice(&workload.operations)
        && operation.in_transaction
    {
        return (operation, None);
    }
    let of_kind = |wanted: bool| workload.operations.iter().filter(move |operation| operation.in_transaction == wanted);
    if let Ok(guard) = maintenance.try_lock()
        && let Some(operation) = random.choice(of_kind(false).collect::<Vec<_>>())
    {
        return (operation, Some(guard));
    }
    match random.choice(of_kind(true).collect::<Vec<_>>()) {
        Some(operation) => (operation, None),
        // There is nothing else than maintenance.
        None => {
            let guard = maintenance.lock().unwrap_or_else(PoisonError::into_inner);
            (&workload.operations[random.usize(..workload.operations.len())], Some(guard))
        }
    }
}

/// With a row of ours, by which the transaction is known after a crash.
fn in_transaction(operation: &Operation, sql: &str, number: u64, roll_back: bool) -> String {
    if !operation.in_transaction {
        return sql.to_owned();
    }
    let end = if roll_back { "ROLLBACK" } else { "COMMIT" };
    format!("BEGIN;\n{sql}\n;\nINSERT INTO {SCHEMA}.operations VALUES ({number});\n{end};")
}

/// Whether an operation's error is one of the object, of the crash, or expected. After an error in its midst the operation's
/// end has rolled it back.
fn judge(workload: &Workload, error: anyhow::Error, progress: &Progress) -> (Outcome, Option<anyhow::Error>) {
    let text = format!("{error:#}");
    if workload.expected_errors.iter().any(|part| text.contains(part.as_str())) {
        return (Outcome::Failed, None);
    }
    let of_the_operation = text.lines().any(|line| line.starts_with("ERROR:  ") || line.starts_with("PANIC:  "));
    if progress.crash_expected.load(Ordering::SeqCst) && !of_the_operation {
        return (Outcome::Interrupted, None);
    }
    (Outcome::Failed, Some(error))
}

/// Checks that what was done so far is what the server has, and that all invariants hold.
pub(super) fn check(workload: &Workload, server: &Cluster, history: &mut History) -> Result<()> {
    let mark = server.log_mark()?;
    let checked = history.compare(server).and_then(|()| workload.check_invariants(server, history));
    checked.map_err(|error| with_log(server, mark, error))
}

/// The digest at a quiet moment, from before, must be that of now.
pub(super) fn compare_digest(
    workload: &Workload,
    server: &Cluster,
    before: Option<&String>,
    [what_before, what_now]: [&str; 2],
) -> Result<()> {
    let now = workload.take_digest(server)?;
    if let (Some(before), Some(now)) = (before, &now) {
        ensure!(before == now, "the digest is not the same; {}", Differing(what_before, before, what_now, now));
    }
    Ok(())
}
