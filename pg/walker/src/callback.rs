//! While a plugin's callback runs: the worker can be ended nevertheless, and a plugin that ends it is known afterwards.
//!
//! Sources: `src/backend/tcop/postgres.c`: `die`, `ProcessInterrupts`, `src/backend/postmaster/interrupt.c`.

use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pgrx::pg_guard;
use pgrx::pg_sys;

use crate::shared_memory::Shared;

// pgrx's own is a Rust function around this.
#[allow(clashing_extern_declarations)]
unsafe extern "C-unwind" {
    fn SignalHandlerForShutdownRequest(signal: c_int);
}

/// Longest name in bytes; of a longer one nobody is blamed.
const NAME_BYTES: usize = 256;

/// The plugin in whose callback the worker's process ended, and how often one time after the other.
#[derive(Debug)]
pub(crate) struct Blame {
    ends: u32,
    length: usize,
    name: [u8; NAME_BYTES],
}

impl Blame {
    const NOBODY: Self = Self { ends: 0, length: 0, name: [0; NAME_BYTES] };

    fn name(&self) -> &[u8] {
        self.name.get(..self.length).unwrap_or_default()
    }

    fn add(&mut self, name: &[u8]) {
        if self.name() == name {
            self.ends = self.ends.saturating_add(1);
        } else if let Some(target) = self.name.get_mut(..name.len()) {
            target.copy_from_slice(name);
            (self.length, self.ends) = (name.len(), 1);
        }
    }
}

pub(crate) static BLAME: Shared<Blame> = Shared::new(c"walker_blame", || Blame::NOBODY);

/// The name of the plugin whose callback runs; null if none does.
static RUNNING: AtomicPtr<String> = AtomicPtr::new(null_mut());

/// As long as it lives, a callback of a plugin runs.
#[derive(Debug)]
pub(crate) struct Running<'a>(std::marker::PhantomData<&'a String>);

impl<'a> Running<'a> {
    /// Callbacks run one at a time.
    pub(crate) fn enter(name: &'a String) -> Self {
        RUNNING.store(std::ptr::from_ref(name).cast_mut(), Ordering::Relaxed);
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
            pg_sys::ProcDiePending = 1;
            pg_sys::InterruptPending = 1;
        }
    }
}

/// From now on, if this process ends within a callback, its plugin is blamed, unless the process was told to end.
pub(crate) fn watch() {
    // SAFETY: the callback is a plain C function and needs no argument.
    unsafe { pg_sys::before_shmem_exit(Some(ended), pg_sys::Datum::from(0)) };
}

#[pg_guard]
unsafe extern "C-unwind" fn ended(_code: c_int, _argument: pg_sys::Datum) {
    // SAFETY: who entered lives, since the process ends within the callback; the flag is set by a signal handler.
    let (name, told) = unsafe { (RUNNING.load(Ordering::Relaxed).as_ref(), pg_sys::ShutdownRequestPending != 0) };
    if let Some(name) = name
        && !told
    {
        BLAME.write(|blame| blame.add(name.as_bytes()));
    }
}

/// The plugin that ended the process of a worker before this one, and how often in a row.
pub(crate) fn blamed() -> Option<(String, u32)> {
    let of = |blame: &Blame| (String::from_utf8_lossy(blame.name()).into_owned(), blame.ends);
    BLAME.read(of).filter(|(_, ends)| *ends > 0)
}

/// Nobody is blamed any more.
pub(crate) fn forgive() {
    BLAME.write(|blame| *blame = Blame::NOBODY);
}
