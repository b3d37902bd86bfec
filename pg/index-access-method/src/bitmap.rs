//! The tuples that a scan finds.

use std::marker::PhantomData;

use pgrx::pg_sys;
use pgwal::ItemPointer;

/// A set of tuples (`TIDBitmap`). If it gets larger than `work_mem`, it holds whole blocks of the table instead.
#[derive(Debug)]
pub struct TidBitmap<'a> {
    raw: *mut pg_sys::TIDBitmap,
    added: u64,
    _borrowed: PhantomData<&'a mut ()>,
}

impl TidBitmap<'_> {
    /// # Safety
    /// It is a bitmap that nobody else uses for as long as this lives.
    pub(crate) unsafe fn from_raw(raw: *mut pg_sys::TIDBitmap) -> Self {
        Self { raw, added: 0, _borrowed: PhantomData }
    }

    /// Adds tuples (`tbm_add_tuples`). `recheck` says that they may not satisfy the conditions, which then are looked at once more.
    /// Raises an ERROR if one has a line pointer that cannot be.
    pub fn add(&mut self, tuples: &[ItemPointer], recheck: bool) {
        let mut raw: Vec<pg_sys::ItemPointerData> = tuples.iter().copied().map(raw_item_pointer).collect();
        let count = i32::try_from(raw.len()).expect("a page has fewer tuples");
        // SAFETY: the bitmap is alive; there are as many.
        unsafe { pg_sys::tbm_add_tuples(self.raw, raw.as_mut_ptr(), count, recheck) };
        self.added += tuples.len() as u64;
    }

    /// How many were added.
    pub(crate) fn added(&self) -> i64 {
        i64::try_from(self.added).unwrap_or(i64::MAX)
    }
}

/// As PostgreSQL has it.
pub(crate) fn raw_item_pointer(tuple: ItemPointer) -> pg_sys::ItemPointerData {
    let block = tuple.block.get();
    let ip_blkid = pg_sys::BlockIdData { bi_hi: (block >> 16) as u16, bi_lo: (block & 0xFFFF) as u16 };
    pg_sys::ItemPointerData { ip_blkid, ip_posid: tuple.offset.get() }
}

/// # Safety
/// The pointer is valid.
pub(crate) unsafe fn item_pointer(raw: pg_sys::ItemPointer) -> ItemPointer {
    // SAFETY: promised by the caller; the struct is aligned to two bytes only, and read so.
    let pg_sys::ItemPointerData { ip_blkid, ip_posid } = unsafe { raw.read_unaligned() };
    ItemPointer::new(u32::from(ip_blkid.bi_hi) << 16 | u32::from(ip_blkid.bi_lo), ip_posid)
}
