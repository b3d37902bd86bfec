//! A page of a heap, as full-page images hold it. Source: `src/include/storage/bufpage.h`, `src/include/storage/itemid.h`,
//! `src/include/access/htup_details.h`.

use crate::cursor::Cursor;
use crate::error::Malformed;
use crate::ids::{MultiXactId, OffsetNumber, TransactionId};
use crate::lsn::Lsn;

/// What a line pointer stands for (`lp_flags`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemFlags {
    /// Free to be used again (`LP_UNUSED`).
    Unused,
    /// A tuple (`LP_NORMAL`).
    Normal,
    /// The root of a chain whose first tuple is now another line pointer (`LP_REDIRECT`).
    Redirect,
    /// A tuple that was removed while indexes may still point here (`LP_DEAD`).
    Dead,
}

/// A line pointer (`ItemIdData`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemId {
    /// Offset of the tuple in bytes, or the target of a redirection (`lp_off`).
    pub offset: u16,
    /// `lp_flags`.
    pub flags: ItemFlags,
    /// Length of the tuple in bytes (`lp_len`).
    pub length: u16,
}

impl ItemId {
    /// Takes it apart: 15 bits offset, 2 bits flags, 15 bits length.
    pub(crate) fn new(bits: u32) -> Self {
        let flags = match bits >> 15 & 3 {
            0 => ItemFlags::Unused,
            1 => ItemFlags::Normal,
            2 => ItemFlags::Redirect,
            _ => ItemFlags::Dead,
        };
        // Fifteen bits fit.
        #[allow(clippy::cast_possible_truncation)]
        Self { offset: (bits & 0x7FFF) as u16, flags, length: (bits >> 17) as u16 }
    }
}

/// Bits of a tuple's `t_infomask`.
pub mod infomask {
    /// `xmax` locks for key share.
    pub const XMAX_KEYSHR_LOCK: u16 = 0x0010;
    /// `xmax` locks exclusively.
    pub const XMAX_EXCL_LOCK: u16 = 0x0040;
    /// `xmax` locks only.
    pub const XMAX_LOCK_ONLY: u16 = 0x0080;
    /// The inserting transaction is known to have committed.
    pub const XMIN_COMMITTED: u16 = 0x0100;
    /// The inserting transaction is known to have aborted.
    pub const XMIN_INVALID: u16 = 0x0200;
    /// Both: the tuple is frozen.
    pub const XMIN_FROZEN: u16 = XMIN_COMMITTED | XMIN_INVALID;
    /// The deleting transaction is known to have committed.
    pub const XMAX_COMMITTED: u16 = 0x0400;
    /// There is no `xmax`, or its transaction is known to have aborted.
    pub const XMAX_INVALID: u16 = 0x0800;
    /// `xmax` is a set of transactions.
    pub const XMAX_IS_MULTI: u16 = 0x1000;
}

/// The part of a tuple's header that decides whether it is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TupleHeader {
    /// Transaction that inserted it.
    pub xmin: TransactionId,
    /// Transaction, or set of transactions, that deleted or locked it; raw.
    pub xmax: u32,
    /// `t_infomask2`.
    pub infomask2: u16,
    /// `t_infomask`, see [`infomask`].
    pub infomask: u16,
}

impl TupleHeader {
    /// Size up to the null bitmap, in bytes (`SizeofHeapTupleHeader`): what each tuple is longer than its data in WAL.
    pub const SIZE: u16 = 23;

    /// Whether the inserting transaction is known to have committed, frozen included.
    #[must_use]
    pub const fn xmin_committed(&self) -> bool {
        self.infomask & infomask::XMIN_COMMITTED != 0
    }

    /// Whether the inserting transaction is known to have aborted.
    #[must_use]
    pub const fn xmin_invalid(&self) -> bool {
        self.infomask & infomask::XMIN_FROZEN == infomask::XMIN_INVALID
    }

    /// Whether `xmax` does nothing but lock (`HEAP_XMAX_IS_LOCKED_ONLY`).
    #[must_use]
    pub const fn xmax_is_locked_only(&self) -> bool {
        self.infomask & infomask::XMAX_LOCK_ONLY != 0
            || self.infomask & (infomask::XMAX_IS_MULTI | infomask::XMAX_EXCL_LOCK | infomask::XMAX_KEYSHR_LOCK)
                == infomask::XMAX_EXCL_LOCK
    }

    /// Who may have deleted or updated the tuple, lockers left aside.
    #[must_use]
    pub const fn updater(&self) -> Updater {
        if self.infomask & infomask::XMAX_INVALID != 0 || self.xmax_is_locked_only() || self.xmax == 0 {
            Updater::None
        } else if self.infomask & infomask::XMAX_IS_MULTI != 0 {
            Updater::Multi(MultiXactId::new(self.xmax))
        } else if self.infomask & infomask::XMAX_COMMITTED != 0 {
            Updater::Committed(TransactionId::new(self.xmax))
        } else {
            Updater::Transaction(TransactionId::new(self.xmax))
        }
    }
}

/// Who may have deleted or updated a tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updater {
    /// Nobody.
    None,
    /// A transaction that is known to have committed.
    Committed(TransactionId),
    /// A transaction; how it ended is not said here.
    Transaction(TransactionId),
    /// One of a set of transactions.
    Multi(MultiXactId),
}

/// A page of a heap, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct HeapPage<'a> {
    page: &'a [u8],
    /// Offset to the end of the line pointers, in bytes (`pd_lower`).
    pub lower: u16,
    /// Offset to the beginning of the tuples, in bytes (`pd_upper`).
    pub upper: u16,
    /// Offset to the special space, in bytes (`pd_special`): for a heap the size of the page.
    pub special: u16,
}

impl<'a> HeapPage<'a> {
    /// Where line pointers begin (`SizeOfPageHeaderData`).
    pub const HEADER_SIZE: u16 = 24;
    /// Size of a line pointer in bytes.
    pub const ITEM_ID_SIZE: u16 = 4;

    /// Looks at a page's header. A page of zeroes is a new one, without line pointers.
    ///
    /// # Errors
    /// [`Malformed`] if the offsets contradict each other.
    pub fn parse(page: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(page);
        cursor.skip("pd_lsn, pd_checksum, pd_flags", 12)?;
        let lower = cursor.u16("pd_lower")?;
        let upper = cursor.u16("pd_upper")?;
        let special = cursor.u16("pd_special")?;
        if upper == 0 {
            return Ok(Self { page, lower: Self::HEADER_SIZE, upper: 0, special: 0 });
        }
        let ordered = Self::HEADER_SIZE <= lower && lower <= upper && upper <= special;
        if !ordered || usize::from(special) > page.len() {
            return Err(Malformed::Invalid { field: "pd_lower", value: u64::from(lower) });
        }
        Ok(Self { page, lower, upper, special })
    }

    /// End of the last record that changed the page (`PageGetLSN`); invalid on a new one.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        let [high, low] = [0..4, 4..8].map(|place| self.page.get(place).and_then(|bytes| bytes.first_chunk().copied()));
        let number = |bytes: Option<[u8; 4]>| u64::from(u32::from_le_bytes(bytes.unwrap_or_default()));
        Lsn::new(number(high) << 32 | number(low))
    }

    /// Whether the page says that all of its tuples are visible to everybody (`PD_ALL_VISIBLE`), as the visibility map then
    /// does.
    #[must_use]
    pub fn is_all_visible(&self) -> bool {
        const PD_ALL_VISIBLE: u8 = 0x04;
        self.page.get(10).is_some_and(|flags| flags & PD_ALL_VISIBLE != 0)
    }

    /// Whether nothing was ever put on the page (`PageIsNew`).
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.upper == 0
    }

    /// Whether the page may be one of a heap: sequences and all of PostgreSQL's indexes have a special space.
    #[must_use]
    pub fn has_special_space(&self) -> bool {
        !self.is_new() && usize::from(self.special) != self.page.len()
    }

    /// Its line pointers with their numbers, from one.
    pub fn items(&self) -> impl Iterator<Item = (OffsetNumber, ItemId)> + use<'a> {
        let pointers = self.page.get(usize::from(Self::HEADER_SIZE)..usize::from(self.lower)).unwrap_or_default();
        let pointers = pointers.as_chunks::<4>().0.iter();
        (1u16..).zip(pointers).map(|(number, bits)| (OffsetNumber::new(number), ItemId::new(u32::from_le_bytes(*bits))))
    }

    /// The header of the tuple that a normal line pointer points to.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if it does not lie within the page.
    pub fn tuple(&self, item: &ItemId) -> Result<TupleHeader, Malformed> {
        let begin = usize::from(item.offset);
        let bytes = self.page.get(begin..begin.saturating_add(usize::from(item.length)));
        let available = self.page.len().saturating_sub(begin);
        let wanted = usize::from(item.length);
        let mut cursor = Cursor::new(bytes.ok_or(Malformed::Truncated { field: "lp_len", wanted, available })?);
        let xmin = TransactionId::new(cursor.u32("t_xmin")?);
        let xmax = cursor.u32("t_xmax")?;
        cursor.skip("t_field3, t_ctid", 10)?;
        Ok(TupleHeader { xmin, xmax, infomask2: cursor.u16("t_infomask2")?, infomask: cursor.u16("t_infomask")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(infomask: u16, xmax: u32) -> TupleHeader {
        TupleHeader { xmin: TransactionId::new(700), xmax, infomask2: 0, infomask }
    }

    #[test]
    fn lockers_are_no_updaters() {
        assert_eq!(header(infomask::XMAX_LOCK_ONLY, 701).updater(), Updater::None);
        // An exclusive lock of before 9.3 has no LOCK_ONLY bit.
        assert_eq!(header(infomask::XMAX_EXCL_LOCK, 701).updater(), Updater::None);
        assert_eq!(header(infomask::XMAX_INVALID, 701).updater(), Updater::None);
        assert_eq!(header(0, 701).updater(), Updater::Transaction(TransactionId::new(701)));
        let multi = infomask::XMAX_IS_MULTI | infomask::XMAX_EXCL_LOCK;
        assert_eq!(header(multi, 5).updater(), Updater::Multi(MultiXactId::new(5)));
    }

    #[test]
    fn a_frozen_tuple_is_committed_and_not_invalid() {
        let frozen = header(infomask::XMIN_FROZEN, 0);
        assert!(frozen.xmin_committed() && !frozen.xmin_invalid());
    }

    #[test]
    fn a_page_of_zeroes_is_new() {
        let page = [0; 8192];
        let page = HeapPage::parse(&page).unwrap();
        assert!(page.is_new() && page.items().count() == 0 && !page.has_special_space());
    }

    proptest! {
        #[test]
        fn no_page_makes_it_panic(start in proptest::collection::vec(any::<u8>(), 24..400)) {
            let mut bytes = vec![0u8; 8192];
            bytes[..start.len()].copy_from_slice(&start);
            if let Ok(page) = HeapPage::parse(&bytes) {
                for (_, item) in page.items() {
                    let _ = page.tuple(&item);
                }
            }
        }
    }
}
