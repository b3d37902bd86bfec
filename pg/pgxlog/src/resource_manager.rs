//! Custom WAL resource managers.
//!
//! Source: `src/include/access/xlog_internal.h`: `RmgrData`, `src/backend/access/transam/rmgr.c`.

mod methods;

use pgrx::pg_sys;
use pgwal::{BlockNumber, CustomRmgr, DataPage, Record};

use crate::decoding::Decoding;
use crate::record_builder::{InsertError, is_registered};
use crate::redo::{Redo, RedoError};

/// What the server does with the records of a custom resource manager; what they are called and how they are described is
/// in [`CustomRmgr`], which programs outside the server use too.
///
/// ```ignore
/// pgrx::pg_module_magic!();
///
/// struct Manager;
///
/// impl ResourceManager for Manager {
///     type Records = counter_records::Counter;
///
///     fn redo(redo: &mut Redo<'_, Self::Records>) -> Result<(), RedoError> {
///         match redo.operation() {
///             Operation::Increment => redo.block(0)?.apply(|page, data| increment(page, data)),
///         }
///     }
/// }
///
/// #[pg_guard]
/// pub extern "C-unwind" fn _PG_init() {
///     pgxlog::register::<Manager>();
/// }
/// ```
///
/// What is not given is NULL in PostgreSQL's struct: without `MASK` the name is unknown to `wal_consistency_checking`,
/// without `DECODE` logical decoding leaves the records out.
pub trait ResourceManager: 'static {
    /// Its number, name, operations and description.
    type Records: CustomRmgr;

    /// Does what the record says (`rm_redo`), after a crash and, as records come, on a standby. There is no transaction and no
    /// catalog: relations are but the blocks that the record names.
    ///
    /// # Errors
    /// Whatever makes that impossible. The server ends with a PANIC then, and again when it is started, until the cause is
    /// removed; so does a panic or an ERROR. One that comes while a block is read is FATAL, as in C.
    fn redo(redo: &mut Redo<'_, Self::Records>) -> Result<(), RedoError>;

    /// Called before the first record that recovery replays, whosever it is; not if there is none (`rm_startup`).
    const STARTUP: Option<fn()> = None;

    /// Called after the last record that recovery replays; not if the server is stopped before (`rm_cleanup`).
    const CLEANUP: Option<fn()> = None;

    /// Makes equal what may differ between a page after redo and the image of it that the primary logged
    /// (`rm_mask`): see the `mask` methods of [`DataPage`]. Both are copies. With it `wal_consistency_checking` knows the name.
    const MASK: Option<fn(page: &mut DataPage, block: BlockNumber)> = None;

    /// Tells output plugins of logical decoding what the record means (`rm_decode`): see [`Decoding::message`] and
    /// [`Decoding::row`]. An `Err` becomes an ERROR of who decodes.
    const DECODE: Option<DecodeMethod> = None;
}

/// [`ResourceManager::DECODE`].
pub type DecodeMethod = fn(record: &Record<'_>, decoding: &mut Decoding<'_>) -> Result<(), RedoError>;

/// Registers a resource manager. To be called in `_PG_init` of a library in `shared_preload_libraries`; it has to stay there
/// as long as records of it may have to be replayed, or the server does not start.
///
/// Raises an ERROR, by which the server does not start, if the number or the name is another's; and if
/// the library is loaded later than that.
pub fn register<R: ResourceManager>() {
    const { assert!(!R::Records::NAME.is_empty(), "a resource manager needs a name") };
    let methods = methods::table::<R>();
    // SAFETY: PostgreSQL copies the struct; the name is 'static. `methods::table` sets what is called unconditionally.
    unsafe { pg_sys::RegisterCustomRmgr(R::Records::ID.get(), (&raw const methods).cast_mut()) };
}

/// Whether records of a resource manager can be written, to be asked before much work is done for one.
///
/// # Errors
/// [`InsertError::NotRegistered`] if the server has no such resource manager.
#[inline]
pub fn check_registered<R: ResourceManager>() -> Result<(), InsertError> {
    let id = R::Records::ID.get();
    if is_registered(id, R::Records::NAME) {
        return Ok(());
    }
    Err(InsertError::NotRegistered { name: R::Records::NAME.to_string_lossy().into_owned(), id })
}
