//! Misuses of pgxlog and pgwal that do not compile: `tests/misuse` has them, each with what the compiler says. Here is what they
//! have in common, and the same things done right.
//!
//! This is a package of its own because nothing that uses pgxlog can be linked to a program: its symbols come from the server.
//! Here nothing is, since `trybuild` only has programs checked.

use std::ffi::CStr;

use pgwal::{BlockNumber, CustomRmgr, CustomRmgrId, DataPage, Fork, Lsn, Malformed, Record, TextBuffer};
use pgxlog::{
    GenericXLog, GenericXLogError, InsertError, PageChange, RecordBlock, RecordBuilder, Redo, RedoError, Relation,
    ResourceManager,
};

pgwal::operations! {
    /// What a counter does.
    pub enum Operation {
        /// It counts.
        Increment = 0 => c"INCREMENT",
    }
}

/// Counters in the WAL.
#[derive(Debug)]
pub struct Counter;

impl CustomRmgr for Counter {
    const ID: CustomRmgrId = CustomRmgrId::EXPERIMENTAL;
    const NAME: &'static CStr = c"counter";
    type Operation = Operation;

    fn describe(_: Operation, _: &Record<'_>, _: &mut TextBuffer) -> Result<(), Malformed> {
        Ok(())
    }
}

/// What the server does with them.
#[derive(Debug)]
pub struct Manager;

impl ResourceManager for Manager {
    type Records = Counter;

    fn redo(redo: &mut Redo<'_, Counter>) -> Result<(), RedoError> {
        redo.block(0)?.apply(increment)
    }
}

/// The change.
///
/// # Errors
/// If the data or the page is too short.
pub fn increment(page: &mut DataPage, data: &[u8]) -> Result<(), RedoError> {
    let (counter, by) = page.contents_mut().first_mut().zip(data.first()).ok_or("too short")?;
    *counter = counter.wrapping_add(*by);
    Ok(())
}

/// A record, as it is written right.
///
/// # Errors
/// If it cannot be written.
pub fn with_a_record(relation: Relation<'_>) -> Result<Option<Lsn>, InsertError> {
    let mut buffer = relation.read(Fork::MAIN, BlockNumber::new(0)).exclusive();
    let by = [1];
    RecordBuilder::<Manager>::new(Operation::Increment)
        .commit([RecordBlock::new(&mut buffer).data(&by[..])], |[page]| page.contents_mut()[0] += by[0])
}

/// Generic WAL, as it is written right.
///
/// # Errors
/// If it cannot be written.
pub fn with_generic_wal(relation: Relation<'_>) -> Result<Option<Lsn>, GenericXLogError> {
    let mut buffer = relation.read(Fork::MAIN, BlockNumber::new(0)).exclusive();
    let change = GenericXLog::start(relation);
    let page = change.register(&mut buffer, PageChange::Delta)?;
    page.contents_mut()[0] = 1;
    change.finish()
}
