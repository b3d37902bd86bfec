//! Generic WAL: changes of pages of which PostgreSQL itself finds out what changed. Its records are replayed by every
//! server, with or without the extension.
//!
//! Source: `src/backend/access/transam/generic_xlog.c`.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::pg_sys;
use pgwal::{BlockNumber, DataPage, Fork, Lsn, PageHeaderError};
use smallvec::SmallVec;

use crate::buffer::ExclusiveBuffer;
use crate::relation::Relation;

/// What of a page goes into the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PageChange {
    /// The bytes that changed, found by comparing the page before and after.
    #[default]
    Delta,
    /// All of it (`GENERIC_XLOG_FULL_IMAGE`): for a page that is new or changed altogether.
    FullImage,
}

/// Why pages cannot be changed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenericXLogError {
    /// A record has room for [`GenericXLog::MAX_PAGES`] pages.
    #[error("a Generic WAL record changes at most {} pages", GenericXLog::MAX_PAGES)]
    TooManyPages,
    /// The page is one of another relation than that which was given at the start, so that it would not be known whether
    /// to log it.
    #[error("block {0} is not one of the relation for which the Generic WAL record was started")]
    OtherRelation(BlockNumber),
    /// The page is one of the init fork of an unlogged relation, of which Generic WAL would log nothing: see
    /// [`log_new_page`](crate::log_new_page).
    #[error("block {0} is one of an init fork, which Generic WAL does not log")]
    InitFork(BlockNumber),
    /// What was made of the page would not be restored as it is: everything between its `pd_lower` and `pd_upper`
    /// counts as free.
    #[error("block {block}: {error}")]
    Header {
        /// Which page.
        block: BlockNumber,
        /// What is wrong with its header.
        error: PageHeaderError,
    },
}

/// Changes of up to four pages that happen together or not at all, also over a crash.
///
/// ```ignore
/// let mut buffer = relation.read(Fork::MAIN, block).exclusive();
/// let change = GenericXLog::start(relation);
/// let page = change.register(&mut buffer, PageChange::Delta)?;
/// page.contents_mut()[0] = 1;
/// let lsn = change.finish()?;
/// ```
///
/// [`GenericXLog::register`] gives a copy of the page, which is changed freely and may even be left half done: only
/// [`GenericXLog::finish`] puts what was made of it into the buffer and the log. Until then the buffer is borrowed, so its lock cannot be
/// given back, and nobody sees the page itself. Dropped without that, nothing has happened.
#[derive(Debug)]
pub struct GenericXLog<'b> {
    state: NonNull<pg_sys::GenericXLogState>,
    /// Whose pages are changed, and whether it is logged: a temporary relation may be at the same place as another.
    relation: (pgwal::RelFileLocator, bool),
    /// Which blocks' copies are where.
    pages: RefCell<Copies>,
    is_finished: Cell<bool>,
    /// Buffers are borrowed for all of 'b. In a `Cell`, so that it cannot be taken for a shorter one, which would end before
    /// the record is finished.
    _buffers: PhantomData<Cell<&'b mut ()>>,
}

type Copies = SmallVec<[(BlockNumber, NonNull<DataPage>); GenericXLog::MAX_PAGES]>;

impl<'b> GenericXLog<'b> {
    /// `MAX_GENERIC_XLOG_PAGES`.
    pub const MAX_PAGES: usize = pg_sys::MAX_GENERIC_XLOG_PAGES as usize;

    /// Begins a change of the relation's pages (`GenericXLogStart`).
    #[must_use]
    pub fn start(relation: Relation<'b>) -> Self {
        // SAFETY: the relation is open for 'b, which ends before the transaction does, and with it the memory of the state:
        // the current context may be one that is freed while 'b lasts.
        let state = unsafe {
            let current = pg_sys::MemoryContextSwitchTo(pg_sys::TopTransactionContext);
            let state = pg_sys::GenericXLogStart(relation.as_raw());
            pg_sys::MemoryContextSwitchTo(current);
            NonNull::new_unchecked(state)
        };
        let relation = (relation.locator(), relation.needs_wal());
        let pages = RefCell::default();
        Self { state, relation, pages, is_finished: Cell::new(false), _buffers: PhantomData }
    }

    /// Takes a page into the change (`GenericXLogRegisterBuffer`); returns its copy, which is to be changed.
    ///
    /// When records are replayed, pages are locked in the order in which they were registered: register them in the order in
    /// which the access method locks them.
    ///
    /// # Errors
    /// [`GenericXLogError`] if there are four already, or the page is another relation's.
    // The copies of different buffers are different, and the same buffer cannot be borrowed twice.
    #[allow(clippy::mut_from_ref)]
    pub fn register<'s>(
        &'s self,
        buffer: &'b mut ExclusiveBuffer<'_>,
        change: PageChange,
    ) -> Result<&'s mut DataPage, GenericXLogError> {
        let mut pages = self.pages.borrow_mut();
        let block = buffer.block_number();
        if pages.len() >= Self::MAX_PAGES {
            return Err(GenericXLogError::TooManyPages);
        }
        if (buffer.relation().locator(), buffer.relation().needs_wal()) != self.relation {
            return Err(GenericXLogError::OtherRelation(block));
        }
        if buffer.fork() == Fork::INIT {
            return Err(GenericXLogError::InitFork(block));
        }
        let flags = match change {
            PageChange::Delta => 0,
            PageChange::FullImage => pg_sys::GENERIC_XLOG_FULL_IMAGE as i32,
        };
        // SAFETY: the state is not finished, since finish takes it; the buffer is pinned and locked exclusively, and as
        // it is borrowed for 'b it stays so. There is room for this one.
        let mut page = unsafe {
            let image = pg_sys::GenericXLogRegisterBuffer(self.state.as_ptr(), buffer.number(), flags);
            NonNull::new_unchecked(image.cast::<DataPage>())
        };
        pages.push((block, page));
        // SAFETY: the copy belongs to this state, which lives as long as 's, and is given out once.
        Ok(unsafe { page.as_mut() })
    }

    /// Puts the changed pages into their buffers and a record of that into the log (`GenericXLogFinish`). Returns the
    /// record's end; `None` if the relation is not logged, or no page was registered.
    ///
    /// # Errors
    /// [`GenericXLogError::Header`] if one of the pages has no valid header; nothing has happened then.
    pub fn finish(self) -> Result<Option<Lsn>, GenericXLogError> {
        let pages = self.pages.borrow();
        for (block, page) in pages.iter() {
            // SAFETY: the copies live as long as the state, and nobody borrows them: `self` was given away.
            let page = unsafe { page.as_ref() };
            page.check_header().map_err(|error| GenericXLogError::Header { block: *block, error })?;
        }
        if pages.is_empty() {
            return Ok(None);
        }
        self.is_finished.set(true);
        // SAFETY: not finished before; every buffer is still pinned and locked; headers are valid, so that no more is
        // copied than a page has.
        let lsn = unsafe { pg_sys::GenericXLogFinish(self.state.as_ptr()) };
        Ok((lsn != 0).then(|| Lsn::new(lsn)))
    }
}

impl Drop for GenericXLog<'_> {
    fn drop(&mut self) {
        if !self.is_finished.get() {
            // SAFETY: not finished, and not used any more; frees its memory.
            unsafe { pg_sys::GenericXLogAbort(self.state.as_ptr()) }
        }
    }
}
