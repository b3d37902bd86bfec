//! While a plugin's callback runs: the worker can be ended nevertheless, and a plugin that ends it is known afterwards.
//!
//! Sources: `src/backend/tcop/postgres.c`: `die`, `ProcessInterrupts`, `src/backend/postmaster/interrupt.c`.

use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use pgrx::pg_guard;
use pgrx::pg_sys;

use crate::shared_memory::Shared;

// pgrx's own of the first is a Rust function around it.
#[allow(clashing_extern_declarations)]
unsafe extern "C-unwind" {
    fn SignalHandlerForShutdownRequest(signal: c_int);
    /// Of the C library.
    fn _exit(code: c_int) -> !;
}

/// Longest name in bytes; of a longer one nobody is blamed.
const NAME_BYTES: usize = 256;
/// So many plugins can be blamed at the same time.
const PLUGINS: usize = 32;

/// The plugins in whose callbacks the worker's process ended, and how often.
#[derive(Debug)]
pub(crate) struct Blame([Blamed; PLUGINS]);

#[derive(Debug, Clone, Copy)]
struct Blamed {
    /// Zero: there is no plugin here.
    ends: u32,
    length: usize,
    name: [u8; NAME_BYTES],
}

impl Blamed {
    const NOBODY: Self = Self { ends: 0, length: 0, name: [0; NAME_BYTES] };

    fn name(&self) -> &[u8] {
        self.name.get(..self.length).unwrap_or_default()
    }
}

impl Blame {
    fn add(&mut self, name: &[u8]) {
        let known = self.0.iter().position(|blamed| blamed.ends > 0 && blamed.name() == name);
        let place = known.or_else(|| self.0.iter().position(|blamed| blamed.ends == 0));
        let Some(blamed) = place.and_then(|place| self.0.get_mut(place)) else { return };
        if let Some(target) = blamed.name.get_mut(..name.len()) {
            target.copy_from_slice(name);
            (blamed.length, blamed.ends) = (name.len(), blamed.ends.saturating_add(1));
        }
    }
}

pub(crate) static BLAME: Shared<Blame> = Shared::new(c"walker_blame", || Blame([Blamed::NOBODY; PLUGINS]));

/// The name of the plugin whose callback runs; null if none does.
static RUNNING: AtomicPtr<String> = AtomicPtr::new(null_mut());

/// The worker has come to its end.
static STOPS: AtomicBool = AtomicBool::new(false);

/// As long as it lives, a callback of a plugin runs.
#[derive(Debug)]
pub(crate) struct Running<'a>(std::marker::PhantomData<&'a String>);

impl<'a> Running<'a> {
    /// Callbacks run one at a time.
    pub(crate) fn enter(name: &'a String) -> Self {
        RUNNING.store(std::ptr::from_ref(name).cast_mut(), Ordering::Relaxed);
        // SAFETY: flags of this process, which signal handlers set.
        unsafe {
            if pg_sys::ShutdownRequestPending != 0 && !STOPS.load(Ordering::Relaxed) {
                interrupt();
            }
        }
        Self(std::marker::PhantomData)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        RUNNING.store(null_mut(), Ordering::Relaxed);
        // SAFETY: flags of this process, which signal handlers set. Now the worker can end in order.
        unsafe {
            if pg_sys::ShutdownRequestPending != 0 {
                pg_sys::ProcDiePending = 0;
            }
        }
    }
}

/// Handles SIGTERM: the worker ends in order. If a callback runs that looks for interrupts or waits for something, it ends
/// there; what plugins kept last is enough to go on from.
pub(crate) unsafe extern "C-unwind" fn end(signal: c_int) {
    // SAFETY: as `die`; only sets flags and the latch.
    unsafe {
        SignalHandlerForShutdownRequest(signal);
        if !RUNNING.load(Ordering::Relaxed).is_null() {
            interrupt();
        }
    }
}

/// The callback that runs ends the process when it looks for interrupts.
///
/// # Safety
/// There are no other threads.
unsafe fn interrupt() {
    // SAFETY: flags of this process, set as signal handlers do.
    unsafe {
        pg_sys::ProcDiePending = 1;
        pg_sys::InterruptPending = 1;
    }
}

/// The worker lets its plugins keep their states and shut down: only who tells it to end once more does not wait for that.
pub(crate) fn stopping() {
    STOPS.store(true, Ordering::Relaxed);
}

/// The process ends within a callback, though it was not told to.
static ENDS: AtomicBool = AtomicBool::new(false);

/// From now on, if this process ends within a callback, its plugin is blamed, unless the process was told to end.
pub(crate) fn watch() {
    // SAFETY: the callbacks are plain C functions and need no argument.
    unsafe {
        pg_sys::on_proc_exit(Some(end_to_be_started_again), pg_sys::Datum::from(0));
        pg_sys::before_shmem_exit(Some(ended), pg_sys::Datum::from(0));
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn ended(_code: c_int, _argument: pg_sys::Datum) {
    // SAFETY: who entered lives, since the process ends within the callback; the flag is set by a signal handler.
    let (name, told) = unsafe { (RUNNING.load(Ordering::Relaxed).as_ref(), pg_sys::ShutdownRequestPending != 0) };
    if let Some(name) = name
        && !told
    {
        BLAME.write(|blame| blame.add(name.as_bytes()));
        ENDS.store(true, Ordering::Relaxed);
    }
}

/// A background worker that exits with 0, as a plugin may do, would not be started again. Shared memory is left by now.
#[pg_guard]
unsafe extern "C-unwind" fn end_to_be_started_again(_code: c_int, _argument: pg_sys::Datum) {
    if ENDS.load(Ordering::Relaxed) {
        // SAFETY: ends the process without anything else.
        unsafe { _exit(1) }
    }
}

/// The plugins that ended the process of a worker before this one, and how often.
pub(crate) fn blamed() -> Vec<(String, u32)> {
    let of = |blamed: &Blamed| (String::from_utf8_lossy(blamed.name()).into_owned(), blamed.ends);
    BLAME.read(|blame| blame.0.iter().filter(|blamed| blamed.ends > 0).map(of).collect()).unwrap_or_default()
}

/// These plugins are not blamed any more.
pub(crate) fn forgive(chosen: impl Fn(&str) -> bool) {
    BLAME.write(|blame| {
        let forgiven = |blamed: &&mut Blamed| chosen(&String::from_utf8_lossy(blamed.name()));
        blame.0.iter_mut().filter(forgiven).for_each(|blamed| *blamed = Blamed::NOBODY);
    });
}
