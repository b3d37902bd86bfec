//! What `cargo xtask bench records` measures, in Rust: the same functions and records as in `bench_records.c`, by pgxlog.

use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgwal::{BlockNumber, Cursor, CustomRmgr, CustomRmgrId, DataPage, Fork, Malformed, Record, TextBuffer};
use pgxlog::{
    ExclusiveBuffer, GenericXLog, PageChange, RecordBlock, RecordBuilder, Redo, RedoError, Relation, ResourceManager,
};

pgrx::pg_module_magic!();

/// Bytes of each page that are changed.
const CONTENT: u64 = 4096;

pgwal::operations! {
    /// What is written.
    enum Operation {
        Message = 0 => c"MESSAGE",
        Add = 1 => c"ADD",
    }
}

/// Its records.
struct Records;

impl CustomRmgr for Records {
    const ID: CustomRmgrId = CustomRmgrId::new(252);
    const NAME: &'static CStr = c"bench records in Rust";
    type Operation = Operation;

    fn describe(operation: Operation, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed> {
        match operation {
            Operation::Message => text.append_format(format_args!("payload ({} bytes)", record.main_data.len())),
            Operation::Add => match record.blocks.first().filter(|block| !block.data.is_empty()) {
                Some(block) => {
                    let Change { offset, value } = Change::parse(block.data)?;
                    text.append_format(format_args!("offset {offset}, value {value}"));
                }
                None => {
                    let value = Cursor::new(record.main_data).u64("value")?;
                    text.append_format(format_args!("value {value}"));
                }
            },
        }
        Ok(())
    }
}

/// A block's data.
struct Change {
    /// Behind the page's header.
    offset: u64,
    value: u64,
}

impl Change {
    fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(data);
        Ok(Self { offset: cursor.u64("offset")?, value: cursor.u64("value")? })
    }

    fn to_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }

    /// Returns whether the page has that offset.
    fn apply(&self, page: &mut DataPage) -> bool {
        let content = &mut page.as_bytes_mut()[DataPage::HEADER_SIZE..];
        let place = usize::try_from(self.offset).ok().and_then(|offset| content.get_mut(offset..)?.get_mut(..8));
        place.map(|place| place.copy_from_slice(&self.value.to_le_bytes())).is_some()
    }
}

/// As the C compiler lays out what is that long.
#[repr(align(16))]
struct Aligned<const SIZE: usize>([u8; SIZE]);

struct Manager;

impl ResourceManager for Manager {
    type Records = Records;

    fn redo(redo: &mut Redo<'_, Records>) -> Result<(), RedoError> {
        match redo.operation() {
            Operation::Message => Ok(()),
            Operation::Add => redo.block(0)?.apply(|page, data| {
                if Change::parse(data)?.apply(page) { Ok(()) } else { Err(RedoError::from("invalid change")) }
            }),
        }
    }
}

/// Called by PostgreSQL when it loads the library.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pgxlog::register::<Manager>();
}

#[pg_extern(sql = "")]
fn write_messages(count: i64) {
    for i in 0..count.cast_unsigned() {
        let mut payload = Aligned([0; 32]);
        payload.0.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&i.to_le_bytes()));
        written(RecordBuilder::<Manager>::new(Operation::Message).data(&payload.0).commit([], |[]| ()));
    }
}

#[pg_extern(sql = "")]
fn add(relation: pg_sys::Oid, count: i64, blocks: i32) {
    with_relation(relation, |relation| {
        for i in 0..count.cast_unsigned() {
            let change = Change { offset: i * 8 % CONTENT, value: i };
            let (value, data) = (Aligned(i.to_le_bytes()), Aligned(change.to_bytes()));
            let mut buffer = locked(relation, changed_block(i, blocks));
            let record = RecordBuilder::<Manager>::new(Operation::Add).data(&value.0);
            let block = RecordBlock::new(&mut buffer).standard().data(&data.0);
            written(record.commit([block], |[page]| {
                change.apply(page);
            }));
        }
    });
}

#[pg_extern(sql = "")]
fn add_generic(relation: pg_sys::Oid, count: i64, pages: i32) {
    with_relation(relation, |relation| match pages {
        1 => change_pages::<1>(relation, count),
        4 => change_pages::<4>(relation, count),
        _ => pgrx::error!("1 or 4 pages"),
    });
}

/// Changes `PAGES` pages by each of `count` Generic WAL records.
fn change_pages<const PAGES: usize>(relation: Relation<'_>, count: i64) {
    for i in 0..count.cast_unsigned() {
        let change = Change { offset: i * 8 % CONTENT, value: i };
        let mut block = 0..;
        let mut buffers: [_; PAGES] = std::array::from_fn(|_| locked(relation, block.next().unwrap_or_default()));
        let record = GenericXLog::start(relation);
        for buffer in &mut buffers {
            change.apply(written(record.register(buffer, PageChange::Delta)));
        }
        written(record.finish());
    }
}

/// The block that the record of this number changes: all of them in no order that a CPU could foresee.
fn changed_block(number: u64, blocks: i32) -> u32 {
    ((number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % i64::from(blocks).cast_unsigned()) as u32
}

#[inline(always)] // As the compiler of C does where it is written in the loop itself.
fn locked(relation: Relation<'_>, block: u32) -> ExclusiveBuffer<'_> {
    relation.read(Fork::MAIN, BlockNumber::new(block)).exclusive()
}

/// What was written, or its error as an ERROR.
fn written<T, E: std::fmt::Display>(outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|error| pgrx::error!("{error}"))
}

/// Opens a relation for `body`.
fn with_relation(relation: pg_sys::Oid, body: impl FnOnce(Relation<'_>)) {
    // SAFETY: the relation stays open, and locked, until `body` has returned; nobody else changes its pages, which are made
    // for this.
    unsafe {
        let raw = pg_sys::relation_open(relation, pg_sys::RowExclusiveLock as _);
        body(Relation::from_raw(raw));
        pg_sys::relation_close(raw, pg_sys::RowExclusiveLock as _);
    }
}
