//! What the worker and backends share: values in shared memory, each behind a lock of its own.
//!
//! Sources: `src/backend/storage/ipc/ipci.c`, `src/backend/storage/lmgr/lwlock.c`.

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pgrx::pg_guard;
use pgrx::pg_sys;

use crate::callback::BLAME;
use crate::mailbox::MAILBOX;
use crate::statistics::STATISTICS;

static mut NEXT_REQUEST_HOOK: pg_sys::shmem_request_hook_type = None;
static mut NEXT_STARTUP_HOOK: pg_sys::shmem_startup_hook_type = None;

/// Asks for shared memory, when the server starts.
pub(crate) fn request() {
    // SAFETY: hooks are only changed while libraries are preloaded, in one process with one thread.
    unsafe {
        NEXT_REQUEST_HOOK = pg_sys::shmem_request_hook;
        pg_sys::shmem_request_hook = Some(request_hook);
        NEXT_STARTUP_HOOK = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(startup_hook);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn request_hook() {
    // SAFETY: hooks of other libraries are called as PostgreSQL would.
    unsafe {
        if let Some(next) = NEXT_REQUEST_HOOK {
            next();
        }
    }
    MAILBOX.request();
    STATISTICS.request();
    BLAME.request();
}

#[pg_guard]
unsafe extern "C-unwind" fn startup_hook() {
    // SAFETY: hooks of other libraries are called as PostgreSQL would.
    unsafe {
        if let Some(next) = NEXT_STARTUP_HOOK {
            next();
        }
    }
    MAILBOX.attach();
    STATISTICS.attach();
    BLAME.attach();
}

/// A value of fixed size in shared memory, without pointers into a process's own. In a server that has not preloaded this
/// library there is none.
pub(crate) struct Shared<T> {
    /// Of the memory and of its lock's tranche.
    name: &'static CStr,
    /// What it is when the server starts.
    initial: fn() -> T,
    value: AtomicPtr<T>,
    lock: AtomicPtr<pg_sys::LWLock>,
}

impl<T> Shared<T> {
    pub(crate) const fn new(name: &'static CStr, initial: fn() -> T) -> Self {
        let (value, lock) = (AtomicPtr::new(std::ptr::null_mut()), AtomicPtr::new(std::ptr::null_mut()));
        Self { name, initial, value, lock }
    }

    /// Runs `call` with the value while nobody else has it; `None` if the library was not preloaded. `call` must not raise
    /// an ERROR.
    pub(crate) fn write<R>(&self, call: impl FnOnce(&mut T) -> R) -> Option<R> {
        // SAFETY: the lock makes the reference the only one in any process.
        self.locked(pg_sys::LWLockMode::LW_EXCLUSIVE, |value| call(unsafe { &mut *value }))
    }

    /// Runs `call` with the value while nobody changes it; otherwise as [`Shared::write`].
    pub(crate) fn read<R>(&self, call: impl FnOnce(&T) -> R) -> Option<R> {
        // SAFETY: who changes it holds the lock alone.
        self.locked(pg_sys::LWLockMode::LW_SHARED, |value| call(unsafe { &*value }))
    }

    fn locked<R>(&self, mode: pg_sys::LWLockMode::Type, call: impl FnOnce(*mut T) -> R) -> Option<R> {
        let (value, lock) = (self.value.load(Ordering::Relaxed), self.lock.load(Ordering::Relaxed));
        if value.is_null() {
            return None;
        }
        // SAFETY: a lock of shared memory, which is given back; should `call` panic, PostgreSQL does it.
        unsafe {
            pg_sys::LWLockAcquire(lock, mode);
            let result = call(value);
            pg_sys::LWLockRelease(lock);
            Some(result)
        }
    }

    fn request(&self) {
        // SAFETY: called by PostgreSQL at the one time when shared memory may be asked for.
        unsafe {
            pg_sys::RequestAddinShmemSpace(size_of::<T>());
            pg_sys::RequestNamedLWLockTranche(self.name.as_ptr(), 1);
        }
    }

    fn attach(&self) {
        let mut found = false;
        // SAFETY: called by PostgreSQL when shared memory is there, before other processes use it; after a crash again. It
        // gives memory of that size, aligned for anything.
        unsafe {
            let value: *mut T = pg_sys::ShmemInitStruct(self.name.as_ptr(), size_of::<T>(), &mut found).cast();
            if !found {
                value.write((self.initial)());
            }
            self.lock.store(&raw mut (*pg_sys::GetNamedLWLockTranche(self.name.as_ptr())).lock, Ordering::Relaxed);
            self.value.store(value, Ordering::Relaxed);
        }
    }
}
