//! A physical replication slot that keeps WAL until it is not needed any more.
//!
//! Sources: `src/backend/replication/slot.c`, `src/backend/replication/slotfuncs.c`:
//! `pg_physical_replication_slot_advance`.

use std::ffi::{CStr, CString};

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use pgwal::Lsn;

use crate::catch::{catch_and_recover, raise};

/// What [`ReplicationSlot::hold`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquired {
    /// Nothing: this process holds it already.
    Already,
    /// It was there, and is held now.
    Taken,
    /// There was none: it was made.
    Made,
    /// It had been invalidated, and was made anew: WAL that it had held back may be gone.
    MadeAnew,
}

/// A physical slot that this process holds, so that `pg_replication_slots` shows it as active.
#[derive(Debug)]
pub struct ReplicationSlot {
    name: CString,
    /// From where on it was told to hold WAL, by this process.
    told: Lsn,
}

impl ReplicationSlot {
    /// The slot of this name, which is taken by [`ReplicationSlot::hold`].
    ///
    /// # Safety
    /// Its methods are called at the outermost level of a background worker, where nothing of a transaction is used: an ERROR in
    /// them ends whatever transaction is open.
    #[must_use]
    pub unsafe fn new(name: CString) -> Self {
        Self { name, told: Lsn::INVALID }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// Takes the slot, which may be left over from before, or makes it: then it holds WAL from where the last checkpoint
    /// began. One that was invalidated is made anew.
    ///
    /// # Errors
    /// Why it cannot be had now: `wal_level` or `max_replication_slots` too low, all slots in use, the name not valid,
    /// another process holds it, or it is a logical slot.
    pub fn hold(&mut self) -> Result<Acquired, String> {
        // SAFETY: settings that only change when the server starts, and a variable of this process.
        let (level, slots, held) =
            unsafe { (pg_sys::wal_level, pg_sys::max_replication_slots, !pg_sys::MyReplicationSlot.is_null()) };
        if held {
            return Ok(Acquired::Already);
        }
        if level < pg_sys::WalLevel::WAL_LEVEL_REPLICA as i32 {
            return Err("\"wal_level\" is minimal".to_owned());
        }
        if slots == 0 {
            return Err("\"max_replication_slots\" is zero".to_owned());
        }
        self.told = Lsn::INVALID;
        // SAFETY: promised to `new`.
        unsafe { catch_and_recover(|| self.acquire_or_create()) }?
    }

    /// WAL is needed from `lsn` on, and not before. What was told last is known to the server at once, and outlives a crash
    /// from the next checkpoint on. That may be less than before: then WAL between may be gone already. Takes the slot again if
    /// it was released by an ERROR.
    ///
    /// # Errors
    /// As [`ReplicationSlot::hold`].
    pub fn keep_from(&mut self, lsn: Lsn) -> Result<Acquired, String> {
        let held = self.hold()?;
        if lsn == self.told {
            return Ok(held);
        }
        let keep = || {
            // SAFETY: the slot is this process's own while it is acquired; others look at it under its spinlock.
            unsafe {
                let slot = &raw mut *pg_sys::MyReplicationSlot;
                pg_sys::SpinLockAcquire(&raw mut (*slot).mutex);
                // Zero: it was invalidated, which ends the process that holds it.
                if (*slot).data.restart_lsn != 0 {
                    (*slot).data.restart_lsn = lsn.get();
                }
                pg_sys::SpinLockRelease(&raw mut (*slot).mutex);
                pg_sys::ReplicationSlotMarkDirty();
                pg_sys::ReplicationSlotsComputeRequiredLSN();
            }
        };
        // SAFETY: promised to `new`.
        unsafe { catch_and_recover(keep) }?;
        self.told = lsn;
        Ok(held)
    }

    /// From where on it holds WAL; `None` if this process does not hold the slot, or it was invalidated.
    #[must_use]
    pub fn kept_from(&self) -> Option<Lsn> {
        // SAFETY: this process's own slot, if there is one, is looked at under its spinlock.
        unsafe {
            let slot: *mut pg_sys::ReplicationSlot = pg_sys::MyReplicationSlot;
            if slot.is_null() {
                return None;
            }
            pg_sys::SpinLockAcquire(&raw mut (*slot).mutex);
            let lsn = Lsn::new((*slot).data.restart_lsn);
            pg_sys::SpinLockRelease(&raw mut (*slot).mutex);
            lsn.is_valid().then_some(lsn)
        }
    }

    /// Drops it, whether this process holds it or nobody does.
    ///
    /// # Errors
    /// As [`drop_slot`].
    pub fn drop_now(&mut self) -> Result<(), String> {
        self.told = Lsn::INVALID;
        let drop = || {
            // SAFETY: releases this process's own slot, if it holds one.
            unsafe {
                if !pg_sys::MyReplicationSlot.is_null() {
                    pg_sys::ReplicationSlotRelease();
                }
            }
            drop_slot(&self.name);
        };
        // SAFETY: promised to `new`.
        unsafe { catch_and_recover(drop) }
    }

    fn acquire_or_create(&self) -> Result<Acquired, String> {
        let mut held = Acquired::Made;
        // SAFETY: the name is a C string; the functions take the locks that they need, and raise an ERROR where they
        // cannot do what they are for. The slot that is looked at is acquired, so that nobody drops it.
        unsafe {
            if !pg_sys::SearchNamedReplicationSlot(self.name.as_ptr(), true).is_null() {
                self.acquire();
                let data = &raw const (*pg_sys::MyReplicationSlot).data;
                if (*data).database != pg_sys::InvalidOid {
                    pg_sys::ReplicationSlotRelease();
                    return Err("it is a logical slot".to_owned());
                }
                #[cfg(feature = "pg15")]
                let invalidated = false;
                #[cfg(not(feature = "pg15"))]
                let invalidated = (*data).invalidated != pg_sys::ReplicationSlotInvalidationCause::RS_INVAL_NONE;
                if (*data).restart_lsn != 0 && !invalidated {
                    return Ok(Acquired::Taken);
                }
                held = Acquired::MadeAnew;
                pg_sys::ReplicationSlotRelease();
                pg_sys::ReplicationSlotDrop(self.name.as_ptr(), true);
            }
            let persistent = pg_sys::ReplicationSlotPersistency::RS_PERSISTENT;
            #[cfg(any(feature = "pg15", feature = "pg16"))]
            pg_sys::ReplicationSlotCreate(self.name.as_ptr(), false, persistent, false);
            #[cfg(not(any(feature = "pg15", feature = "pg16")))]
            pg_sys::ReplicationSlotCreate(self.name.as_ptr(), false, persistent, false, false, false);
            pg_sys::ReplicationSlotReserveWal();
            pg_sys::ReplicationSlotMarkDirty();
            pg_sys::ReplicationSlotSave();
        }
        Ok(held)
    }

    /// Does not wait for another process that holds it: who waits cannot be told to stop.
    ///
    /// # Safety
    /// To be called where an ERROR is caught.
    unsafe fn acquire(&self) {
        // SAFETY: the name is a C string; there is an ERROR if there is no such slot.
        unsafe {
            #[cfg(not(feature = "pg18"))]
            pg_sys::ReplicationSlotAcquire(self.name.as_ptr(), true);
            // What is invalid is seen by whoever looks.
            #[cfg(feature = "pg18")]
            pg_sys::ReplicationSlotAcquire(self.name.as_ptr(), true, false);
        }
    }
}

/// Drops the physical slot of this name, in any process.
///
/// # Panics
/// With a PostgreSQL ERROR: there is none, it is a logical slot, or a process holds it.
pub fn drop_slot(name: &CStr) {
    // SAFETY: the name is a C string; the functions take the locks that they need. A slot that is dropped and made by others
    // between the two calls would have to be a logical one of this very name to be harmed.
    unsafe {
        let slot: *mut pg_sys::ReplicationSlot = pg_sys::SearchNamedReplicationSlot(name.as_ptr(), true);
        if !slot.is_null() && (*slot).data.database != pg_sys::InvalidOid {
            let message = format!("replication slot \"{}\" is a logical slot", name.to_string_lossy());
            raise(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message, None);
        }
        pg_sys::ReplicationSlotDrop(name.as_ptr(), true);
    }
}
