//! Items on a page, and the line pointers by which they are found.
//!
//! Sources: `src/include/storage/itemid.h`, `src/backend/storage/page/bufpage.c`: `PageAddItemExtended`,
//! `PageGetFreeSpace`, `PageIndexMultiDelete`.

use super::{DataPage, field};
use crate::heap_page::{ItemFlags, ItemId};
use crate::ids::OffsetNumber;

/// Bytes of a line pointer.
const LINE_POINTER: usize = 4;
/// `lp_flags` of a line pointer.
pub(super) const FLAGS: u32 = 3 << 15;
/// `LP_NORMAL` there.
const NORMAL: u32 = 1 << 15;

/// The page has no room for an item of this size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no space on the page for {size} bytes: {free} are free")]
pub struct NoSpace {
    /// Bytes of the item.
    pub size: usize,
    /// Bytes that a new item may have: [`DataPage::free_space`].
    pub free: usize,
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
        known.then(|| ItemId::new(self.u32(Self::line_pointer_offset(number))))
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

    /// Puts an item behind the others (`PageAddItem`).
    ///
    /// # Errors
    /// [`NoSpace`] if there is no room for it, or the page is not initialised; nothing is changed then.
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

    /// Removes items and their line pointers; those behind move up (`PageIndexMultiDelete`). Numbers that there are
    /// not are ignored.
    pub fn remove_items(&mut self, numbers: &[OffsetNumber]) {
        let before = self.clone();
        if before.check_header().is_err() {
            return;
        }
        self.set_lower(Self::HEADER_SIZE as u16);
        self.set_upper(self.special_offset());
        for (number, item) in before.items() {
            if let Some(item) = item.filter(|_| !numbers.contains(&number)) {
                // They had room before.
                let _ = self.add_item(item);
            }
        }
    }

    /// Changes the bits of every line pointer.
    pub(super) fn change_line_pointers(&mut self, change: impl Fn(u32) -> u32) {
        for number in (1..=self.item_count()).map(OffsetNumber::new) {
            let offset = Self::line_pointer_offset(number);
            self.set(offset, change(self.u32(offset)).to_le_bytes());
        }
    }

    fn line_pointer_offset(number: OffsetNumber) -> usize {
        Self::HEADER_SIZE + LINE_POINTER * (usize::from(number.get()).saturating_sub(1))
    }

    /// Where an item's bytes are, if they are where items can be.
    fn item_range(&self, number: OffsetNumber) -> Option<std::ops::Range<usize>> {
        let ItemId { offset, flags, length } = self.item_id(number)?;
        let range = usize::from(offset)..usize::from(offset) + usize::from(length);
        let has_storage = matches!(flags, ItemFlags::Normal | ItemFlags::Dead) && length > 0;
        let inside =
            range.start >= usize::from(self.u16(field::UPPER)) && range.end <= usize::from(self.special_offset());
        (has_storage && inside).then_some(range)
    }
}

#[cfg(test)]
mod tests {
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
        page.remove_items(&[1, 3, 9].map(OffsetNumber::new));
        let items: Vec<_> = page.items().map(|(_, item)| item.unwrap().to_vec()).collect();
        assert_eq!(items, [b"bb".to_vec(), b"dddd".to_vec()]);
        assert_eq!(page.upper(), 8184 - 16);
    }

    #[test]
    fn a_page_that_is_not_initialised_has_no_items_and_takes_none() {
        let mut page = DataPage::zeroed();
        assert_eq!((page.item_count(), page.free_space()), (0, 0));
        assert!(page.add_item(b"a").is_err());
        page.remove_items(&[OffsetNumber::new(1)]);
        assert!(page.is_new());
    }
}
