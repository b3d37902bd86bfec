//! The pages that are changed: two counters on each, one at its beginning and one at its end, which are equal unless a
//! change was left half way.

use pgrx::PgRelation;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgwal::{BlockNumber, DataPage, Fork};
use pgxlog::{PinnedBuffer, Relation, log_new_page};

use crate::fault::Fault;

/// Bytes of a counter.
const COUNTER: usize = 8;

/// Makes an empty page that has no free space.
pub(crate) fn make(page: &mut DataPage) {
    page.init::<16>();
    page.set_lower(page.special_offset());
}

/// Adds to both counters; `half changed` is a step between.
pub(crate) fn add(page: &mut DataPage, value: u64, fault: &Fault) -> Result<(), String> {
    let contents = page.contents_mut();
    let (first, rest) = contents.split_first_chunk_mut::<COUNTER>().ok_or("no page")?;
    *first = (u64::from_le_bytes(*first) + value).to_le_bytes();
    fault.check("half changed")?;
    let last = rest.last_chunk_mut::<COUNTER>().ok_or("no page")?;
    *last = (u64::from_le_bytes(*last) + value).to_le_bytes();
    Ok(())
}

/// Opens a relation of the tests.
pub(crate) fn open(oid: pg_sys::Oid) -> PgRelation {
    // On a standby no more is allowed.
    // SAFETY: the lock is kept until the transaction ends.
    unsafe { PgRelation::with_lock(oid, pg_sys::AccessShareLock as i32) }
}

/// It, to be used by pgxlog.
pub(crate) fn relation(opened: &PgRelation) -> Relation<'_> {
    // SAFETY: open and locked while it is borrowed; the tests change its pages with pgxlog alone.
    unsafe { Relation::from_raw(opened.as_ptr()) }
}

/// A block's number as SQL has it.
pub(crate) fn block_number(number: i32) -> BlockNumber {
    BlockNumber::new(number.cast_unsigned())
}

/// Adds that many empty pages.
#[pg_extern(sql = "", volatile)]
fn wal_faults_make(oid: pg_sys::Oid, count: i32) {
    let opened = open(oid);
    for _ in 0..count {
        log_new_page(&mut relation(&opened).extend(Fork::MAIN), true, make);
    }
}

/// The page of a block, as it is in its buffer.
#[pg_extern(sql = "", volatile)]
fn wal_faults_page(oid: pg_sys::Oid, block: i32) -> Vec<u8> {
    let opened = open(oid);
    let buffer = relation(&opened).read(Fork::MAIN, block_number(block)).share();
    buffer.page().as_bytes().to_vec()
}

/// Number of blocks.
#[pg_extern(sql = "", volatile)]
fn wal_faults_blocks(oid: pg_sys::Oid) -> i32 {
    relation(&open(oid)).blocks(Fork::MAIN).cast_signed()
}

/// Both counters of all blocks, as text.
#[pg_extern(sql = "", volatile)]
fn wal_faults_counters(oid: pg_sys::Oid) -> String {
    let opened = open(oid);
    let relation = relation(&opened);
    let counters = |number| {
        let buffer = relation.read(Fork::MAIN, BlockNumber::new(number)).share();
        let counter = |bytes: Option<&[u8; COUNTER]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let contents = buffer.page().contents();
        format!("{}/{}", counter(contents.first_chunk()), counter(contents.last_chunk()))
    };
    (0..relation.blocks(Fork::MAIN)).map(counters).collect::<Vec<_>>().join(" ")
}

/// Whether a block can be locked at once.
#[pg_extern(sql = "", volatile)]
fn wal_faults_try_lock(oid: pg_sys::Oid, block: i32) -> bool {
    let opened = open(oid);
    relation(&opened).read(Fork::MAIN, block_number(block)).try_cleanup().is_ok()
}

/// How many locks PostgreSQL believes are held, and how deep in critical sections it is.
#[pg_extern(sql = "", volatile)]
fn wal_faults_counts() -> String {
    counts()
}

/// See `wal_faults_counts`.
pub(crate) fn counts() -> String {
    // SAFETY: global variables of this process.
    let (locks, sections) = unsafe { (pg_sys::InterruptHoldoffCount, pg_sys::CritSectionCount) };
    format!("{locks} {sections}")
}

/// What reading such a block, which cannot be, raises.
#[pg_extern(sql = "", volatile)]
fn wal_faults_read(oid: pg_sys::Oid, fork: i32, block: i64) {
    let opened = open(oid);
    let number = BlockNumber::new(u32::try_from(block).unwrap_or(u32::MAX));
    let _: PinnedBuffer<'_> = relation(&opened).read(Fork::new(fork as u8), number);
}
