//! The worker's life: load the plugins, walk, answer, wait for more, stop.
//!
//! Sources: `src/backend/postmaster/bgworker.c`, `src/backend/postmaster/walsummarizer.c`.

use std::ffi::{c_char, c_int};
use std::time::Duration;

use pgrx::pg_guard;
use pgrx::pg_sys;
use pgwal::Lsn;
use pgxlog::{Idle, WaitEvent, sleep_on_latch};
use walker_core::{Event, Next, Plugin, PluginError, Walker, parse_plugin_names};

#[cfg(not(feature = "pg18"))]
use pg_sys::pqsignal;
#[cfg(feature = "pg18")]
use pg_sys::pqsignal_be as pqsignal;

use crate::c_plugin::CPlugin;
use crate::callback;
use crate::log::ServerLog;
use crate::mailbox::{self, Answers};
use crate::observation::{Observation, walking};
use crate::retention::Retention;
use crate::settings;

// pgrx's own is a Rust function around this, which cannot be given to C as a handler.
#[allow(clashing_extern_declarations)]
unsafe extern "C-unwind" {
    fn SignalHandlerForConfigReload(signal: c_int);
}

/// Seconds after which PostgreSQL starts the worker anew when it has failed.
const RESTART_SECONDS: c_int = 5;
/// How long the worker sleeps at most when there is nothing to read, and when a plugin has something to do meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
const SHORTEST_SLEEP: Duration = Duration::from_millis(50);

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
        pqsignal(pg_sys::SIGTERM as c_int, Some(callback::end));
        pqsignal(pg_sys::SIGINT as c_int, Some(ignore));
        pg_sys::BackgroundWorkerUnblockSignals();
        pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0);
    }
    mailbox::open();
    callback::watch();

    let mut worker = Worker::new();
    worker.start();
    worker.run();
    worker.stop();
    // A worker that exits with 0 is not started again; when the server stops, none is.
    // SAFETY: ends the process in order.
    unsafe { pg_sys::proc_exit(1) }
}

struct Worker {
    walker: Walker<ServerLog>,
    /// The value of `walker.plugins` that was read last.
    plugins: String,
    /// It never was a list of names since the worker started, so nobody knows which WAL is needed.
    plugins_unknown: bool,
    retention: Retention,
    observation: Observation,
    idle: Idle,
}

impl Worker {
    fn new() -> Self {
        let plugins = settings::plugins();
        let names = plugin_names(&plugins);
        let plugins_unknown = names.is_none();
        let not_started = names.unwrap_or_default().iter().map(|name| plugin(name)).collect();
        let mut walker = Walker::new(ServerLog, not_started, settings::retry_policy());
        for (name, times) in callback::blamed() {
            walker.blame(&name, times);
        }
        let (retention, observation, idle) = (Retention::new(), Observation::default(), Idle::new());
        Self { walker, plugins, plugins_unknown, retention, observation, idle }
    }

    /// Loads the plugins, and begins where they want to.
    fn start(&mut self) {
        // That may take a while, or fail: who looks sees them start.
        self.observe(false);
        self.walker.attend();
        let (start, names) = (self.walker.earliest(), walking(&self.walker));
        // That says where they begin.
        let events = self.walker.take_events().into_iter().filter(|event| !matches!(event, Event::Begins { .. }));
        events.for_each(tell);
        pgrx::log!("walker: walking over WAL from {start}, plugins: {names}");
    }

    /// Walks until the server or somebody else tells the worker to stop.
    fn run(&mut self) {
        while !is_told_to_stop() {
            pgrx::check_for_interrupts!();
            self.reload_if_told();
            self.walker.attend();
            let progress = self.walker.advance();
            self.tell_events();
            self.retention.release(if self.plugins_unknown { Lsn::INVALID } else { self.walker.flushed() });
            mailbox::answer(self);
            let more_work = self.walker.work();
            self.tell_events();
            self.observe(progress.more);
            if progress.records > 0 {
                self.idle.found_something();
            }
            if !progress.more {
                self.sleep(if more_work { SHORTEST_SLEEP } else { LONGEST_SLEEP });
            }
        }
    }

    /// Tells others how far it is. `more`: there is more to read.
    fn observe(&mut self, more: bool) {
        self.observation.tell(&mut self.walker, self.retention.kept(), more);
    }

    /// Until there is something to do, at most so long.
    fn sleep(&mut self, longest: Duration) {
        // A callback that waited for something may have taken the latch's news.
        // SAFETY: a flag that the signal handler sets.
        if is_told_to_stop() || unsafe { pg_sys::ConfigReloadPending != 0 } {
            return;
        }
        let longest = if mailbox::is_asked() { SHORTEST_SLEEP.min(longest) } else { longest };
        let longest = longest.min(self.walker.next_due().unwrap_or(longest));
        if self.walker.is_unreadable() {
            // Who writes WAL need not wake it: it would not come further.
            sleep_on_latch(longest, WaitEvent::Retry);
        } else {
            self.idle.sleep(self.walker.position(), longest);
        }
    }

    fn reload_if_told(&mut self) {
        // SAFETY: a flag that the signal handler sets; the file is read outside of a transaction, as it must be.
        unsafe {
            if pg_sys::ConfigReloadPending == 0 {
                return;
            }
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
        self.retention.reload();
        self.walker.set_policy(settings::retry_policy());
        callback::forgive(|_| true);
        let plugins = settings::plugins();
        // As PostgreSQL does with its own settings: what is not valid changes nothing.
        let Some(names) = plugin_names(&plugins) else { return };
        self.plugins_unknown = false;
        // With the same list too: plugins that have failed are tried again.
        self.walker.set_plugins(&names, plugin);
        if plugins != self.plugins {
            pgrx::log!("walker: parameter \"walker.plugins\" changed to \"{plugins}\"");
            self.plugins = plugins;
        }
    }

    fn tell_events(&mut self) {
        self.walker.take_events().into_iter().for_each(tell);
    }

    fn stop(&mut self) {
        let stopped = self.walker.position();
        callback::stopping();
        self.walker.shutdown();
        self.tell_events();
        // This process ends in order.
        callback::forgive(|_| true);
        pgrx::log!("walker: stopped at {stopped}");
    }
}

fn is_told_to_stop() -> bool {
    // SAFETY: a flag that the signal handler sets.
    unsafe { pg_sys::ShutdownRequestPending != 0 }
}

impl Answers for Worker {
    fn is_ready(&self, plugin: &str) -> bool {
        plugin.is_empty() || self.walker.is_at_end(plugin)
    }

    fn answer(&mut self, plugin: &str, question: &[u8]) -> Result<Vec<u8>, PluginError> {
        if plugin.is_empty() { self.retention.answer(question) } else { self.walker.ask(plugin, question) }
    }
}

/// Says in the server's log what happened.
fn tell(event: Event) {
    match event {
        Event::Begins { .. } => pgrx::log!("walker: {event}"),
        Event::Failed { next: Next::Off(_), .. } => {
            pgrx::warning!("walker: {event}; a configuration reload gives it another chance");
        }
        Event::Failed { .. } | Event::Unreadable { .. } => pgrx::warning!("walker: {event}"),
    }
}

fn plugin(name: &str) -> Box<dyn Plugin> {
    Box::new(CPlugin::new(name))
}

/// What `walker.plugins` names; if that is not a list of names, `None` and a WARNING.
fn plugin_names(list: &str) -> Option<Vec<String>> {
    let names = parse_plugin_names(list)
        .inspect_err(|error| {
            pgrx::warning!("walker: invalid list in parameter \"walker.plugins\", which changes nothing: {error}")
        })
        .ok()?;
    let mut unique = Vec::new();
    for name in names {
        if unique.contains(&name) {
            pgrx::warning!("walker: plugin \"{name}\" is named twice in \"walker.plugins\", and used once");
        } else {
            unique.push(name);
        }
    }
    Some(unique)
}
