//! What a resource manager needs to replay a record.
//!
//! Source: `src/backend/access/transam/xlogutils.c`: `XLogReadBufferForRedoExtended`.

use std::cell::Cell;
use std::ptr::NonNull;

use pgrx::pg_sys;
use pgwal::{Block, BlockFlags, BlockNumber, CustomRmgr, DataPage, Fork, Lsn, Record};

use crate::held_buffer::HeldBuffer;
use crate::memory_context::Arena;

/// Why a record cannot be replayed. It ends the server with a PANIC, whose context tells the record: to go on without the
/// change would be worse.
pub type RedoError = Box<dyn std::error::Error + Send + Sync>;

/// A record that is to be replayed.
#[derive(Debug)]
pub struct Redo<'r, T: CustomRmgr> {
    operation: T::Operation,
    record: &'r Record<'r>,
    reader: NonNull<pg_sys::XLogReaderState>,
    arena: &'r Arena<'r>,
    /// Blocks that were given out, by their bits.
    given: Cell<u64>,
    /// Whether a change failed half way.
    pub(crate) has_failed: Cell<bool>,
}

/// What is to be done with a block (`XLogRedoAction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedoAction {
    /// The page is older than the record: it is to be changed (`BLK_NEEDS_REDO`). Also a page that the record makes anew,
    /// whatever is on it: [`RedoBlock::apply`] begins with one of zeroes then.
    NeedsRedo,
    /// The page was restored from the record's image, which has the change in it (`BLK_RESTORED`).
    Restored,
    /// The page has this change already, from before the crash (`BLK_DONE`).
    Done,
    /// The block is not there any more: a later record removes the relation or cuts it (`BLK_NOTFOUND`). If none does,
    /// PostgreSQL ends with a PANIC at the end of recovery.
    NotFound,
}

impl<'r, T: CustomRmgr> Redo<'r, T> {
    /// # Safety
    /// `reader` has just read `record`, and reads no other while `'r` lives; this is the process that replays it.
    pub(crate) unsafe fn new(
        operation: T::Operation,
        record: &'r Record<'r>,
        reader: NonNull<pg_sys::XLogReaderState>,
        arena: &'r Arena<'r>,
    ) -> Self {
        Self { operation, record, reader, arena, given: Cell::new(0), has_failed: Cell::new(false) }
    }

    /// What the record does.
    #[must_use]
    pub fn operation(&self) -> T::Operation {
        self.operation
    }

    /// The record, with its data.
    #[must_use]
    pub fn record(&self) -> &'r Record<'r> {
        self.record
    }

    /// Memory that is freed behind the record.
    #[must_use]
    pub fn arena(&self) -> &'r Arena<'r> {
        self.arena
    }

    /// One of the record's blocks, locked exclusively until the guard is dropped. Where several are changed, keep the guards
    /// as long as the access method keeps its locks, since a standby's queries read meanwhile.
    ///
    /// # Errors
    /// If the record has no such block, or it was asked for before.
    pub fn block(&self, id: u8) -> Result<RedoBlock<'_>, RedoError> {
        self.read(id, false)
    }

    /// As [`Redo::block`], and nobody else has it pinned: no query of a standby stands on this page.
    ///
    /// # Errors
    /// As [`Redo::block`].
    pub fn block_for_cleanup(&self, id: u8) -> Result<RedoBlock<'_>, RedoError> {
        self.read(id, true)
    }

    fn read(&self, id: u8, for_cleanup: bool) -> Result<RedoBlock<'_>, RedoError> {
        let block = self.record.blocks.iter().find(|block| block.id == id);
        let block = block.ok_or_else(|| format!("the record has no block {id}"))?;
        let bit = 1_u64 << (id & 63);
        if self.given.get() & bit != 0 {
            return Err(format!("block {id} of the record was asked for twice").into());
        }
        let is_twice = |other: &&Block<'_>| {
            (other.relation, other.fork, other.number) == (block.relation, block.fork, block.number)
        };
        if self.record.blocks.iter().filter(is_twice).count() > 1 {
            // PostgreSQL would wait for ever for the lock that it holds itself.
            return Err(format!("the block of block {id} is twice in the record").into());
        }
        self.given.set(self.given.get() | bit);
        let mode = match (block.flags.contains(BlockFlags::WILL_INIT), for_cleanup) {
            (false, _) => pg_sys::ReadBufferMode::RBM_NORMAL,
            (true, false) => pg_sys::ReadBufferMode::RBM_ZERO_AND_LOCK,
            (true, true) => pg_sys::ReadBufferMode::RBM_ZERO_AND_CLEANUP_LOCK,
        };
        let mut buffer: pg_sys::Buffer = 0;
        // SAFETY: the reader holds the record, which has the block; the mode fits to whether the block is made anew.
        let (action, held) = unsafe {
            let action =
                pg_sys::XLogReadBufferForRedoExtended(self.reader.as_ptr(), id, mode, for_cleanup, &raw mut buffer);
            // Whatever the action, a buffer that was found is pinned and locked.
            (action, (buffer != 0).then(|| HeldBuffer::locked(buffer)))
        };
        let action = match action {
            pg_sys::XLogRedoAction::BLK_NEEDS_REDO => RedoAction::NeedsRedo,
            pg_sys::XLogRedoAction::BLK_RESTORED => RedoAction::Restored,
            pg_sys::XLogRedoAction::BLK_DONE => RedoAction::Done,
            _ => RedoAction::NotFound,
        };
        Ok(RedoBlock { action, held, block, end: self.record.end, has_failed: &self.has_failed })
    }
}

/// One of a record's blocks while it is replayed. Dropped, it is unlocked.
#[derive(Debug)]
pub struct RedoBlock<'r> {
    action: RedoAction,
    held: Option<HeldBuffer>,
    block: &'r Block<'r>,
    /// End of the record.
    end: Lsn,
    has_failed: &'r Cell<bool>,
}

impl<'r> RedoBlock<'r> {
    /// What is to be done with it.
    #[must_use]
    pub fn action(&self) -> RedoAction {
        self.action
    }

    /// The block's number.
    #[must_use]
    pub fn number(&self) -> BlockNumber {
        self.block.number
    }

    /// The block's data; none if it has an image, unless the record was written with
    /// [`RecordBlock::keep_data`](crate::RecordBlock::keep_data).
    #[must_use]
    pub fn data(&self) -> &'r [u8] {
        self.block.data
    }

    /// The page as it is; `None` if it was not found.
    #[must_use]
    pub fn page(&self) -> Option<&DataPage> {
        // SAFETY: locked exclusively, and who changes it needs `&mut self`.
        self.held.as_ref().map(|held| unsafe { held.locked_page().as_ref() })
    }

    /// Changes the page with the block's data, if that is needed, and stamps it with the record; else does nothing. A page that
    /// the record makes anew (see [`RecordBlock::init`](crate::RecordBlock::init)) is all zero before.
    ///
    /// # Errors
    /// What `change` returns, or that it leaves a page that PostgreSQL could not read again. The page stays locked then, since
    /// it may be half changed, and the error ends the server even if it goes no further.
    pub fn apply<E: Into<RedoError>>(
        &mut self,
        change: impl FnOnce(&mut DataPage, &'r [u8]) -> Result<(), E>,
    ) -> Result<(), RedoError> {
        let (RedoAction::NeedsRedo, Some(held)) = (self.action, self.held.as_mut()) else { return Ok(()) };
        // Nobody may see or write the page if it stays half changed, whether by an error or a panic.
        held.keep_locked(true);
        self.has_failed.set(true);
        // SAFETY: locked exclusively, and borrowed so.
        let page = unsafe { held.locked_page().as_mut() };
        if self.block.flags.contains(BlockFlags::WILL_INIT) {
            // PostgreSQL leaves as it is what is in its buffers already.
            page.as_bytes_mut().fill(0);
        }
        change(page, self.block.data).map_err(Into::into)?;
        page.check_header()?;
        page.set_lsn(self.end);
        // SAFETY: locked exclusively.
        unsafe { held.mark_dirty() };
        if self.block.fork == Fork::INIT {
            // At the end of recovery unlogged relations are made from the file.
            // SAFETY: locked.
            unsafe { pg_sys::FlushOneBuffer(held.number()) };
        }
        held.keep_locked(false);
        self.has_failed.set(false);
        self.action = RedoAction::Done;
        Ok(())
    }
}
