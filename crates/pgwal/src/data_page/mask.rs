//! What two copies of a page may differ in without anything being wrong, made equal: for `wal_consistency_checking`.
//!
//! Source: `src/backend/access/common/bufmask.c`. Each sets to zero (`MASK_MARKER`).

use super::{DataPage, PageHeaderError, field};
use crate::lsn::Lsn;

/// `PD_HAS_FREE_LINES | PD_PAGE_FULL | PD_ALL_VISIBLE`.
const HINTS: u16 = 0x0007;

impl DataPage {
    /// Forgets position and checksum, which differ always (`mask_page_lsn_and_checksum`).
    pub fn mask_lsn_and_checksum(&mut self) {
        self.set_lsn(Lsn::new(0));
        self.set_u16(field::CHECKSUM, 0);
    }

    /// Forgets the header's hints, which are changed without a record (`mask_page_hint_bits`).
    pub fn mask_hint_bits(&mut self) {
        self.set(field::PRUNE_XID, [0; 4]);
        self.set_u16(field::FLAGS, self.flags() & !HINTS);
    }

    /// Forgets what is in the free space (`mask_unused_space`).
    ///
    /// # Errors
    /// [`PageHeaderError`] if it is not known where that is.
    pub fn mask_unused_space(&mut self) -> Result<(), PageHeaderError> {
        self.check_header()?;
        let free = usize::from(self.lower())..usize::from(self.upper());
        self.bytes.get_mut(free).unwrap_or_default().fill(0);
        Ok(())
    }

    /// Forgets whether items are dead, where that is changed without a record (`mask_lp_flags`).
    pub fn mask_line_pointer_flags(&mut self) {
        self.change_line_pointers(|bits| bits & !super::items::FLAGS);
    }

    /// Forgets all but the header, whose `pd_lower` and `pd_upper` are forgotten too (`mask_page_content`).
    pub fn mask_contents(&mut self) {
        self.bytes.get_mut(Self::HEADER_SIZE..).unwrap_or_default().fill(0);
        self.set_lower(0);
        self.set_upper(0);
    }
}

#[cfg(test)]
mod tests {
    use crate::data_page::DataPage;
    use crate::heap_page::ItemFlags;
    use crate::ids::OffsetNumber;
    use crate::lsn::Lsn;

    /// An initialised page with an item, on which all that can be masked is set.
    fn page() -> DataPage {
        let mut page = DataPage::zeroed();
        page.init::<8>();
        page.as_bytes_mut()[..10].fill(0xFF);
        // More flags there are not.
        page.as_bytes_mut()[10] = 0x07;
        page.as_bytes_mut()[20..24].fill(0xFF);
        page.contents_mut().fill(0xFF);
        page.special_mut().fill(0xFF);
        page.add_item(b"an item").unwrap();
        page
    }

    #[test]
    fn each_mask_hides_its_own_part_and_nothing_else() {
        let (mut masked, mut expected) = (page(), page());
        masked.mask_lsn_and_checksum();
        expected.as_bytes_mut()[..10].fill(0);
        assert_eq!((&masked, masked.lsn()), (&expected, Lsn::new(0)));

        masked.mask_hint_bits();
        expected.as_bytes_mut()[10] = 0;
        expected.as_bytes_mut()[20..24].fill(0);
        assert_eq!(masked, expected);

        masked.mask_unused_space().unwrap();
        expected.as_bytes_mut()[28..8176].fill(0);
        assert_eq!(masked, expected);
        assert_eq!(masked.item(OffsetNumber::new(1)), Some(&b"an item"[..]));

        masked.mask_line_pointer_flags();
        let item = masked.item_id(OffsetNumber::new(1)).unwrap();
        assert_eq!((item.offset, item.flags, item.length), (8176, ItemFlags::Unused, 7));
        expected.as_bytes_mut()[24..28].copy_from_slice(&masked.as_bytes()[24..28]);
        assert_eq!(masked, expected);

        masked.mask_contents();
        expected.as_bytes_mut()[24..].fill(0);
        expected.as_bytes_mut()[12..16].fill(0);
        assert_eq!(masked, expected);
    }

    #[test]
    fn unused_space_that_is_nowhere_stays() {
        let mut page = page();
        page.set_lower(page.upper() + 1);
        let before = page.clone();
        assert!(page.mask_unused_space().is_err());
        assert_eq!(page, before);
    }
}
