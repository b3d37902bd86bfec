//! Relations: how many blocks they have, how a block is read or added, and whether changes of it are logged.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};

use pgrx::{PgSqlErrorCode, pg_sys};
use pgwal::{BlockNumber, Fork, RelFileLocator};

use crate::buffer::{ExclusiveBuffer, PinnedBuffer};
use crate::catch::raise;
use crate::guarded_read::read_buffer;
use crate::held_buffer::HeldBuffer;
use crate::held_locks;
use crate::recovery::refuse_in_recovery;

/// `InvalidSubTransactionId`.
const INVALID_SUBTRANSACTION: pg_sys::SubTransactionId = 0;

/// What is said in recovery.
const CANNOT_CHANGE: &str = "cannot change a relation during recovery";

/// An open relation, borrowed from whoever holds it open.
#[derive(Clone, Copy)]
pub struct Relation<'a> {
    /// As any pointer it cannot be sent to a thread: a process of PostgreSQL has one.
    raw: NonNull<pg_sys::RelationData>,
    /// Which buffers blocks are read into; null for any.
    strategy: pg_sys::BufferAccessStrategy,
    _borrowed: PhantomData<&'a ()>,
}

impl<'a> Relation<'a> {
    /// The relation behind PostgreSQL's pointer.
    ///
    /// # Safety
    /// It is open, has files of its own (is no view), and is locked as its use needs, for all of `'a`; `'a` ends before the
    /// transaction does, and what is pinned in a subtransaction is dropped before that ends.
    /// Nobody changes its pages while they hold but a shared lock of the buffer, as hint bits of a heap are set: an index
    /// access method's own relation is such a one, if its pages are changed by this crate's means alone.
    #[must_use]
    pub unsafe fn from_raw(raw: pg_sys::Relation) -> Self {
        held_locks::watch();
        // SAFETY: an open relation is not null.
        let raw = unsafe { NonNull::new_unchecked(raw) };
        Self { raw, strategy: null_mut(), _borrowed: PhantomData }
    }

    /// The same relation, whose blocks are read into few buffers, as is right where all of them are read once.
    ///
    /// # Safety
    /// The strategy lives as long as `'a`, or is null.
    #[must_use]
    pub unsafe fn with_strategy(self, strategy: pg_sys::BufferAccessStrategy) -> Self {
        Self { strategy, ..self }
    }

    /// PostgreSQL's pointer.
    #[inline]
    #[must_use]
    pub fn as_raw(&self) -> pg_sys::Relation {
        self.raw.as_ptr()
    }

    #[inline]
    fn data(&self) -> &pg_sys::RelationData {
        // SAFETY: open for 'a.
        unsafe { self.raw.as_ref() }
    }

    /// Its OID (`RelationGetRelid`).
    #[must_use]
    pub fn oid(&self) -> pgwal::Oid {
        pgwal::Oid::new(self.data().rd_id.to_u32())
    }

    /// Where its files are.
    #[inline]
    #[must_use]
    pub fn locator(&self) -> RelFileLocator {
        #[cfg(feature = "pg15")]
        let (tablespace, database, relation) = {
            let node = &self.data().rd_node;
            (node.spcNode, node.dbNode, node.relNode)
        };
        #[cfg(not(feature = "pg15"))]
        let (tablespace, database, relation) = {
            let locator = &self.data().rd_locator;
            (locator.spcOid, locator.dbOid, locator.relNumber)
        };
        RelFileLocator::new(tablespace.to_u32(), database.to_u32(), relation.to_u32())
    }

    /// Whether changes of its main fork need WAL: not those of an unlogged or temporary relation, nor, with
    /// `wal_level = minimal`, of one that this transaction made (`RelationNeedsWAL`).
    #[inline]
    #[must_use]
    pub fn needs_wal(&self) -> bool {
        let data = self.data();
        #[cfg(feature = "pg15")]
        let first_file = data.rd_firstRelfilenodeSubid;
        #[cfg(not(feature = "pg15"))]
        let first_file = data.rd_firstRelfilelocatorSubid;
        // SAFETY: an open relation has its row of pg_class; the setting is a global variable of this process.
        let (persistence, level) = unsafe { ((*data.rd_rel).relpersistence as u8, pg_sys::wal_level) };
        let is_older = data.rd_createSubid == INVALID_SUBTRANSACTION && first_file == INVALID_SUBTRANSACTION;
        persistence == pg_sys::RELPERSISTENCE_PERMANENT
            && (level >= pg_sys::WalLevel::WAL_LEVEL_REPLICA as i32 || is_older)
    }

    /// Whether records tell logical decoding of its rows: not those of catalogs, of a relation whose changes need no WAL, or with
    /// a `wal_level` below `logical` (`RelationIsLogicallyLogged`).
    #[must_use]
    pub fn is_logically_logged(&self) -> bool {
        // SAFETY: the setting is a global variable of this process; the relation is open, with its row of pg_class.
        unsafe {
            pg_sys::wal_level >= pg_sys::WalLevel::WAL_LEVEL_LOGICAL as i32
                && self.needs_wal()
                && (*self.data().rd_rel).relkind as u8 != pg_sys::RELKIND_FOREIGN_TABLE
                && !pg_sys::IsCatalogRelation(self.as_raw())
        }
    }

    /// Whether changes of a fork need WAL: those of the init fork of an unlogged relation do.
    #[inline]
    #[must_use]
    pub fn fork_needs_wal(&self, fork: Fork) -> bool {
        fork == Fork::INIT || self.needs_wal()
    }

    /// How many blocks a fork has. Raises an ERROR if the file cannot be looked at, or PostgreSQL has no such fork.
    #[must_use]
    pub fn blocks(&self, fork: Fork) -> u32 {
        // SAFETY: the relation is open.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.as_raw(), raw_fork(fork)) }
    }

    /// Pins a block of the main or the init fork: PostgreSQL changes pages of the others under a shared lock. Raises an ERROR if
    /// there is none of this number, or it cannot be read.
    #[inline]
    #[must_use]
    pub fn read(&self, fork: Fork, number: BlockNumber) -> PinnedBuffer<'a> {
        if number.get() == pg_sys::InvalidBlockNumber {
            // PostgreSQL would add a block.
            refuse(format!("block {number} cannot be"));
        }
        let (fork_number, strategy) = (page_fork(fork), self.strategy);
        // SAFETY: the relation is open, and the strategy alive. The pin is ours.
        let held = unsafe { HeldBuffer::pinned(read_buffer(self.as_raw(), fork_number, number.get(), strategy)) };
        PinnedBuffer::new(held, *self, fork, number)
    }

    /// Adds a block of zeroes at the end of a fork, and locks it exclusively. It is not logged before something is logged
    /// about it: after a crash it may be there, all zero. Raises an ERROR if there is no room, in recovery, and for other forks
    /// than main and init.
    #[must_use]
    pub fn extend(&self, fork: Fork) -> ExclusiveBuffer<'a> {
        refuse_in_recovery(CANNOT_CHANGE);
        // SAFETY: the relation is open; the buffer is returned pinned and locked.
        let (held, number) = unsafe {
            let held = HeldBuffer::locked(self.extend_raw(page_fork(fork)));
            let number = pg_sys::BufferGetBlockNumber(held.number());
            (held, BlockNumber::new(number))
        };
        ExclusiveBuffer::new(held, *self, fork, number)
    }

    #[cfg(feature = "pg15")]
    unsafe fn extend_raw(&self, fork: pg_sys::ForkNumber::Type) -> pg_sys::Buffer {
        let relation = self.as_raw();
        let new_block = pg_sys::InvalidBlockNumber;
        let mode = pg_sys::ReadBufferMode::RBM_ZERO_AND_LOCK;
        // SAFETY: the relation is open. An ERROR between leaves the lock to the abort.
        unsafe {
            pg_sys::LockRelationForExtension(relation, pg_sys::ExclusiveLock as _);
            let buffer = pg_sys::ReadBufferExtended(relation, fork, new_block, mode, null_mut());
            pg_sys::UnlockRelationForExtension(relation, pg_sys::ExclusiveLock as _);
            buffer
        }
    }

    #[cfg(not(feature = "pg15"))]
    unsafe fn extend_raw(&self, fork: pg_sys::ForkNumber::Type) -> pg_sys::Buffer {
        let relation = pg_sys::BufferManagerRelation { rel: self.as_raw(), ..Default::default() };
        let flags = pg_sys::ExtendBufferedFlags::EB_LOCK_FIRST;
        // SAFETY: the relation is open.
        unsafe { pg_sys::ExtendBufferedRel(relation, fork, null_mut(), flags) }
    }

    /// A block that the free space map says is free (`GetFreeIndexPage`); it is taken out of the map. Who gets it has to
    /// look at the page: the map survives no crash. Raises an ERROR in recovery.
    #[must_use]
    pub fn take_free_block(&self) -> Option<BlockNumber> {
        refuse_in_recovery(CANNOT_CHANGE);
        // SAFETY: the relation is open.
        let number = unsafe { pg_sys::GetFreeIndexPage(self.as_raw()) };
        (number != pg_sys::InvalidBlockNumber).then(|| BlockNumber::new(number))
    }

    /// Puts a block into the free space map (`RecordFreeIndexPage`); others find it after
    /// [`Relation::publish_free_blocks`]. Raises an ERROR in recovery.
    pub fn add_free_block(&self, number: BlockNumber) {
        refuse_in_recovery(CANNOT_CHANGE);
        // SAFETY: the relation is open.
        unsafe { pg_sys::RecordFreeIndexPage(self.as_raw(), number.get()) }
    }

    /// Makes free blocks to be found from the top of the map (`IndexFreeSpaceMapVacuum`). Raises an ERROR in recovery.
    pub fn publish_free_blocks(&self) {
        refuse_in_recovery(CANNOT_CHANGE);
        // SAFETY: the relation is open.
        unsafe { pg_sys::IndexFreeSpaceMapVacuum(self.as_raw()) }
    }
}

#[cold]
fn refuse(message: String) -> ! {
    raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, None);
}

/// PostgreSQL's number of a fork whose pages are those of its access method.
///
/// # Panics
/// With an ERROR for the free space map and the visibility map.
#[inline]
fn page_fork(fork: Fork) -> pg_sys::ForkNumber::Type {
    if fork != Fork::MAIN && fork != Fork::INIT {
        refuse(format!("pages of fork {fork} cannot be used"));
    }
    raw_fork(fork)
}

/// PostgreSQL's number of a fork.
///
/// # Panics
/// With an ERROR if it has no such fork: it uses the number as an index without a look at it.
#[inline]
fn raw_fork(fork: Fork) -> pg_sys::ForkNumber::Type {
    if fork > Fork::INIT {
        refuse(format!("fork {} cannot be", fork.get()));
    }
    pg_sys::ForkNumber::Type::from(fork.get())
}

impl fmt::Debug for Relation<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Relation").field(&self.locator()).finish()
    }
}
