//! The worker's life: load the plugins, walk, answer, wait for more, stop.
//!
//! Sources: `src/backend/postmaster/bgworker.c`, `src/backend/postmaster/walsummarizer.c`.

use std::ffi::{c_char, c_int};
use std::time::{Duration, Instant};

use pgrx::pg_guard;
use pgrx::pg_sys;
use pgwal::Lsn;
use pgxlog::{ReplicationSlot, WaitEvent, XLogReader, server_log, sleep_on_latch};
use walker_core::{LogPosition, Plugin, SourceError, Walk, parse_plugin_names};

#[cfg(not(feature = "pg18"))]
use pg_sys::pqsignal;
#[cfg(feature = "pg18")]
use pg_sys::pqsignal_be as pqsignal;

use crate::c_plugin::CPlugin;
use crate::{mailbox, settings};

// pgrx's own are Rust functions around these, which cannot be given to C as handlers.
#[allow(clashing_extern_declarations)]
unsafe extern "C-unwind" {
    fn SignalHandlerForConfigReload(signal: c_int);
    fn SignalHandlerForShutdownRequest(signal: c_int);
}

/// Seconds after which PostgreSQL starts the worker anew when it has failed.
const RESTART_SECONDS: c_int = 5;
/// So often it is tried to read WAL that cannot be read, before it is given up.
const ATTEMPTS: u32 = 5;
/// How long it waits to try again to have its replication slot.
const SLOT_PAUSE: Duration = Duration::from_secs(10);
/// How long the worker waits between two such attempts, and on a standby for WAL to be replayed.
const PAUSE: Duration = Duration::from_secs(1);
/// Records that are told before the worker looks whether something else wants it.
const BATCH: usize = 512;
/// How long the worker sleeps when there is nothing to read: at first, and at most. Each time it
/// finds nothing it sleeps twice as long.
const SHORTEST_SLEEP: Duration = Duration::from_millis(50);
const LONGEST_SLEEP: Duration = Duration::from_millis(200);

/// Tells PostgreSQL to start the worker as soon as the server is consistent, on a standby too.
pub(crate) fn register() {
    let mut worker = pg_sys::BackgroundWorker {
        bgw_flags: (pg_sys::BGWORKER_SHMEM_ACCESS | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION) as c_int,
        bgw_start_time: pg_sys::BgWorkerStartTime::BgWorkerStart_ConsistentState,
        bgw_restart_time: RESTART_SECONDS,
        ..Default::default()
    };
    set(&mut worker.bgw_name, "walker");
    set(&mut worker.bgw_type, "walker");
    set(&mut worker.bgw_library_name, "walker");
    set(&mut worker.bgw_function_name, "walker_main");
    // SAFETY: called from _PG_init while shared_preload_libraries are loaded; the struct is copied.
    unsafe { pg_sys::RegisterBackgroundWorker(&mut worker) };
}

/// There is no query of the worker's that could be cancelled: else pg_cancel_backend would end it.
unsafe extern "C-unwind" fn ignore(_signal: c_int) {}

/// Copies a text into a C array, which is longer and zeroed.
fn set<const LENGTH: usize>(array: &mut [c_char; LENGTH], text: &str) {
    for (target, byte) in array.iter_mut().zip(text.bytes()) {
        *target = byte.cast_signed();
    }
}

/// The worker's entry point.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn walker_main(_argument: pg_sys::Datum) {
    // SAFETY: what each background worker does first: handlers, then signals on, then a connection, here without a
    // database, since plugins see all of them.
    unsafe {
        pqsignal(pg_sys::SIGHUP as c_int, Some(SignalHandlerForConfigReload));
        pqsignal(pg_sys::SIGTERM as c_int, Some(SignalHandlerForShutdownRequest));
        pqsignal(pg_sys::SIGINT as c_int, Some(ignore));
        pg_sys::BackgroundWorkerUnblockSignals();
        pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0);
    }
    mailbox::open();

    let mut retention = Retention::new();
    retention.release(None);
    let (now, _) = server_log::durable();
    let reader = XLogReader::new(now);
    let plugins = load_plugins(&reader);
    let mut walk = Walk::new(reader, plugins, |failure| pgrx::warning!("walker: {failure}"));
    walk.startup();
    let start = walk.resume(now, server_log::last_redo(), holds);
    walk.source().seek(start);
    let names: Vec<_> = walk.statuses().filter(|status| status.running).map(|status| status.name).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    pgrx::log!("walker: walking over WAL from {start}, plugins: {names}");

    run(&mut walk, retention);

    let stopped = walk.position();
    walk.shutdown();
    pgrx::log!("walker: stopped at {stopped}");
    // A worker that exits with 0 is not started again; when the server stops, none is.
    // SAFETY: ends the process in order.
    unsafe { pg_sys::proc_exit(1) }
}

/// Holds WAL back for the plugins.
struct Retention {
    slot: Option<ReplicationSlot>,
    /// When it was tried in vain to have the slot.
    failed: Option<Instant>,
}

impl Retention {
    fn new() -> Self {
        Self { slot: settings::slot_name().map(ReplicationSlot::new), failed: None }
    }

    /// WAL before `lsn` is not needed any more; with `None` the slot is only taken. If it cannot be had, a WARNING says
    /// why, and it is tried again every now and then.
    fn release(&mut self, lsn: Option<Lsn>) {
        let Some(slot) = &mut self.slot else { return };
        if self.failed.is_some_and(|failed| failed.elapsed() < SLOT_PAUSE) {
            return;
        }
        let outcome = match lsn {
            Some(lsn) => slot.advance(lsn),
            None => slot.hold(),
        };
        match outcome {
            Ok(()) => self.failed = None,
            Err(error) => {
                if self.failed.is_none() {
                    let name = slot.name();
                    pgrx::warning!("walker: WAL is not held back: replication slot \"{name}\" cannot be used: {error}");
                }
                self.failed = Some(Instant::now());
            }
        }
    }
}

/// Whether this server's log holds what a plugin goes on from. A standby that has just started may not have replayed it
/// again yet: then this waits.
fn holds(position: &LogPosition) -> bool {
    if position.system_identifier != server_log::system_identifier() {
        return false;
    }
    // SAFETY: looks at the server's state.
    while position.lsn > server_log::durable().0 && unsafe { pg_sys::RecoveryInProgress() } {
        pgrx::check_for_interrupts!();
        // SAFETY: a flag that the signal handler sets; nothing is to be kept, since nothing was read.
        unsafe {
            if pg_sys::ShutdownRequestPending != 0 {
                pg_sys::proc_exit(1)
            }
        }
        sleep_on_latch(PAUSE, WaitEvent::Main);
    }
    server_log::holds(position)
}

/// Loads what `walker.plugins` names. What cannot be loaded is left out with a WARNING.
fn load_plugins(reader: &XLogReader) -> Vec<Box<dyn Plugin>> {
    let list = settings::plugins();
    let names = parse_plugin_names(&list).unwrap_or_else(|error| {
        pgrx::warning!("walker: no plugin is used: invalid list in parameter \"walker.plugins\": {error}");
        Vec::new()
    });
    let mut plugins: Vec<Box<dyn Plugin>> = Vec::new();
    for name in names {
        if plugins.iter().any(|plugin| plugin.name() == name) {
            pgrx::warning!("walker: plugin \"{name}\" is named twice in \"walker.plugins\", and used once");
            continue;
        }
        match CPlugin::load(&name, reader.as_ptr()) {
            Ok(plugin) => plugins.push(Box::new(plugin)),
            Err(error) => pgrx::warning!("walker: could not load plugin \"{name}\": {error}"),
        }
    }
    plugins
}

/// Walks until the server or somebody else tells the worker to stop.
fn run(walk: &mut Walk<XLogReader>, mut retention: Retention) {
    let mut sleep = SHORTEST_SLEEP;
    let mut failures = 0;
    // SAFETY: a flag that the signal handler sets.
    while unsafe { pg_sys::ShutdownRequestPending } == 0 {
        pgrx::check_for_interrupts!();
        // SAFETY: a flag that the signal handler sets; the file is read outside of a transaction, as it must be.
        unsafe {
            if pg_sys::ConfigReloadPending != 0 {
                pg_sys::ConfigReloadPending = 0;
                pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
            }
        }
        let before = walk.position();
        let told = tell_batch(walk);
        if walk.position() > before {
            failures = 0;
        }
        let told = told.unwrap_or_else(|error| {
            failures += 1;
            if failures >= ATTEMPTS {
                failures = 0;
                skip(walk, &error);
            }
            0
        });
        retention.release(Some(walk.flushed()));
        if told == BATCH {
            // There is more: a question waits for the end of it, so that its answer is not out of date.
            mailbox::answer_if_late(walk);
            sleep = SHORTEST_SLEEP;
            continue;
        }
        mailbox::answer_all(walk);
        let more = walk.work();
        sleep = match told {
            _ if failures > 0 => PAUSE,
            _ if more => SHORTEST_SLEEP,
            0 => (sleep * 2).min(LONGEST_SLEEP),
            _ => SHORTEST_SLEEP,
        };
        sleep_on_latch(sleep, if failures > 0 { WaitEvent::Retry } else { WaitEvent::Main });
    }
}

/// What comes next cannot be read: goes on behind it, and plugins begin anew.
fn skip(walk: &mut Walk<XLogReader>, error: &SourceError) {
    // Not back to where the same would be met again.
    let (redo, (end, _)) = (server_log::last_redo(), server_log::durable());
    let next = if redo > walk.position() { redo } else { end };
    pgrx::warning!("walker: could not read WAL: {error}; goes on at {next}, where all plugins begin anew");
    walk.source().seek(next);
    walk.gap(next);
}

/// Tells the plugins up to [`BATCH`] records. Returns how many there were.
fn tell_batch(walk: &mut Walk<XLogReader>) -> Result<usize, SourceError> {
    for told in 0..BATCH {
        if !walk.step()? {
            return Ok(told);
        }
    }
    Ok(BATCH)
}
