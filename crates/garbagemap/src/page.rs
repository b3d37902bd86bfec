//! One page of a heap, as far as it matters for garbage. Sources: `src/backend/access/heap/heapam_xlog.c` (before 18
//! `heapam.c`), `src/backend/storage/page/bufpage.c`.

use pgwal::rmgr::heap2::PruneChanges;
use pgwal::{HeapPage, Lsn, Malformed, OffsetNumber, TransactionId, Version};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// What is counted of a block. Tuples are line pointers in state normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Tuples, dead ones included.
    pub tuples: u16,
    /// Dead tuples.
    pub dead_tuples: u16,
    /// Bytes of dead tuples, without alignment.
    pub dead_bytes: u16,
    /// Line pointers that are dead themselves (`LP_DEAD`).
    pub lp_dead: u16,
    /// Line pointers that redirect.
    pub redirects: u16,
    /// Bytes free for one more tuple and its line pointer (`PageGetFreeSpace`).
    pub free_space: u16,
}

/// What a line pointer stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Item {
    Unused,
    /// A tuple and its length in bytes.
    Tuple {
        length: u16,
        dead: bool,
    },
    Redirect,
    LpDead,
}

/// An [`Item`] in two bytes: three bits say what it is, the others the length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PackedItem(u16);

impl PackedItem {
    const LENGTH: u16 = 0x1FFF;
    const DEAD: u16 = 1 << 15;
    const TUPLE: u16 = 1 << 14;
    const REDIRECT: u16 = 1 << 13;
    const LP_DEAD: u16 = Self::REDIRECT | Self::DEAD;
}

impl From<Item> for PackedItem {
    fn from(item: Item) -> Self {
        Self(match item {
            Item::Unused => 0,
            // No tuple is as long as a page.
            Item::Tuple { length, dead } => length.min(Self::LENGTH) | Self::TUPLE | if dead { Self::DEAD } else { 0 },
            Item::Redirect => Self::REDIRECT,
            Item::LpDead => Self::LP_DEAD,
        })
    }
}

impl From<PackedItem> for Item {
    fn from(PackedItem(bits): PackedItem) -> Self {
        match bits & !PackedItem::LENGTH {
            0 => Self::Unused,
            PackedItem::REDIRECT => Self::Redirect,
            PackedItem::LP_DEAD => Self::LpDead,
            kind => Self::Tuple { length: bits & PackedItem::LENGTH, dead: kind & PackedItem::DEAD != 0 },
        }
    }
}

/// Something that an open transaction did to a tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) offset: OffsetNumber,
    pub(crate) xid: TransactionId,
    pub(crate) change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    Insert,
    /// Also by an update: the old version goes.
    Delete,
}

/// Highest possible number of a line pointer: no more fit on a page.
const MAX_OFFSET: u16 = 2042;

/// Refuses what cannot be the number of a line pointer.
pub(crate) fn check_offset(offset: OffsetNumber) -> Result<(), Malformed> {
    if (1..=MAX_OFFSET).contains(&offset.get()) {
        Ok(())
    } else {
        Err(Malformed::Invalid { field: "offnum", value: u64::from(offset.get()) })
    }
}

/// A page whose line pointers are all known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrackedPage {
    /// End of the last record that touched it.
    pub(crate) last_lsn: Lsn,
    items: Vec<PackedItem>,
    /// `pd_upper`; zero on a page that was never initialised.
    upper: u16,
    /// Bytes of all tuples, aligned.
    used: u16,
    counts: Counts,
    pub(crate) pending: SmallVec<[Pending; 2]>,
}

/// Rounds up to the alignment of tuples.
fn aligned(length: u16) -> u16 {
    length.saturating_add(7) & !7
}

impl TrackedPage {
    /// A page that `PageInit` made: empty, of this size in bytes.
    pub(crate) fn initialised(page_size: u16) -> Self {
        Self::with_items(page_size, 0)
    }

    /// A page whose tuples begin at `upper`, to which so many line pointers will be appended.
    pub(crate) fn with_items(upper: u16, capacity: usize) -> Self {
        let items = Vec::with_capacity(capacity);
        let counts = Counts::default();
        Self { last_lsn: Lsn::INVALID, items, upper, used: 0, counts, pending: SmallVec::new() }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { free_space: self.free_space(), ..self.counts }
    }

    /// Whether each line pointer is in the same state on both, dead tuples apart: those depend on transactions.
    pub(crate) fn same_items(&self, other: &Self) -> bool {
        let kind = |item: Item| match item {
            Item::Tuple { length, .. } => Item::Tuple { length, dead: false },
            other => other,
        };
        self.items().map(kind).eq(other.items().map(kind)) && self.upper == other.upper
    }

    /// `PageGetFreeSpace`.
    fn free_space(&self) -> u16 {
        let items = u16::try_from(self.items.len()).unwrap_or(u16::MAX);
        let lower = HeapPage::ITEM_ID_SIZE.saturating_mul(items).saturating_add(HeapPage::HEADER_SIZE);
        self.upper.saturating_sub(lower).saturating_sub(HeapPage::ITEM_ID_SIZE)
    }

    /// The line pointers, from the first.
    fn items(&self) -> impl Iterator<Item = Item> {
        self.items.iter().map(|item| Item::from(*item))
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        let pending = if self.pending.spilled() { self.pending.capacity() * size_of::<Pending>() } else { 0 };
        size_of::<Self>() + self.items.capacity() * size_of::<PackedItem>() + pending
    }

    fn item(&self, offset: OffsetNumber) -> Item {
        let index = usize::from(offset.get()).checked_sub(1);
        index.and_then(|index| self.items.get(index)).copied().unwrap_or_default().into()
    }

    /// Puts `item` at `offset`; what transactions did to the tuple that was there no longer matters.
    pub(crate) fn put(&mut self, offset: OffsetNumber, item: Item) {
        let Some(index) = usize::from(offset.get()).checked_sub(1) else { return };
        if index >= self.items.len() {
            self.items.resize(index + 1, PackedItem::default());
        }
        let item = PackedItem::from(item);
        let before = Item::from(std::mem::replace(&mut self.items[index], item));
        self.count(before, u16::wrapping_sub);
        self.count(item.into(), u16::wrapping_add);
        if !matches!(before, Item::Unused) && !self.pending.is_empty() {
            self.pending.retain(|pending| pending.offset != offset);
        }
    }

    /// Adds a line pointer behind the last.
    pub(crate) fn append(&mut self, item: Item) {
        let item = PackedItem::from(item);
        self.items.push(item);
        self.count(item.into(), u16::wrapping_add);
    }

    fn count(&mut self, item: Item, step: impl Fn(u16, u16) -> u16) {
        let counts = &mut self.counts;
        match item {
            Item::Unused => {}
            Item::Tuple { length, dead } => {
                counts.tuples = step(counts.tuples, 1);
                self.used = step(self.used, aligned(length));
                if dead {
                    counts.dead_tuples = step(counts.dead_tuples, 1);
                    counts.dead_bytes = step(counts.dead_bytes, length);
                }
            }
            Item::Redirect => counts.redirects = step(counts.redirects, 1),
            Item::LpDead => counts.lp_dead = step(counts.lp_dead, 1),
        }
    }

    /// A tuple of `length` bytes was added (`PageAddItem`). If `inserter` is given, it is still open.
    pub(crate) fn insert(&mut self, offset: OffsetNumber, length: u16, inserter: Option<TransactionId>) {
        self.put(offset, Item::Tuple { length, dead: false });
        self.upper = self.upper.saturating_sub(aligned(length));
        if let Some(xid) = inserter {
            self.pending.push(Pending { offset, xid, change: Change::Insert });
        }
    }

    /// An open transaction deleted or updated the tuple.
    pub(crate) fn delete(&mut self, offset: OffsetNumber, deleter: TransactionId) {
        self.pending.push(Pending { offset, xid: deleter, change: Change::Delete });
    }

    /// The tuple is dead from now on, if there is one. Returns whether it was not before.
    pub(crate) fn kill(&mut self, offset: OffsetNumber) -> bool {
        let Item::Tuple { length, dead: false } = self.item(offset) else { return false };
        self.put(offset, Item::Tuple { length, dead: true });
        true
    }

    /// A transaction ended: what it did counts now. Returns how many tuples died: deleted ones if it committed, else
    /// inserted ones.
    pub(crate) fn finish(&mut self, xid: TransactionId, committed: bool) -> u64 {
        let mut died = 0;
        let mut pending = std::mem::take(&mut self.pending);
        pending.retain(|pending| {
            let of_it = pending.xid == xid;
            if of_it && (pending.change == Change::Delete) == committed {
                died += u64::from(self.kill(pending.offset));
            }
            !of_it
        });
        if died > 0 && !pending.is_empty() {
            // What others did to tuples that are dead now does not matter any more.
            pending.retain(|pending| !matches!(self.item(pending.offset), Item::Tuple { dead: true, .. }));
        }
        self.pending = pending;
        died
    }

    /// What the transaction did is not waited for any more. Returns whether it did anything here.
    pub(crate) fn forget(&mut self, xid: TransactionId) -> bool {
        let before = self.pending.len();
        self.pending.retain(|pending| pending.xid != xid);
        self.pending.len() < before
    }

    /// Line pointers were redirected, marked dead or freed (`heap_page_prune_execute`).
    pub(crate) fn prune(&mut self, changes: &PruneChanges<'_>, page_size: u16, version: Version) {
        for (from, _) in changes.redirected.pairs() {
            self.put(from, Item::Redirect);
        }
        for offset in changes.dead.iter() {
            self.put(offset, Item::LpDead);
        }
        for offset in changes.unused.iter() {
            self.put(offset, Item::Unused);
        }
        if changes.repairs_fragmentation {
            // The tuples are moved together at the end of the page (PageRepairFragmentation).
            self.upper = page_size.saturating_sub(self.used);
            if version >= Version::V15 {
                self.truncate_items(0);
            }
        } else if version >= Version::V14 {
            // PageTruncateLinePointerArray leaves the first.
            self.truncate_items(1);
        }
    }

    /// Gives unused line pointers at the end back, but keeps `least`.
    fn truncate_items(&mut self, least: usize) {
        while self.items.len() > least && self.items.last() == Some(&PackedItem::default()) {
            self.items.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(offset: u16) -> OffsetNumber {
        OffsetNumber::new(offset)
    }

    fn xid(number: u32) -> TransactionId {
        TransactionId::new(number)
    }

    fn page() -> TrackedPage {
        TrackedPage::initialised(8192)
    }

    #[test]
    fn an_open_insert_is_neither_live_nor_dead_for_good() {
        let mut page = page();
        page.insert(at(1), 60, Some(xid(10)));
        page.insert(at(2), 60, Some(xid(11)));
        assert_eq!((page.counts().tuples, page.counts().dead_tuples), (2, 0));
        page.finish(xid(10), true);
        page.finish(xid(11), false);
        assert_eq!((page.counts().tuples, page.counts().dead_tuples, page.counts().dead_bytes), (2, 1, 60));
        assert!(page.pending.is_empty());
    }

    #[test]
    fn what_a_transaction_inserts_and_deletes_itself_is_dead_however_it_ends() {
        for committed in [true, false] {
            let mut page = page();
            page.insert(at(1), 60, Some(xid(10)));
            page.delete(at(1), xid(10));
            page.finish(xid(10), committed);
            assert_eq!(page.counts().dead_tuples, 1);
        }
    }

    #[test]
    fn a_line_pointer_used_again_owes_nothing_to_the_tuple_before() {
        let mut page = page();
        page.insert(at(1), 60, None);
        page.delete(at(1), xid(10));
        page.put(at(1), Item::Unused);
        page.insert(at(1), 40, None);
        page.finish(xid(10), true);
        assert_eq!(page.counts().dead_tuples, 0);
    }

    #[test]
    fn free_space_is_that_of_page_get_free_space() {
        let mut page = page();
        assert_eq!(page.counts().free_space, 8192 - 24 - 4);
        page.insert(at(1), 61, None);
        assert_eq!(page.counts().free_space, 8192 - 24 - 4 - 4 - 64);
    }

    #[test]
    fn items_keep_what_they_are_in_two_bytes() {
        let tuples = [0, 1, 24, 8160].map(|length| [true, false].map(|dead| Item::Tuple { length, dead }));
        for item in tuples.into_iter().flatten().chain([Item::Unused, Item::Redirect, Item::LpDead]) {
            assert_eq!(Item::from(PackedItem::from(item)), item);
        }
    }

    proptest! {
        /// The counts kept on the way are those that counting all line pointers gives.
        #[test]
        fn counts_are_the_sum_of_the_items(steps in proptest::collection::vec((1u16..30, 0u8..6, 1u32..5), 0..200)) {
            let mut page = page();
            for (offset, step, transaction) in steps {
                match step {
                    0 => page.insert(at(offset), 50, Some(xid(transaction))),
                    1 => page.delete(at(offset), xid(transaction)),
                    2 => drop(page.finish(xid(transaction), true)),
                    3 => drop(page.finish(xid(transaction), false)),
                    4 => page.put(at(offset), Item::LpDead),
                    _ => page.put(at(offset), Item::Unused),
                }
                let tuples = page.items().filter(|item| matches!(item, Item::Tuple { .. })).count();
                let dead = page.items().filter(|item| matches!(item, Item::Tuple { dead: true, .. })).count();
                let lp_dead = page.items().filter(|item| matches!(item, Item::LpDead)).count();
                prop_assert_eq!(usize::from(page.counts().tuples), tuples);
                prop_assert_eq!(usize::from(page.counts().dead_tuples), dead);
                prop_assert_eq!(usize::from(page.counts().dead_bytes), dead * 50);
                prop_assert_eq!(usize::from(page.counts().lp_dead), lp_dead);
            }
        }
    }
}
