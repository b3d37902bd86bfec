//! Buffers: a block of a relation in shared memory, pinned, and locked for reading or for changing it.
//!
//! ```text
//! Relation::read -> PinnedBuffer -> share()     -> SharedBuffer     page()
//!                                -> exclusive() -> ExclusiveBuffer  page(), and changes by RecordBuilder or GenericXLog
//! Relation::extend -------------------------------^
//! ```
//!
//! A lock is given back, and the pin released, when its guard is dropped, also while an ERROR or a panic passes. Who locks
//! a buffer twice gets an ERROR instead of waiting for himself. While a buffer is locked, run no SQL that may handle an
//! error: the abort of its subtransaction releases the lock, and ends the session therefore.
//!
//! Source: `src/backend/storage/buffer/README`, `src/backend/storage/buffer/bufmgr.c`.

use std::ptr::NonNull;

use pgrx::pg_sys;
use pgwal::{BlockNumber, DataPage, Fork};

use crate::held_buffer::{HeldBuffer, Lock};
use crate::relation::Relation;

/// A pin, and whose block it is.
#[derive(Debug)]
struct BlockOf<'rel> {
    held: HeldBuffer,
    relation: Relation<'rel>,
    fork: Fork,
    number: BlockNumber,
}

/// A buffer that stays where it is, whose page nobody may look at without a lock.
#[derive(Debug)]
pub struct PinnedBuffer<'rel>(BlockOf<'rel>);

/// A buffer locked so that others may read it too, and nobody changes it.
#[derive(Debug)]
pub struct SharedBuffer<'rel>(BlockOf<'rel>);

/// A buffer that nobody else reads or changes. It is changed by a [`RecordBuilder`](crate::RecordBuilder) or a
/// [`GenericXLog`](crate::GenericXLog), which see to its record.
#[derive(Debug)]
pub struct ExclusiveBuffer<'rel>(BlockOf<'rel>);

impl<'rel> PinnedBuffer<'rel> {
    #[inline]
    pub(crate) fn new(held: HeldBuffer, relation: Relation<'rel>, fork: Fork, number: BlockNumber) -> Self {
        Self(BlockOf { held, relation, fork, number })
    }

    /// Waits until nobody changes it.
    ///
    /// # Panics
    /// With an ERROR if this process has locked it already.
    #[inline]
    #[must_use]
    pub fn share(mut self) -> SharedBuffer<'rel> {
        self.0.held.lock(Lock::Share);
        SharedBuffer(self.0)
    }

    /// Waits until nobody else has it locked.
    ///
    /// # Panics
    /// With an ERROR if this process has locked it already.
    #[inline(always)] // So that it is not moved in memory.
    #[must_use]
    pub fn exclusive(mut self) -> ExclusiveBuffer<'rel> {
        self.0.held.lock(Lock::Exclusive);
        ExclusiveBuffer(self.0)
    }

    /// Waits until nobody else has it locked or even pinned (`LockBufferForCleanup`): then no scan stands on this page.
    ///
    /// # Panics
    /// With an ERROR if this process has locked it already, or pinned it more than once.
    #[inline]
    #[must_use]
    pub fn cleanup(mut self) -> ExclusiveBuffer<'rel> {
        self.0.held.lock(Lock::Cleanup);
        ExclusiveBuffer(self.0)
    }

    /// Locks it exclusively, if nobody else has it locked.
    ///
    /// # Errors
    /// The buffer as it is, if somebody has.
    ///
    /// # Panics
    /// With an ERROR if this process has locked it already.
    pub fn try_exclusive(mut self) -> Result<ExclusiveBuffer<'rel>, Self> {
        if self.0.held.try_lock(Lock::Exclusive) { Ok(ExclusiveBuffer(self.0)) } else { Err(self) }
    }

    /// Locks it for cleanup, if nobody else has it locked or pinned.
    ///
    /// # Errors
    /// The buffer as it is, if somebody has.
    ///
    /// # Panics
    /// With an ERROR if this process has locked it already.
    pub fn try_cleanup(mut self) -> Result<ExclusiveBuffer<'rel>, Self> {
        if self.0.held.try_lock(Lock::Cleanup) { Ok(ExclusiveBuffer(self.0)) } else { Err(self) }
    }

    /// Its block's number.
    #[inline]
    #[must_use]
    pub fn block_number(&self) -> BlockNumber {
        self.0.number
    }
}

impl<'rel> SharedBuffer<'rel> {
    /// The page.
    #[inline]
    #[must_use]
    pub fn page(&self) -> &DataPage {
        // SAFETY: nobody writes to it while it is locked: `Relation::from_raw` and `held_locks`.
        unsafe { self.0.held.locked_page().as_ref() }
    }

    /// Its block's number.
    #[inline]
    #[must_use]
    pub fn block_number(&self) -> BlockNumber {
        self.0.number
    }

    /// Gives the lock back; the pin stays.
    #[inline]
    #[must_use]
    pub fn unlock(mut self) -> PinnedBuffer<'rel> {
        self.0.held.unlock();
        PinnedBuffer(self.0)
    }
}

impl<'rel> ExclusiveBuffer<'rel> {
    #[inline]
    pub(crate) fn new(held: HeldBuffer, relation: Relation<'rel>, fork: Fork, number: BlockNumber) -> Self {
        Self(BlockOf { held, relation, fork, number })
    }

    /// The page, to be read.
    #[inline]
    #[must_use]
    pub fn page(&self) -> &DataPage {
        // SAFETY: it is locked, and who changes it needs `&mut self`.
        unsafe { self.0.held.locked_page().as_ref() }
    }

    /// Its block's number.
    #[inline]
    #[must_use]
    pub fn block_number(&self) -> BlockNumber {
        self.0.number
    }

    /// Whose block it is.
    #[inline]
    #[must_use]
    pub fn relation(&self) -> Relation<'rel> {
        self.0.relation
    }

    /// Of which fork.
    #[inline]
    #[must_use]
    pub fn fork(&self) -> Fork {
        self.0.fork
    }

    /// Gives the lock back; the pin stays.
    #[inline]
    #[must_use]
    pub fn unlock(mut self) -> PinnedBuffer<'rel> {
        self.0.held.unlock();
        PinnedBuffer(self.0)
    }

    /// PostgreSQL's number of the buffer.
    #[inline]
    pub(crate) fn number(&self) -> pg_sys::Buffer {
        self.0.held.number()
    }

    /// Where its page is, to be changed by who borrows this exclusively.
    #[inline]
    pub(crate) fn page_pointer(&mut self) -> NonNull<DataPage> {
        self.0.held.locked_page()
    }
}
