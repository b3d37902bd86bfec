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
