//! Items on a page, and the line pointers by which they are found.
//!
//! Sources: `src/include/storage/itemid.h`, `src/backend/storage/page/bufpage.c`: `PageAddItemExtended`,
//! `PageGetFreeSpace`, `PageIndexMultiDelete`.

use std::ops::Range;

use super::{DataPage, PageHeaderError};
use crate::heap_page::{ItemFlags, ItemId};
use crate::ids::OffsetNumber;

/// Bytes of a line pointer.
const LINE_POINTER: usize = 4;
/// `lp_off` of a line pointer.
const OFFSET: u32 = (1 << 15) - 1;
/// `lp_flags` of a line pointer.
pub(super) const FLAGS: u32 = 3 << 15;
/// `LP_NORMAL` there.
const NORMAL: u32 = 1 << 15;
/// So many items are removed one by one in `PageIndexMultiDelete`, and only what is before them is moved.
const ONE_BY_ONE: usize = 2;

/// The page has no room for an item of this size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no space on the page for {size} bytes: {free} are free")]
pub struct NoSpace {
    /// Bytes of the item.
    pub size: usize,
    /// Bytes that a new item may have: [`DataPage::free_space`].
    pub free: usize,
}

/// The items of a page are not where they can be, so that none is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RemoveItemsError {
    /// The page's header cannot be.
    #[error(transparent)]
    Header(#[from] PageHeaderError),
    /// A line pointer leads to no item, such as one that is unused, or to a place that is none of the items'.
    #[error("corrupted line pointer: offset = {offset}, size = {length}")]
    LinePointer {
        /// `lp_off`.
        offset: u16,
        /// `lp_len`.
        length: u16,
    },
    /// The items take up more than the page has.
    #[error("corrupted item lengths: total {length}, available space {available}")]
    Lengths {
        /// Bytes of the items, padding included.
        length: usize,
        /// Bytes for items.
        available: usize,
    },
}

// Offsets on a page are less than 65,536, and each is checked against the page.
#[allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
impl DataPage {
    /// How many line pointers there are; none if the header makes no sense (`PageGetMaxOffsetNumber`).
    #[must_use]
    pub fn item_count(&self) -> u16 {
        match self.check_header() {
            Ok(()) => (self.lower() - Self::HEADER_SIZE as u16) / LINE_POINTER as u16,
            Err(_) => 0,
        }
    }

    /// A line pointer; `None` if there is none of this number.
    #[must_use]
    pub fn item_id(&self, number: OffsetNumber) -> Option<ItemId> {
        let known = (1..=self.item_count()).contains(&number.get());
        known.then(|| ItemId::new(self.line_pointer(number)))
    }

    /// What a line pointer of kind `LP_NORMAL` or `LP_DEAD` leads to; `None` if there is none of this number, or it has
    /// no storage.
    #[must_use]
    pub fn item(&self, number: OffsetNumber) -> Option<&[u8]> {
        let range = self.item_range(number)?;
        self.bytes.get(range)
    }

    /// An item's bytes, to be changed: see [`DataPage::item`].
    pub fn item_mut(&mut self, number: OffsetNumber) -> Option<&mut [u8]> {
        let range = self.item_range(number)?;
        self.bytes.get_mut(range)
    }

    /// All line pointers' numbers, with the items that they lead to.
    pub fn items(&self) -> impl Iterator<Item = (OffsetNumber, Option<&[u8]>)> {
        (1..=self.item_count()).map(OffsetNumber::new).map(|number| (number, self.item(number)))
    }

    /// The largest item for which there is room, its line pointer counted; in bytes (`PageGetFreeSpace`).
    #[must_use]
    pub fn free_space(&self) -> usize {
        match self.check_header() {
            Ok(()) => usize::from(self.upper() - self.lower()).saturating_sub(LINE_POINTER),
            Err(_) => 0,
        }
    }

    /// Puts an item behind the others (`PageAddItem` on a page of an index: line pointers that are free to be used again,
    /// as heaps have them, stay so).
    ///
    /// # Errors
    /// [`NoSpace`] if there is no room for it, it is empty, or the page is not initialised; nothing is changed then.
    pub fn add_item(&mut self, item: &[u8]) -> Result<OffsetNumber, NoSpace> {
        let no_space = NoSpace { size: item.len(), free: self.free_space() };
        let aligned = item.len().checked_next_multiple_of(8).ok_or(no_space)?;
        if aligned > no_space.free || item.is_empty() {
            return Err(no_space);
        }
        let number = OffsetNumber::new(self.item_count() + 1);
        let offset = usize::from(self.upper()) - aligned;
        self.bytes.get_mut(offset..offset + item.len()).unwrap_or_default().copy_from_slice(item);
        self.set(Self::line_pointer_offset(number), (offset as u32 | NORMAL | (item.len() as u32) << 17).to_le_bytes());
        self.set_lower(self.lower() + LINE_POINTER as u16);
        self.set_upper(offset as u16);
        Ok(number)
    }

    /// Removes items and their line pointers; those behind move up, and keep the flags of their line pointers. Numbers
    /// that there are not are ignored. All bytes are then those that `PageIndexMultiDelete` leaves.
    ///
    /// # Errors
    /// [`RemoveItemsError`] if the page is not initialised, or not all of its line pointers lead to items: where
    /// PostgreSQL raises an error, or fails an assertion. Nothing is changed then.
    pub fn remove_items(&mut self, numbers: &[OffsetNumber]) -> Result<(), RemoveItemsError> {
        self.check_header()?;
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        for number in (1..=self.item_count()).map(OffsetNumber::new) {
            let bits = self.line_pointer(number);
            let space = self.item_space(bits)?;
            if numbers.contains(&number) {
                removed.push(number);
            } else {
                kept.push((bits, space));
            }
        }
        let mut changed = self.clone();
        if removed.len() <= ONE_BY_ONE {
            // From the last one on, so that those before keep their numbers.
            removed.into_iter().rev().try_for_each(|number| changed.remove_item(number))?;
        } else {
            self.compact_into(&kept, &mut changed)?;
        }
        *self = changed;
        Ok(())
    }

    /// Removes one item; what is before it on the page is moved, whatever its number (`PageIndexTupleDelete`).
    fn remove_item(&mut self, number: OffsetNumber) -> Result<(), RemoveItemsError> {
        let space = self.item_space(self.line_pointer(number))?;
        let (lower, upper) = (usize::from(self.lower()), usize::from(self.upper()));
        let place = Self::line_pointer_offset(number);
        self.bytes.copy_within(place + LINE_POINTER..lower, place);
        self.bytes.copy_within(upper..space.start, upper + space.len());
        self.set_lower((lower - LINE_POINTER) as u16);
        self.set_upper((upper + space.len()) as u16);
        self.change_line_pointers(|bits| {
            let is_before = (bits & OFFSET) as usize <= space.start;
            if is_before { bits + space.len() as u32 } else { bits }
        });
        Ok(())
    }

    /// Puts these items of this page, given by their line pointers and what they take up, into its copy `page`, without
    /// gaps and in order of their numbers: the first one at the end (`compactify_tuples`).
    fn compact_into(&self, items: &[(u32, Range<usize>)], page: &mut Self) -> Result<(), RemoveItemsError> {
        let length = items.iter().map(|(_, space)| space.len()).sum();
        let available = usize::from(self.special_offset() - self.lower());
        if length > available {
            return Err(RemoveItemsError::Lengths { length, available });
        }
        let mut upper = usize::from(self.special_offset());
        for (number, (bits, space)) in (1..).map(OffsetNumber::new).zip(items) {
            upper -= space.len();
            let bytes = self.bytes.get(space.clone()).unwrap_or_default();
            page.bytes.get_mut(upper..upper + bytes.len()).unwrap_or_default().copy_from_slice(bytes);
            page.set(Self::line_pointer_offset(number), (bits & !OFFSET | upper as u32).to_le_bytes());
        }
        page.set_lower((Self::HEADER_SIZE + LINE_POINTER * items.len()) as u16);
        page.set_upper(upper as u16);
        Ok(())
    }

    /// Changes the bits of every line pointer.
    pub(super) fn change_line_pointers(&mut self, change: impl Fn(u32) -> u32) {
        for number in (1..=self.item_count()).map(OffsetNumber::new) {
            let changed = change(self.line_pointer(number));
            self.set(Self::line_pointer_offset(number), changed.to_le_bytes());
        }
    }

    /// The bits of a line pointer.
    fn line_pointer(&self, number: OffsetNumber) -> u32 {
        self.u32(Self::line_pointer_offset(number))
    }

    fn line_pointer_offset(number: OffsetNumber) -> usize {
        Self::HEADER_SIZE + LINE_POINTER * (usize::from(number.get()).saturating_sub(1))
    }

    /// Where an item's bytes are, if they are where items can be.
    fn item_range(&self, number: OffsetNumber) -> Option<Range<usize>> {
        let ItemId { offset, flags, length } = self.item_id(number)?;
        let range = usize::from(offset)..usize::from(offset) + usize::from(length);
        let has_storage = matches!(flags, ItemFlags::Normal | ItemFlags::Dead) && length > 0;
        let inside = range.start >= usize::from(self.upper()) && range.end <= usize::from(self.special_offset());
        (has_storage && inside).then_some(range)
    }

    /// What the item of a line pointer takes up, padding included.
    fn item_space(&self, line_pointer: u32) -> Result<Range<usize>, RemoveItemsError> {
        let ItemId { offset, length, .. } = ItemId::new(line_pointer);
        let (begin, end) = (usize::from(offset), usize::from(offset) + usize::from(length));
        // The special space begins at a multiple of eight.
        let inside = offset >= self.upper() && end <= usize::from(self.special_offset()) && offset.is_multiple_of(8);
        let error = RemoveItemsError::LinePointer { offset, length };
        if inside { Ok(begin..end.next_multiple_of(8)) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page() -> DataPage {
        let mut page = DataPage::zeroed();
        page.init::<8>();
        page
    }

    #[test]
    fn items_are_found_by_their_numbers() {
        let mut page = page();
        let first = page.add_item(b"first").unwrap();
        let second = page.add_item(b"the second one").unwrap();
        assert_eq!((first.get(), second.get()), (1, 2));
        assert_eq!((page.item(first), page.item(second)), (Some(&b"first"[..]), Some(&b"the second one"[..])));
        assert_eq!(page.item(OffsetNumber::new(0)), None);
        assert_eq!(page.item(OffsetNumber::new(3)), None);
        assert_eq!(page.upper(), 8184 - 8 - 16);
    }

    #[test]
    fn a_full_page_takes_no_more() {
        let mut page = page();
        while page.add_item(&[7; 100]).is_ok() {}
        let free = page.free_space();
        assert_eq!(page.add_item(&[7; 100]), Err(NoSpace { size: 100, free }));
        assert_eq!(usize::from(page.item_count()), (8184 - 24) / 108);
        assert_eq!(page.check_header(), Ok(()));
    }

    #[test]
    fn those_behind_removed_items_move_up() {
        let mut page = page();
        for item in [&b"a"[..], b"bb", b"ccc", b"dddd"] {
            page.add_item(item).unwrap();
        }
        page.remove_items(&[1, 3, 9].map(OffsetNumber::new)).unwrap();
        let items: Vec<_> = page.items().map(|(_, item)| item.unwrap().to_vec()).collect();
        assert_eq!(items, [b"bb".to_vec(), b"dddd".to_vec()]);
        assert_eq!(page.upper(), 8184 - 16);
    }

    #[test]
    fn a_page_that_is_not_initialised_has_no_items_and_takes_none() {
        let mut page = DataPage::zeroed();
        assert_eq!((page.item_count(), page.free_space()), (0, 0));
        assert!(page.add_item(b"a").is_err());
        let error = page.remove_items(&[OffsetNumber::new(1)]).unwrap_err();
        assert_eq!(error, RemoveItemsError::Header(PageHeaderError::New));
        assert!(page.is_new());
    }

    /// Sets the flags of a line pointer, as no function here does.
    fn set_flags(page: &mut DataPage, number: u16, flags: u32) {
        let number = OffsetNumber::new(number);
        let bits = page.line_pointer(number) & !FLAGS | flags << 15;
        page.set(DataPage::line_pointer_offset(number), bits.to_le_bytes());
    }

    #[test]
    fn line_pointers_keep_their_flags() {
        for removed in [&[1][..], &[1, 2], &[1, 2, 3]] {
            let mut page = page();
            for item in [&b"a"[..], b"bb", b"ccc", b"dddd"] {
                page.add_item(item).unwrap();
            }
            set_flags(&mut page, 4, 3);
            let removed: Vec<_> = removed.iter().copied().map(OffsetNumber::new).collect();
            page.remove_items(&removed).unwrap();
            let last = OffsetNumber::new(page.item_count());
            assert_eq!(page.item_id(last).unwrap().flags, ItemFlags::Dead);
            assert_eq!(page.item(last), Some(&b"dddd"[..]));
        }
    }

    #[test]
    fn nothing_is_removed_where_a_line_pointer_leads_to_no_item() {
        let mut page = page();
        for item in [&b"a"[..], b"bb", b"ccc", b"dddd"] {
            page.add_item(item).unwrap();
        }
        // Unused, as PageIndexTupleDeleteNoCompact leaves it.
        page.set(DataPage::line_pointer_offset(OffsetNumber::new(2)), [0; 4]);
        let before = page.clone();
        for removed in [&[1][..], &[1, 3, 4]] {
            let removed: Vec<_> = removed.iter().copied().map(OffsetNumber::new).collect();
            let error = page.remove_items(&removed).unwrap_err();
            assert_eq!(error, RemoveItemsError::LinePointer { offset: 0, length: 0 });
            assert_eq!(page, before);
        }
    }

    #[derive(Debug, Clone)]
    enum Change {
        Add(Vec<u8>),
        Remove(Vec<u16>),
        Mark(u16),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 1..300).prop_map(Change::Add),
            1 => prop::collection::vec(1..40u16, 0..8).prop_map(Change::Remove),
            1 => (1..40u16).prop_map(Change::Mark),
        ]
    }

    proptest! {
        #[test]
        fn a_page_is_a_list_of_items(changes in prop::collection::vec(change(), 0..80)) {
            let (mut page, mut model) = (page(), Vec::<(Vec<u8>, ItemFlags)>::new());
            for change in changes {
                match change {
                    Change::Add(item) => {
                        let room = page.free_space() >= item.len().next_multiple_of(8);
                        prop_assert_eq!(page.add_item(&item).is_ok(), room);
                        if room {
                            model.push((item, ItemFlags::Normal));
                        }
                    }
                    Change::Remove(numbers) => {
                        page.remove_items(&numbers.iter().copied().map(OffsetNumber::new).collect::<Vec<_>>()).unwrap();
                        let mut number = 0;
                        model.retain(|_| {
                            number += 1;
                            !numbers.contains(&number)
                        });
                    }
                    Change::Mark(number) => {
                        if let Some((_, flags)) = model.get_mut(usize::from(number) - 1) {
                            *flags = ItemFlags::Dead;
                            set_flags(&mut page, number, 3);
                        }
                    }
                }
                prop_assert_eq!(page.check_header(), Ok(()));
                let items: Vec<_> = page
                    .items()
                    .map(|(number, item)| (item.unwrap().to_vec(), page.item_id(number).unwrap().flags))
                    .collect();
                prop_assert_eq!(&items, &model);
                // No gaps are left.
                let length: usize = model.iter().map(|(item, _)| 4 + item.len().next_multiple_of(8)).sum();
                prop_assert_eq!(usize::from(page.upper() - page.lower()), 8192 - 8 - 24 - length);
            }
        }

        #[test]
        fn no_page_makes_it_panic(
            header: [u8; 24],
            pointers in prop::collection::vec(any::<u32>(), 0..20),
            fits: bool,
            numbers in prop::collection::vec(0..22u16, 0..6),
            item in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut page = page();
            if fits {
                // The header allows all that the line pointers may say.
                page.set_lower((24 + 4 * pointers.len()) as u16);
                page.set_upper(200);
            } else {
                page.as_bytes_mut()[..24].copy_from_slice(&header);
            }
            for (number, bits) in (1..).map(OffsetNumber::new).zip(&pointers) {
                // Lengths and offsets of which many are on the page.
                let bits = if fits { bits & (0x3FF << 17 | FLAGS | 0x1FF8) } else { *bits };
                page.set(DataPage::line_pointer_offset(number), bits.to_le_bytes());
            }
            let mut masked = page.clone();
            masked.mask_line_pointer_flags();
            let _ = masked.mask_unused_space();
            for (number, item) in page.items() {
                prop_assert!(item.is_none_or(|item| item.len() <= 8192 && page.item_id(number).is_some()));
            }
            let _ = (page.contents().len(), page.special().len(), page.free_space());
            let numbers: Vec<_> = numbers.into_iter().map(OffsetNumber::new).collect();
            let before = page.clone();
            match page.remove_items(&numbers) {
                Ok(()) => prop_assert_eq!(page.check_header(), Ok(())),
                Err(_) => prop_assert!(page == before),
            }
            if page.add_item(&item).is_ok() {
                prop_assert_eq!(page.check_header(), Ok(()));
                prop_assert_eq!(page.item(OffsetNumber::new(page.item_count())), Some(&item[..]));
            }
        }
    }
}
