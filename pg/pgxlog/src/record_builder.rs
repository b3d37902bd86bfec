//! Writing records of a custom resource manager.
//!
//! Source: `src/backend/access/transam/xloginsert.c`, and `src/backend/access/transam/README`, "Write-Ahead Log Coding".

use std::borrow::Cow;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::{PgSqlErrorCode, pg_sys};
use pgwal::{CustomRmgr, DataPage, Lsn, Operation as _, TransactionId};

use crate::buffer::ExclusiveBuffer;
use crate::critical_section::critical_section;
use crate::recovery::{is_insert_allowed, refuse_in_recovery};
use crate::resource_manager::{ResourceManager, check_registered};

// Those that raise no ERROR but within a critical section, where it is a PANIC, or none at all: without pgrx's guard,
// which would cost a good part of what a record does.
#[allow(improper_ctypes)]
unsafe extern "C" {
    fn XLogBeginInsert();
    fn MarkBufferDirty(buffer: pg_sys::Buffer);
    fn XLogRegisterBuffer(block_id: u8, buffer: pg_sys::Buffer, flags: u8);
    // The length is an `int` on 15 and a `uint32` later; it is less than 2 GB, for which both are the same.
    fn XLogRegisterBufData(block_id: u8, data: *const u8, length: u32);
    fn XLogRegisterData(data: *const u8, length: u32);
    fn XLogSetRecordFlags(flags: u8);
    fn XLogInsert(rmgr: u8, info: u8) -> u64;
}

/// Why a record cannot be written. Nothing was changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// The server has no such resource manager: it could not replay the record, and so not start again.
    #[error(
        "resource manager \"{name}\" with ID {id} is not registered: its library must be in shared_preload_libraries"
    )]
    NotRegistered {
        /// The name that it would have.
        name: String,
        /// Its number.
        id: u8,
    },
    /// A record has a block or data.
    #[error("a record needs a block or data")]
    Empty,
    /// A record has at most [`MAX_BLOCKS`] blocks.
    #[error("a record has at most {MAX_BLOCKS} blocks, not {0}")]
    TooManyBlocks(usize),
    /// A block's data has at most [`MAX_BLOCK_DATA`] bytes.
    #[error("data of block {block} has {length} bytes, of at most {MAX_BLOCK_DATA}")]
    BlockDataTooLong {
        /// Its place in the record.
        block: usize,
        /// Bytes of its data.
        length: usize,
    },
    /// A record has at most [`MAX_RECORD`] bytes, a page's image for each block counted.
    #[error("the record would have up to {0} bytes, of at most {MAX_RECORD}")]
    TooLong(usize),
    /// Some of the blocks are of relations that are logged, others are not: it would depend on a crash which of the
    /// changes are there.
    #[error("blocks of logged and of unlogged relations cannot be changed by one record")]
    LoggedAndUnlogged,
}

/// Most blocks of a record (`XLR_MAX_BLOCK_ID` and zero).
pub const MAX_BLOCKS: usize = pg_sys::XLR_MAX_BLOCK_ID as usize + 1;
/// Most bytes of data that a block has: their number has 16 bits in the record.
pub const MAX_BLOCK_DATA: usize = u16::MAX as usize;
/// Most bytes of a record (`XLogRecordMaxSize`), which those of 15 do not look at themselves.
pub const MAX_RECORD: usize = 1020 * 1024 * 1024;
/// What `XLogBeginInsert` has room for, if nothing is said before: the largest block ID, and pieces of data.
const DEFAULT_BLOCK_ID: usize = 4;
const DEFAULT_PIECES: usize = 20;

/// One record that is about to be written. Until [`RecordBuilder::commit`] it is but a plan: dropped, it leaves nothing behind.
///
/// ```ignore
/// let mut buffer = relation.read(Fork::MAIN, block).exclusive();
/// let change = [7_u8];
/// let lsn = RecordBuilder::<Counter>::new(Operation::Increment)
///     .commit([RecordBlock::new(&mut buffer).data(&change)], |[page]| page.contents_mut()[0] += change[0])?;
/// ```
#[derive(Debug)]
pub struct RecordBuilder<'d, R: ResourceManager> {
    info: u8,
    flags: u8,
    data: Pieces<'d>,
    _rmgr: PhantomData<fn() -> R>,
}

/// Data that is registered piece by piece.
#[derive(Debug, Default)]
struct Pieces<'d> {
    /// Mostly they are few, and borrowed. Then the compiler sees that nothing is to be freed, and keeps the builder in registers.
    first: [&'d [u8]; 3],
    /// All behind those, and behind one that is owned.
    more: Option<Box<MorePieces<'d>>>,
}

#[derive(Debug, Default)]
struct MorePieces<'d>(Vec<Cow<'d, [u8]>>);

impl<'d> Pieces<'d> {
    /// An empty one is left out.
    #[inline]
    fn push(&mut self, piece: Cow<'d, [u8]>) {
        if piece.is_empty() {
            return;
        }
        if let (Cow::Borrowed(piece), None) = (&piece, &self.more) {
            for place in &mut self.first {
                if place.is_empty() {
                    *place = piece;
                    return;
                }
            }
        }
        self.push_more(piece);
    }

    #[inline(never)]
    fn push_more(&mut self, piece: Cow<'d, [u8]>) {
        self.more.get_or_insert_default().0.push(piece);
    }

    #[inline]
    fn more(&self) -> &[Cow<'d, [u8]>] {
        self.more.as_ref().map_or(&[], |more| &more.0)
    }

    /// How many there are.
    #[inline]
    fn count(&self) -> usize {
        self.first.iter().filter(|piece| !piece.is_empty()).count() + self.more().len()
    }

    /// Bytes of all of them.
    #[inline]
    fn length(&self) -> usize {
        let first: usize = self.first.iter().map(|piece| piece.len()).sum();
        self.more().iter().fold(first, |length, piece| length + piece.len())
    }

    /// Calls `register` with address and length of each.
    #[inline]
    fn for_each(&self, mut register: impl FnMut(*const u8, u32)) {
        for piece in self.first {
            if !piece.is_empty() {
                register(piece.as_ptr(), piece.len() as u32);
            }
        }
        for piece in self.more() {
            register(piece.as_ptr(), piece.len() as u32);
        }
    }
}

/// A block that a record changes.
#[derive(Debug)]
pub struct RecordBlock<'b> {
    buffer: pg_sys::Buffer,
    page: NonNull<DataPage>,
    /// [`layout`] of the page before the change.
    layout: u64,
    is_logged: bool,
    flags: u8,
    data: Pieces<'b>,
    /// The lock stays for 'b.
    _buffer: PhantomData<&'b mut ()>,
}

impl<'b> RecordBlock<'b> {
    /// This buffer's block. It is borrowed until the record is written.
    #[inline]
    #[must_use]
    pub fn new(buffer: &'b mut ExclusiveBuffer<'_>) -> Self {
        let page = buffer.page_pointer();
        Self {
            buffer: buffer.number(),
            page,
            // SAFETY: locked exclusively, and borrowed so.
            layout: layout(unsafe { page.as_ref() }),
            is_logged: buffer.relation().fork_needs_wal(buffer.fork()),
            flags: 0,
            data: Pieces::default(),
            _buffer: PhantomData,
        }
    }

    /// The page has a header as PostgreSQL's own, so that images leave out what is between `pd_lower` and `pd_upper`
    /// (`REGBUF_STANDARD`).
    #[inline]
    #[must_use]
    pub fn standard(mut self) -> Self {
        self.flags |= pg_sys::REGBUF_STANDARD as u8;
        self
    }

    /// The page is made from nothing, whatever was there (`REGBUF_WILL_INIT`): it is all zero before it is changed, now and in
    /// redo. The record has no image of it, even if
    /// [`RecordBlock::force_image`] asks for one.
    #[must_use]
    pub fn init(mut self) -> Self {
        self.flags |= pg_sys::REGBUF_WILL_INIT as u8;
        self
    }

    /// The record gets an image of the page in any case (`REGBUF_FORCE_IMAGE`).
    #[must_use]
    pub fn force_image(mut self) -> Self {
        self.flags |= pg_sys::REGBUF_FORCE_IMAGE as u8;
        self
    }

    /// The block's data is in the record even if there is an image (`REGBUF_KEEP_DATA`), as logical decoding needs it.
    #[must_use]
    pub fn keep_data(mut self) -> Self {
        self.flags |= pg_sys::REGBUF_KEEP_DATA as u8;
        self
    }

    /// Data of the block, behind what was given before. It is left out where the record has an image of the page.
    #[inline]
    #[must_use]
    pub fn data(mut self, data: impl Into<Cow<'b, [u8]>>) -> Self {
        self.data.push(data.into());
        self
    }

    /// In a critical section, before the page is changed: what redo begins with is what it begins with.
    fn begin(&self) {
        if self.flags & WILL_INIT == WILL_INIT {
            // SAFETY: locked exclusively, and nobody has a reference to the page yet.
            unsafe { (*self.page.as_ptr()).as_bytes_mut().fill(0) };
        }
    }

    /// PostgreSQL asserts that no image is asked for where none is needed.
    fn register_flags(&self) -> u8 {
        let is_init = self.flags & WILL_INIT == WILL_INIT;
        if is_init { self.flags & !(pg_sys::REGBUF_FORCE_IMAGE as u8) } else { self.flags }
    }
}

impl<'d, R: ResourceManager> RecordBuilder<'d, R> {
    /// A record of this operation.
    #[inline]
    #[must_use]
    pub fn new(operation: <R::Records as CustomRmgr>::Operation) -> Self {
        Self { info: operation.code().info(), flags: 0, data: Pieces::default(), _rmgr: PhantomData }
    }

    /// Main data, behind what was given before.
    #[inline]
    #[must_use]
    pub fn data(mut self, data: impl Into<Cow<'d, [u8]>>) -> Self {
        self.data.push(data.into());
        self
    }

    /// The record tells the replication origin of the session, so that logical replication can leave it out
    /// (`XLOG_INCLUDE_ORIGIN`).
    #[must_use]
    pub fn include_origin(mut self) -> Self {
        self.flags |= pg_sys::XLOG_INCLUDE_ORIGIN as u8;
        self
    }

    /// Nothing is lost if the record is: where only such ones were written, a server counts as idle, and no checkpoint
    /// and no switch of segments comes because of them (`XLOG_MARK_UNIMPORTANT`).
    #[must_use]
    pub fn unimportant(mut self) -> Self {
        self.flags |= pg_sys::XLOG_MARK_UNIMPORTANT as u8;
        self
    }

    /// The record does something to files that its blocks do not tell (`XLR_SPECIAL_REL_UPDATE`); `pg_rewind` refuses to
    /// go on where it finds one that it does not know.
    #[must_use]
    pub fn special_relation_update(mut self) -> Self {
        self.info |= pg_sys::XLR_SPECIAL_REL_UPDATE as u8;
        self
    }

    /// Changes the pages and writes the record, in one critical section. Returns the record's end; `None` if the
    /// blocks' relations are not logged: then the pages were changed, and no record was needed.
    ///
    /// `change` gets the pages in the order of the blocks. It cannot fail: an ERROR or a panic in it is a PANIC of the server,
    /// since half of a change cannot be taken back; so is a page to which it gives a header that is not valid
    /// ([`DataPage::check_header`]), or leaves without one, which PostgreSQL could not read again. What may go wrong is done before, while nothing
    /// has happened. It must do what the resource manager's [`redo`](ResourceManager::redo) does; best, both call the same function.
    ///
    /// While the server is in recovery, an ERROR is raised.
    ///
    /// # Errors
    /// [`InsertError`], before anything is changed.
    #[inline]
    pub fn commit<const N: usize>(
        self,
        blocks: [RecordBlock<'_>; N],
        change: impl FnOnce([&mut DataPage; N]),
    ) -> Result<Option<Lsn>, InsertError> {
        self.commit_with(&blocks, || {
            blocks.iter().for_each(RecordBlock::begin);
            // SAFETY: each block's buffer is locked exclusively and borrowed until we return, and no buffer is locked
            // twice, so that each page is ours alone.
            change(blocks.each_ref().map(|block| unsafe { &mut *block.page.as_ptr() }));
        })
    }

    /// As [`RecordBuilder::commit`], where how many blocks there are is known only when the program runs.
    ///
    /// # Errors
    /// As [`RecordBuilder::commit`].
    pub fn commit_all(
        self,
        blocks: Vec<RecordBlock<'_>>,
        change: impl FnOnce(&mut [&mut DataPage]),
    ) -> Result<Option<Lsn>, InsertError> {
        let mut pages: Vec<&mut DataPage> = Vec::with_capacity(blocks.len());
        self.commit_with(&blocks, || {
            blocks.iter().for_each(RecordBlock::begin);
            // SAFETY: as in `commit`.
            pages.extend(blocks.iter().map(|block| unsafe { &mut *block.page.as_ptr() }));
            change(&mut pages);
            pages.clear();
        })
    }

    /// Runs `change`, which changes the blocks' pages, and writes the record.
    fn commit_with(&self, blocks: &[RecordBlock<'_>], change: impl FnOnce()) -> Result<Option<Lsn>, InsertError> {
        let is_logged = self.check(blocks)?;
        if is_logged {
            // SAFETY: outside of a critical section, where their ERRORs pass as such; nothing is changed yet.
            unsafe {
                let of_blocks = blocks.iter().map(|block| block.data.count());
                let pieces = self.data.count() + of_blocks.sum::<usize>();
                if blocks.len() > DEFAULT_BLOCK_ID + 1 || pieces > DEFAULT_PIECES {
                    pg_sys::XLogEnsureRecordSpace(blocks.len().saturating_sub(1) as i32, pieces as i32);
                }
                if !is_insert_allowed() {
                    // Raises the ERROR that says so.
                    pg_sys::XLogBeginInsert();
                }
            }
        }
        let lsn = critical_section(|| {
            change();
            for (place, block) in blocks.iter().enumerate() {
                // SAFETY: locked exclusively, and the references that `change` had are gone.
                let page = unsafe { block.page.as_ref() };
                // As it was before, PostgreSQL has read it, unless the page was new.
                if layout(page) != block.layout || block.layout == 0 {
                    check_page(place, page);
                }
            }
            // SAFETY: the rules of `src/backend/access/transam/README`: buffers are locked and marked as changed before
            // they are registered; all that is registered lives until `XLogInsert` returns; limits were checked.
            unsafe { self.insert(blocks, is_logged) }
        });
        Ok(lsn)
    }

    /// Looks whether everything can be said in one record; returns whether there will be one.
    #[inline(always)] // Nearly all of it is known where the record is made.
    fn check(&self, blocks: &[RecordBlock<'_>]) -> Result<bool, InsertError> {
        let is_logged = blocks.first().is_none_or(|block| block.is_logged);
        if blocks.iter().any(|block| block.is_logged != is_logged) {
            return Err(InsertError::LoggedAndUnlogged);
        }
        if blocks.len() > MAX_BLOCKS {
            return Err(InsertError::TooManyBlocks(blocks.len()));
        }
        if !is_logged {
            return Ok(false);
        }
        check_registered::<R>()?;
        let mut longest = self.data.length();
        if blocks.is_empty() && longest == 0 {
            return Err(InsertError::Empty);
        }
        for (block, length) in blocks.iter().map(|block| block.data.length()).enumerate() {
            if length > MAX_BLOCK_DATA {
                return Err(InsertError::BlockDataTooLong { block, length });
            }
            longest += length + DataPage::SIZE + HEADERS;
        }
        if longest + HEADERS > MAX_RECORD {
            return Err(InsertError::TooLong(longest + HEADERS));
        }
        Ok(true)
    }

    /// Marks the buffers as changed, writes the record and stamps the pages with it.
    ///
    /// # Safety
    /// Within a critical section, with all of `blocks` locked exclusively, and where `XLogInsertAllowed` if `is_logged`.
    #[inline]
    unsafe fn insert(&self, blocks: &[RecordBlock<'_>], is_logged: bool) -> Option<Lsn> {
        for block in blocks {
            // SAFETY: locked exclusively.
            unsafe { MarkBufferDirty(block.buffer) };
        }
        if !is_logged {
            return None;
        }
        // SAFETY: allowed; and nothing was begun that is not finished.
        unsafe { XLogBeginInsert() };
        for (id, block) in (0_u8..).zip(blocks) {
            // SAFETY: locked and marked; the pieces outlive this call.
            unsafe {
                XLogRegisterBuffer(id, block.buffer, block.register_flags());
                block.data.for_each(|piece, length| XLogRegisterBufData(id, piece, length));
            }
        }
        // SAFETY: the pieces outlive this call; all that is needed was registered.
        let lsn = unsafe {
            self.data.for_each(|piece, length| XLogRegisterData(piece, length));
            if self.flags != 0 {
                XLogSetRecordFlags(self.flags);
            }
            Lsn::new(XLogInsert(R::Records::ID.get(), self.info))
        };
        for block in blocks {
            // SAFETY: locked exclusively, and the references that `change` had are gone.
            unsafe { (*block.page.as_ptr()).set_lsn(lsn) };
        }
        Some(lsn)
    }
}

/// Room for the headers of a record, and of each block.
const HEADERS: usize = 64;
/// More than one bit.
const WILL_INIT: u8 = pg_sys::REGBUF_WILL_INIT as u8;

/// What a page's header says of where its parts are: `pd_flags`, `pd_lower`, `pd_upper` and `pd_special`; zero if the page is new.
#[inline]
fn layout(page: &DataPage) -> u64 {
    const FLAGS: usize = 10;
    page.as_bytes()[FLAGS..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Ends the critical section, by a panic, if the page has become one that PostgreSQL could not read again.
#[inline(never)]
fn check_page(place: usize, page: &DataPage) {
    if let Err(error) = page.check_header() {
        panic!("block {place} of the record was left invalid: {error}");
    }
}

/// Whether a custom resource manager of this number is registered in this server, by this name.
#[inline]
pub(crate) fn is_registered(id: u8, name: &'static CStr) -> bool {
    // SAFETY: `RmgrTable` has an entry for each number, and a name that was registered stays for ever.
    unsafe {
        let registered = (*(&raw const pg_sys::RmgrTable).cast::<pg_sys::RmgrData>().add(usize::from(id))).rm_name;
        // Mostly the same text, else an equal one.
        registered == name.as_ptr().cast_mut() || (!registered.is_null() && CStr::from_ptr(registered) == name)
    }
}

/// The number of the current transaction or subtransaction, which is given one if it has none (`GetCurrentTransactionId`).
///
/// A record belongs to the transaction that writes it only if that has a number by then. Logical decoding needs that.
///
/// Raises an ERROR outside of a transaction, in parallel workers, and in recovery.
pub fn assign_transaction_id() -> TransactionId {
    // SAFETY: only reads the state of this process.
    if !unsafe { pg_sys::IsTransactionState() } {
        let code = PgSqlErrorCode::ERRCODE_NO_ACTIVE_SQL_TRANSACTION;
        crate::raise(code, "a transaction ID can only be assigned in a transaction", None);
    }
    // SAFETY: in a transaction, as just seen; what else is wrong is an ERROR.
    crate::transaction_id(unsafe { pg_sys::GetCurrentTransactionId() })
}

/// Waits until the log is durable up to `lsn` (`XLogFlush`). Raises an ERROR if it cannot be written.
pub fn flush(lsn: Lsn) {
    // SAFETY: any position will do; one beyond the log's end is an ERROR.
    unsafe { pg_sys::XLogFlush(lsn.get()) }
}

/// Makes a page anew, whatever was on it, and logs all of it at once (`log_newpage_buffer`): for pages that an index is
/// built of, and for the init fork of an unlogged relation. Returns the record's end; `None` if the relation is not logged.
/// Such a record is PostgreSQL's own, and replayed by every server.
///
/// `is_standard` says that what is between `pd_lower` and `pd_upper` can be left out. `make` cannot fail: see
/// [`RecordBuilder::commit`]. While the server is in recovery, an ERROR is raised.
pub fn log_new_page(
    buffer: &mut ExclusiveBuffer<'_>,
    is_standard: bool,
    make: impl FnOnce(&mut DataPage),
) -> Option<Lsn> {
    let is_logged = buffer.relation().fork_needs_wal(buffer.fork());
    let page = buffer.page_pointer();
    if is_logged {
        // Else it would be raised within the critical section, and end the server.
        refuse_in_recovery("cannot make new WAL entries during recovery");
    }
    critical_section(|| {
        // SAFETY: locked exclusively, and borrowed so.
        let page = unsafe { &mut *page.as_ptr() };
        make(page);
        check_page(0, page);
        // SAFETY: locked exclusively; within a critical section, marked as changed.
        unsafe {
            MarkBufferDirty(buffer.number());
            is_logged.then(|| Lsn::new(pg_sys::log_newpage_buffer(buffer.number(), is_standard)))
        }
    })
}
