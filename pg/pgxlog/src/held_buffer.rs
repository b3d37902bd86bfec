//! A pin on a buffer, and perhaps a lock of its content: what all guards of buffers have in common.

use std::ptr::NonNull;

use pgrx::pg_sys;
use pgwal::DataPage;

use crate::catch::raise;
use crate::held_locks;

const _: () = assert!(pg_sys::BLCKSZ as usize == DataPage::SIZE, "only a BLCKSZ of 8192 is supported");

// Those that never raise an ERROR, as they are called here, without pgrx's guard: it would cost as much as the functions
// themselves.
unsafe extern "C" {
    fn LockBuffer(buffer: pg_sys::Buffer, mode: std::ffi::c_int);
    fn ReleaseBuffer(buffer: pg_sys::Buffer);
    fn MarkBufferDirty(buffer: pg_sys::Buffer);
}

/// How the content of a buffer is to be locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    Share,
    Exclusive,
    /// Exclusively, once nobody else has a pin.
    Cleanup,
}

/// A pinned buffer. Dropped, it is unlocked and released, also while an ERROR or a panic passes: somebody may catch it
/// before the transaction is aborted.
#[derive(Debug)]
pub(crate) struct HeldBuffer {
    buffer: pg_sys::Buffer,
    /// Who was to release it when it was pinned. As any pointer it cannot be sent to a thread: a process of PostgreSQL has one.
    owner: pg_sys::ResourceOwner,
    /// [`held_locks::releases`] when it was locked; PostgreSQL has released the lock itself if it is more now. Zero if it is not
    /// locked.
    locked_at: u64,
}

impl HeldBuffer {
    /// Takes over a pin.
    ///
    /// # Safety
    /// The buffer was just pinned by this process, for its current resource owner, which lives longer than this, and nobody
    /// else releases it.
    #[inline]
    pub(crate) unsafe fn pinned(buffer: pg_sys::Buffer) -> Self {
        // SAFETY: a global variable of this process.
        let owner = unsafe { pg_sys::CurrentResourceOwner };
        Self { buffer, owner, locked_at: 0 }
    }

    /// Takes over a pin and a lock, of whichever kind.
    ///
    /// # Safety
    /// As [`HeldBuffer::pinned`], and its content was just locked.
    #[inline]
    pub(crate) unsafe fn locked(buffer: pg_sys::Buffer) -> Self {
        held_locks::note(buffer);
        // SAFETY: promised by the caller.
        unsafe { Self::noted(buffer) }
    }

    /// As [`HeldBuffer::locked`], while a record is replayed.
    ///
    /// # Safety
    /// As there; this is the process that replays the log, and has no transaction.
    #[inline]
    pub(crate) unsafe fn locked_in_redo(buffer: pg_sys::Buffer) -> Self {
        held_locks::note_in_redo(buffer);
        // SAFETY: promised by the caller.
        unsafe { Self::noted(buffer) }
    }

    /// # Safety
    /// As [`HeldBuffer::locked`].
    #[inline]
    unsafe fn noted(buffer: pg_sys::Buffer) -> Self {
        // SAFETY: promised by the caller.
        let mut held = unsafe { Self::pinned(buffer) };
        held.locked_at = held_locks::releases();
        held
    }

    /// Waits for the lock.
    #[inline(always)] // So that the guard around it stays in registers.
    pub(crate) fn lock(&mut self, lock: Lock) {
        let count = held_locks::note(self.buffer);
        // SAFETY: the buffer is pinned.
        unsafe {
            match lock {
                Lock::Share if count <= UNGUARDED_LOCKS => lock_unguarded(self.buffer, pg_sys::BUFFER_LOCK_SHARE),
                Lock::Exclusive if count <= UNGUARDED_LOCKS => {
                    lock_unguarded(self.buffer, pg_sys::BUFFER_LOCK_EXCLUSIVE);
                }
                lock => lock_guarded(self.buffer, lock),
            }
        }
        self.locked_at = held_locks::releases();
    }

    /// Locks it if that is possible at once; not for sharing. Returns whether it did.
    pub(crate) fn try_lock(&mut self, lock: Lock) -> bool {
        held_locks::note(self.buffer);
        let noted = Noted(self.buffer);
        // SAFETY: the buffer is pinned.
        let locked = unsafe {
            match lock {
                Lock::Cleanup => pg_sys::ConditionalLockBufferForCleanup(self.buffer),
                Lock::Share | Lock::Exclusive => pg_sys::ConditionalLockBuffer(self.buffer),
            }
        };
        if locked {
            std::mem::forget(noted);
            self.locked_at = held_locks::releases();
        }
        locked
    }

    /// Whether it is still locked. It is not if PostgreSQL has aborted a transaction or subtransaction since.
    #[inline]
    pub(crate) fn is_locked(&self) -> bool {
        self.locked_at == held_locks::releases()
    }

    /// Unlocks it; the pin stays.
    #[inline]
    pub(crate) fn unlock(&mut self) {
        unlock(self.buffer, self.locked_at);
        self.locked_at = 0;
    }

    /// Its number; negative in a temporary relation.
    #[inline]
    pub(crate) fn number(&self) -> pg_sys::Buffer {
        self.buffer
    }

    /// Its page, while it is locked.
    ///
    /// # Panics
    /// With an ERROR if PostgreSQL has released the lock.
    #[inline]
    pub(crate) fn locked_page(&self) -> NonNull<DataPage> {
        if !self.is_locked() {
            self.refuse();
        }
        self.page()
    }

    #[cold]
    fn refuse(&self) -> ! {
        let code = pgrx::PgSqlErrorCode::ERRCODE_INTERNAL_ERROR;
        raise(code, format!("buffer {} is locked no more: a subtransaction was aborted", self.buffer), None);
    }

    /// Its page (`BufferGetPage`).
    #[inline]
    fn page(&self) -> NonNull<DataPage> {
        let buffer = self.buffer;
        // SAFETY: the arrays are allocated before the first buffer can be pinned, and a valid number is an index there,
        // from one.
        let page = unsafe {
            if buffer < 0 {
                *pg_sys::LocalBufferBlockPointers.add((-buffer - 1) as usize)
            } else {
                pg_sys::BufferBlocks.add((buffer - 1) as usize * DataPage::SIZE).cast()
            }
        };
        // SAFETY: no page of a pinned buffer is at address zero.
        unsafe { NonNull::new_unchecked(page.cast()) }
    }

    /// Marks it as changed.
    ///
    /// # Safety
    /// It is locked exclusively.
    #[inline]
    pub(crate) unsafe fn mark_dirty(&self) {
        // SAFETY: pinned, and locked as the caller says; raises nothing then.
        unsafe { MarkBufferDirty(self.buffer) }
    }
}

impl Drop for HeldBuffer {
    #[inline]
    fn drop(&mut self) {
        release(self.buffer, self.owner, self.locked_at);
    }
}

/// Unlocks a buffer that was locked when there were so many [`held_locks::releases`], and releases its pin. Not part of who drops
/// it, who then needs not keep it in memory: it is but three numbers.
#[inline(never)]
fn release(buffer: pg_sys::Buffer, owner: pg_sys::ResourceOwner, locked_at: u64) {
    unlock(buffer, locked_at);
    // SAFETY: the pin is ours, for an owner that is still there: see `pinned`.
    unsafe { if pg_sys::CurrentResourceOwner == owner { ReleaseBuffer(buffer) } else { release_for(owner, buffer) } }
}

/// `ReleaseBuffer` for an owner that is not the current one, as while an ERROR passes.
///
/// # Safety
/// The pin is noted with that owner.
#[cold]
#[inline(never)]
unsafe fn release_for(owner: pg_sys::ResourceOwner, buffer: pg_sys::Buffer) {
    // SAFETY: promised by the caller.
    unsafe {
        let current = pg_sys::CurrentResourceOwner;
        pg_sys::CurrentResourceOwner = owner;
        ReleaseBuffer(buffer);
        pg_sys::CurrentResourceOwner = current;
    }
}

/// Unlocks a buffer that was locked when there were so many [`held_locks::releases`], if it still is.
#[inline]
fn unlock(buffer: pg_sys::Buffer, locked_at: u64) {
    if locked_at != held_locks::releases() {
        return;
    }
    held_locks::forget(buffer);
    // SAFETY: it is locked by us; unlocking raises nothing. An ERROR that passes, or was caught, has set the count to zero
    // that unlocking decrements: as in `LWLockReleaseAll`, it is made to fit. Local buffers have no locks.
    unsafe {
        if pg_sys::InterruptHoldoffCount == 0 && buffer > 0 {
            pg_sys::InterruptHoldoffCount += 1;
        }
        LockBuffer(buffer, pg_sys::BUFFER_LOCK_UNLOCK as _);
    }
}

/// `LockBuffer`, to lock.
///
/// # Safety
/// The buffer is pinned, and at most [`UNGUARDED_LOCKS`] are locked with it.
#[inline]
unsafe fn lock_unguarded(buffer: pg_sys::Buffer, mode: u32) {
    // SAFETY: pinned. Its one ERROR is that this process holds 200 locks. If so many are not ours, which cannot be in the
    // usual course, it is a PANIC, since the count of critical sections is not zero: no ERROR passes by without a guard.
    unsafe {
        pg_sys::CritSectionCount += 1;
        LockBuffer(buffer, mode as _);
        pg_sys::CritSectionCount -= 1;
    }
}

/// Locks a buffer that was noted; it is forgotten again if an ERROR comes instead of the lock.
///
/// # Safety
/// The buffer is pinned.
#[inline(never)]
unsafe fn lock_guarded(buffer: pg_sys::Buffer, lock: Lock) {
    let noted = Noted(buffer);
    // SAFETY: pinned.
    unsafe {
        match lock {
            Lock::Share => pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as _),
            Lock::Exclusive => pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_EXCLUSIVE as _),
            Lock::Cleanup => pg_sys::LockBufferForCleanup(buffer),
        }
    }
    std::mem::forget(noted);
}

/// Up to so many buffers are locked without pgrx's guard. PostgreSQL holds hardly any lock of its own when it calls an
/// extension.
const UNGUARDED_LOCKS: usize = 32;

/// A lock that was noted and may not be had.
struct Noted(pg_sys::Buffer);

impl Drop for Noted {
    #[inline]
    fn drop(&mut self) {
        held_locks::forget(self.0);
    }
}
