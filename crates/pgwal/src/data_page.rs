//! A page of a relation: header, line pointers and items, special space.
//!
//! Sources: `src/include/storage/bufpage.h`: `PageHeaderData`, `src/backend/storage/page/bufpage.c`: `PageInit`,
//! `PageIsVerifiedExtended`, `PageAddItemExtended`.

mod checksum;
mod items;
mod mask;

use std::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::lsn::Lsn;

pub use items::{NoSpace, RemoveItemsError};

/// A page of 8192 bytes (`BLCKSZ`), as it is in a relation's file or in a buffer. All bytes are allowed: what reads them
/// finds nothing where the header makes no sense, and [`DataPage::check_header`] tells why.
#[derive(Clone, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct DataPage {
    bytes: [u8; Self::SIZE],
}

/// Offsets of the header's fields, in bytes.
mod field {
    pub(super) const CHECKSUM: usize = 8;
    pub(super) const FLAGS: usize = 10;
    pub(super) const LOWER: usize = 12;
    pub(super) const UPPER: usize = 14;
    pub(super) const SPECIAL: usize = 16;
    pub(super) const SIZE_AND_VERSION: usize = 18;
    pub(super) const PRUNE_XID: usize = 20;
}

/// A page's header cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageHeaderError {
    /// The page was never initialised (`PageIsNew`): `pd_upper` is zero.
    #[error("the page is not initialised")]
    New,
    /// Not `24 <= pd_lower <= pd_upper <= pd_special <= 8192`, with `pd_special` aligned to 8 bytes.
    #[error("corrupted page pointers: lower = {lower}, upper = {upper}, special = {special}")]
    Pointers {
        /// `pd_lower`.
        lower: u16,
        /// `pd_upper`.
        upper: u16,
        /// `pd_special`.
        special: u16,
    },
    /// Others than `PD_VALID_FLAG_BITS` are set in `pd_flags`.
    #[error("corrupted page flags: {0:#06X}")]
    Flags(u16),
}

impl DataPage {
    /// Bytes of a page.
    pub const SIZE: usize = crate::DEFAULT_BLOCK_SIZE as usize;
    /// Bytes of its header (`SizeOfPageHeaderData`).
    pub const HEADER_SIZE: usize = 24;
    /// `PD_VALID_FLAG_BITS`.
    const VALID_FLAGS: u16 = 0x0007;
    /// `PG_PAGE_LAYOUT_VERSION`.
    const LAYOUT_VERSION: u16 = 4;

    /// A page of zeroes, which is not initialised yet.
    #[must_use]
    pub const fn zeroed() -> Self {
        Self { bytes: [0; Self::SIZE] }
    }

    /// The page that these bytes are.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> &Self {
        zerocopy::transmute_ref!(bytes)
    }

    /// The page that these bytes are, to be changed.
    #[must_use]
    pub fn from_bytes_mut(bytes: &mut [u8; Self::SIZE]) -> &mut Self {
        zerocopy::transmute_mut!(bytes)
    }

    /// All of its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.bytes
    }

    /// All of its bytes, to be changed.
    pub const fn as_bytes_mut(&mut self) -> &mut [u8; Self::SIZE] {
        &mut self.bytes
    }

    /// Makes it an empty page with `SPECIAL` bytes of special space, rounded up to a multiple of 8; everything is zero
    /// but the header (`PageInit`). All that a page has, or more, does not compile:
    ///
    /// ```compile_fail
    /// pgwal::DataPage::zeroed().init::<8161>();
    /// ```
    ///
    /// ```
    /// pgwal::DataPage::zeroed().init::<8160>();
    /// ```
    pub fn init<const SPECIAL: usize>(&mut self) {
        const { assert!(SPECIAL < DataPage::SIZE - DataPage::HEADER_SIZE - 7, "the special space does not fit in a page") };
        // Both fit: a page has 8192 bytes.
        #[allow(clippy::cast_possible_truncation, clippy::arithmetic_side_effects)]
        let special = const { (DataPage::SIZE - SPECIAL.div_ceil(8) * 8) as u16 };
        self.bytes.fill(0);
        self.set_u16(field::LOWER, Self::HEADER_SIZE as u16);
        self.set_u16(field::UPPER, special);
        self.set_u16(field::SPECIAL, special);
        self.set_u16(field::SIZE_AND_VERSION, Self::SIZE as u16 | Self::LAYOUT_VERSION);
    }

    /// Whether it was never initialised (`PageIsNew`).
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.upper() == 0
    }

    /// End of the last record that changed it (`pd_lsn`).
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        let [upper, lower] = [self.u32(0), self.u32(4)];
        Lsn::new(u64::from(upper) << 32 | u64::from(lower))
    }

    /// Sets `pd_lsn`. In the server, who writes the record does that.
    pub fn set_lsn(&mut self, lsn: Lsn) {
        // The two halves are meant.
        #[allow(clippy::cast_possible_truncation)]
        let [upper, lower] = [(lsn.get() >> 32) as u32, lsn.get() as u32];
        self.set(0, upper.to_le_bytes());
        self.set(4, lower.to_le_bytes());
    }

    /// `pd_checksum`: zero without data checksums, and in a buffer whatever the file had.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        self.u16(field::CHECKSUM)
    }

    /// `pd_flags`.
    #[must_use]
    pub fn flags(&self) -> u16 {
        self.u16(field::FLAGS)
    }

    /// End of the line pointers, or of what else grows upwards, in bytes from the beginning (`pd_lower`).
    #[must_use]
    pub fn lower(&self) -> u16 {
        self.u16(field::LOWER)
    }

    /// Beginning of the items, in bytes from the beginning (`pd_upper`).
    #[must_use]
    pub fn upper(&self) -> u16 {
        self.u16(field::UPPER)
    }

    /// Sets `pd_lower`: what is between it and [`DataPage::upper`] is free, and images and Generic WAL leave it out.
    pub fn set_lower(&mut self, lower: u16) {
        self.set_u16(field::LOWER, lower);
    }

    /// Sets `pd_upper`: see [`DataPage::set_lower`].
    pub fn set_upper(&mut self, upper: u16) {
        self.set_u16(field::UPPER, upper);
    }

    /// Beginning of the special space, in bytes from the beginning (`pd_special`).
    #[must_use]
    pub fn special_offset(&self) -> u16 {
        self.u16(field::SPECIAL)
    }

    /// What is between header and special space; nothing if the header makes no sense.
    #[must_use]
    pub fn contents(&self) -> &[u8] {
        self.bytes.get(Self::HEADER_SIZE..self.valid_special_offset()).unwrap_or_default()
    }

    /// What is between header and special space, to be changed; nothing if the header makes no sense.
    pub fn contents_mut(&mut self) -> &mut [u8] {
        let special = self.valid_special_offset();
        self.bytes.get_mut(Self::HEADER_SIZE..special).unwrap_or_default()
    }

    /// The access method's own space at the end; nothing if the header makes no sense.
    #[must_use]
    pub fn special(&self) -> &[u8] {
        match self.valid_special_offset() {
            0 => &[],
            special => self.bytes.get(special..).unwrap_or_default(),
        }
    }

    /// The access method's own space at the end, to be changed; nothing if the header makes no sense.
    pub fn special_mut(&mut self) -> &mut [u8] {
        match self.valid_special_offset() {
            0 => &mut [],
            special => self.bytes.get_mut(special..).unwrap_or_default(),
        }
    }

    /// Whether the header can be that of an initialised page: where it is not, PostgreSQL must not look for items, nor
    /// leave out the free space, and does not read the page from its file (`PageIsVerifiedExtended`).
    ///
    /// # Errors
    /// [`PageHeaderError`] if the page is new, its pointers are out of order, or it has flags that there are not.
    pub fn check_header(&self) -> Result<(), PageHeaderError> {
        let (lower, upper, special) = (self.lower(), self.upper(), self.special_offset());
        let ordered = Self::HEADER_SIZE <= usize::from(lower) && lower <= upper && upper <= special;
        if !ordered || usize::from(special) > Self::SIZE || !special.is_multiple_of(8) {
            let is_new = self.is_new();
            return Err(if is_new {
                PageHeaderError::New
            } else {
                PageHeaderError::Pointers { lower, upper, special }
            });
        }
        if self.flags() & !Self::VALID_FLAGS != 0 { Err(PageHeaderError::Flags(self.flags())) } else { Ok(()) }
    }

    /// `pd_special` if that is within the page; else zero.
    fn valid_special_offset(&self) -> usize {
        let special = usize::from(self.special_offset());
        if (Self::HEADER_SIZE..=Self::SIZE).contains(&special) { special } else { 0 }
    }

    fn u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.array(offset))
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.array(offset))
    }

    /// Bytes at an offset; zeroes beyond the page.
    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.bytes.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    fn set_u16(&mut self, offset: usize, value: u16) {
        self.set(offset, value.to_le_bytes());
    }

    /// Sets bytes at an offset; nothing beyond the page.
    fn set<const N: usize>(&mut self, offset: usize, value: [u8; N]) {
        if let Some(place) = self.bytes.get_mut(offset..).and_then(|rest| rest.first_chunk_mut()) {
            *place = value;
        }
    }
}

impl fmt::Debug for DataPage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DataPage")
            .field("lsn", &self.lsn())
            .field("lower", &self.lower())
            .field("upper", &self.upper())
            .field("special", &self.special_offset())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_page_is_that_of_page_init() {
        let mut page = DataPage::zeroed();
        assert_eq!(page.check_header(), Err(PageHeaderError::New));
        assert_eq!((page.contents().len(), page.special().len()), (0, 0));
        page.init::<12>();
        assert_eq!(page.check_header(), Ok(()));
        assert_eq!(
            &page.as_bytes()[..24],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0xF0, 0x1F, 0xF0, 0x1F, 4, 0x20, 0, 0, 0, 0]
        );
        assert_eq!((page.contents().len(), page.special().len()), (8192 - 24 - 16, 16));
        page.init::<0>();
        assert_eq!((page.check_header(), page.special().len()), (Ok(()), 0));
    }

    #[test]
    fn the_lsn_is_in_two_halves() {
        let mut page = DataPage::zeroed();
        page.set_lsn(Lsn::new(0x0000_0001_0203_0405));
        assert_eq!(&page.as_bytes()[..8], [1, 0, 0, 0, 5, 4, 3, 2]);
        assert_eq!(page.lsn(), Lsn::new(0x0000_0001_0203_0405));
    }

    #[test]
    fn pointers_out_of_order_are_found() {
        let wrong = |change: fn(&mut DataPage)| {
            let mut page = DataPage::zeroed();
            page.init::<8>();
            change(&mut page);
            page.check_header().unwrap_err()
        };
        wrong(|page| page.set_lower(23));
        wrong(|page| page.set_lower(page.upper() + 1));
        wrong(|page| page.set_upper(page.special_offset() + 1));
        wrong(|page| page.set_u16(field::SPECIAL, 8193));
        wrong(|page| page.set_u16(field::SPECIAL, page.special_offset() + 1));
        assert_eq!(wrong(|page| page.set_u16(field::FLAGS, 0x0008)), PageHeaderError::Flags(8));
    }

    #[test]
    fn hints_are_valid_flags() {
        let mut page = DataPage::zeroed();
        page.init::<8>();
        page.set_u16(field::FLAGS, 0x0007);
        assert_eq!(page.check_header(), Ok(()));
    }
}
