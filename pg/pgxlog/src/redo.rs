//! What a resource manager needs to replay a record.
//!
//! Source: `src/backend/access/transam/xlogutils.c`: `XLogReadBufferForRedoExtended`.

use std::cell::{Cell, OnceCell};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use pgrx::pg_sys;
use pgwal::{BlockFlags, BlockNumber, CustomRmgr, DataPage, Fork, Lsn, Record};

use crate::held_buffer::HeldBuffer;
use crate::memory_context::Arena;
use crate::record_view::{block_data, decoded_blocks, locator, view};

// Without pgrx's guard, which takes as long as much of what it does.
#[allow(improper_ctypes)]
unsafe extern "C-unwind" {
    fn XLogReadBufferForRedoExtended(
        reader: *mut pg_sys::XLogReaderState,
        block_id: u8,
        mode: pg_sys::ReadBufferMode::Type,
        get_cleanup_lock: bool,
        buffer: *mut pg_sys::Buffer,
    ) -> pg_sys::XLogRedoAction::Type;
}

/// Why a record cannot be replayed. It ends the server with a PANIC, whose context tells the record: to go on without the
/// change would be worse.
pub type RedoError = Box<dyn std::error::Error + Send + Sync>;

/// A record that is to be replayed.
#[derive(Debug)]
pub struct Redo<'r, T: CustomRmgr> {
    operation: T::Operation,
    /// Made when it is asked for: blocks are found without it.
    record: &'r OnceCell<Record<'r>>,
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
    /// `reader` has just read a record, and reads no other while `'r` lives; this is the process that replays it. `record` is
    /// empty.
    pub(crate) unsafe fn new(
        operation: T::Operation,
        record: &'r OnceCell<Record<'r>>,
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
        // SAFETY: the reader holds the record as long as 'r lives.
        self.record.get_or_init(|| unsafe { view(self.reader.as_ptr()) })
    }

    /// PostgreSQL's blocks of the record, by their numbers.
    #[inline]
    fn decoded_blocks(&self) -> &'r [pg_sys::DecodedBkpBlock] {
        // SAFETY: the reader holds the record for 'r.
        unsafe { decoded_blocks(self.reader.as_ptr()) }
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
    #[inline]
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

    #[inline]
    fn read(&self, id: u8, for_cleanup: bool) -> Result<RedoBlock<'_>, RedoError> {
        let blocks = self.decoded_blocks();
        let block = blocks.get(usize::from(id)).filter(|block| block.in_use);
        let block = block.ok_or_else(|| format!("the record has no block {id}"))?;
        let bit = 1_u64 << (id & 63);
        if self.given.get() & bit != 0 {
            return Err(format!("block {id} of the record was asked for twice").into());
        }
        let is_same = |other: &pg_sys::DecodedBkpBlock| {
            (other.blkno, other.forknum, locator(other)) == (block.blkno, block.forknum, locator(block))
        };
        if blocks.len() > 1 && blocks.iter().filter(|other| other.in_use && is_same(other)).count() > 1 {
            // PostgreSQL would wait for ever for the lock that it holds itself.
            return Err(format!("the block of block {id} is twice in the record").into());
        }
        self.given.set(self.given.get() | bit);
        let will_init = BlockFlags::from_bits_retain(block.flags).contains(BlockFlags::WILL_INIT);
        let mode = match (will_init, for_cleanup) {
            (false, _) => pg_sys::ReadBufferMode::RBM_NORMAL,
            (true, false) => pg_sys::ReadBufferMode::RBM_ZERO_AND_LOCK,
            (true, true) => pg_sys::ReadBufferMode::RBM_ZERO_AND_CLEANUP_LOCK,
        };
        let mut buffer: pg_sys::Buffer = 0;
        // SAFETY: the reader holds the record, which has the block; the mode fits to whether the block is made anew.
        let (action, held) = unsafe {
            let reader = self.reader.as_ptr();
            // Where nobody waits for an ERROR, it is a FATAL, which ends the process at once: so in the startup process.
            let action = if pg_sys::PG_exception_stack.is_null() {
                XLogReadBufferForRedoExtended(reader, id, mode, for_cleanup, &raw mut buffer)
            } else {
                pg_sys::XLogReadBufferForRedoExtended(reader, id, mode, for_cleanup, &raw mut buffer)
            };
            // Whatever the action, a buffer that was found is pinned and locked.
            (action, (buffer != 0).then(|| HeldBuffer::locked_in_redo(buffer)))
        };
        // SAFETY: the block's data is in the reader's buffers, and the reader holds the record.
        let (data, end) = unsafe { (block_data(block), Lsn::new((*self.reader.as_ptr()).EndRecPtr)) };
        let (number, fork) = (BlockNumber::new(block.blkno), Fork::new(block.forknum as u8));
        Ok(RedoBlock { action, held, will_init, number, fork, data, end, has_failed: &self.has_failed })
    }
}

/// One of a record's blocks while it is replayed. Dropped, it is unlocked.
#[derive(Debug)]
pub struct RedoBlock<'r> {
    /// As PostgreSQL says it.
    action: pg_sys::XLogRedoAction::Type,
    held: Option<HeldBuffer>,
    /// Whether the record makes it anew.
    will_init: bool,
    number: BlockNumber,
    fork: Fork,
    data: &'r [u8],
    /// End of the record.
    end: Lsn,
    has_failed: &'r Cell<bool>,
}

impl<'r> RedoBlock<'r> {
    /// What is to be done with it.
    #[must_use]
    pub fn action(&self) -> RedoAction {
        match self.action {
            pg_sys::XLogRedoAction::BLK_NEEDS_REDO => RedoAction::NeedsRedo,
            pg_sys::XLogRedoAction::BLK_RESTORED => RedoAction::Restored,
            pg_sys::XLogRedoAction::BLK_DONE => RedoAction::Done,
            _ => RedoAction::NotFound,
        }
    }

    /// The block's number.
    #[must_use]
    pub fn number(&self) -> BlockNumber {
        self.number
    }

    /// The block's data; none if it has an image, unless the record was written with
    /// [`RecordBlock::keep_data`](crate::RecordBlock::keep_data).
    #[must_use]
    pub fn data(&self) -> &'r [u8] {
        self.data
    }

    /// The page as it is; `None` if it was not found, or [`RedoBlock::apply`] has failed.
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
    #[inline]
    pub fn apply<E: Into<RedoError>>(
        &mut self,
        change: impl FnOnce(&mut DataPage, &'r [u8]) -> Result<(), E>,
    ) -> Result<(), RedoError> {
        if self.action != pg_sys::XLogRedoAction::BLK_NEEDS_REDO {
            return Ok(());
        }
        let Some(held) = self.held.take() else { return Ok(()) };
        // Nobody may see or write the page if it stays half changed, whether by an error or a panic: then it stays locked until
        // the process ends.
        let held = ManuallyDrop::new(held);
        self.has_failed.set(true);
        // SAFETY: locked exclusively, and borrowed so.
        let page = unsafe { held.locked_page().as_mut() };
        if self.will_init {
            // PostgreSQL leaves as it is what is in its buffers already.
            page.as_bytes_mut().fill(0);
        }
        change(page, self.data).map_err(Into::into)?;
        page.check_header()?;
        page.set_lsn(self.end);
        // SAFETY: locked exclusively.
        unsafe { held.mark_dirty() };
        if self.fork == Fork::INIT {
            // At the end of recovery unlogged relations are made from the file.
            // SAFETY: locked.
            unsafe { pg_sys::FlushOneBuffer(held.number()) };
        }
        self.held = Some(ManuallyDrop::into_inner(held));
        self.has_failed.set(false);
        self.action = pg_sys::XLogRedoAction::BLK_DONE;
        Ok(())
    }
}
