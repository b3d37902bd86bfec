//! How large the signatures of an index are, and how many bits its columns set.

use pgwal::ItemPointer;

use crate::page_kind::CONTENTS_SIZE;

/// Most columns that an index has (`INDEX_MAX_KEYS`).
pub const MAX_COLUMNS: usize = 32;
/// Most bits of a signature.
pub const MAX_LENGTH: u16 = 4096;
/// Bits of a signature if nothing is said.
pub const DEFAULT_LENGTH: u16 = 80;
/// Most bits that a value sets.
pub const MAX_BITS: u16 = 4095;
/// Bits that a value sets if nothing is said.
pub const DEFAULT_BITS: u16 = 2;

/// The parameters of an index, which never change: all of its signatures depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    length: u16,
    bits: [u16; MAX_COLUMNS],
}

impl Layout {
    /// Signatures of so many bits, of which each column's values set so many.
    ///
    /// `None` if one of them is zero, or larger than [`MAX_LENGTH`] and [`MAX_BITS`].
    #[must_use]
    pub fn new(length: u16, bits: [u16; MAX_COLUMNS]) -> Option<Self> {
        let is_valid = (1..=MAX_LENGTH).contains(&length) && bits.iter().all(|bits| (1..=MAX_BITS).contains(bits));
        is_valid.then_some(Self { length, bits })
    }

    /// Bits of a signature.
    #[must_use]
    pub fn length(&self) -> u16 {
        self.length
    }

    /// How many bits a value of each column sets.
    #[must_use]
    pub fn bits(&self) -> [u16; MAX_COLUMNS] {
        self.bits
    }

    /// How many bits a value of that column sets, from zero; none if there is no such column.
    #[must_use]
    pub fn bits_of(&self, column: usize) -> u16 {
        self.bits.get(column).copied().unwrap_or(0)
    }

    /// Bytes of a signature.
    #[must_use]
    pub fn signature_size(&self) -> usize {
        usize::from(self.length).div_ceil(8)
    }

    /// Bytes of a row.
    #[must_use]
    pub fn row_size(&self) -> usize {
        ItemPointer::SIZE.saturating_add(self.signature_size())
    }

    /// How many rows fit in a page.
    #[must_use]
    pub fn rows_per_page(&self) -> usize {
        CONTENTS_SIZE.checked_div(self.row_size()).unwrap_or(0)
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self { length: DEFAULT_LENGTH, bits: [DEFAULT_BITS; MAX_COLUMNS] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_small_as_they_can_be() {
        let layout = Layout::default();
        assert_eq!((layout.signature_size(), layout.row_size(), layout.rows_per_page()), (10, 16, 510));
        let layout = Layout::new(9, [1; MAX_COLUMNS]).unwrap();
        assert_eq!(layout.row_size(), 8);
        let longest = Layout::new(MAX_LENGTH, [MAX_BITS; MAX_COLUMNS]).unwrap();
        assert_eq!(longest.rows_per_page(), 15);
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        assert_eq!(Layout::new(0, [1; MAX_COLUMNS]), None);
        assert_eq!(Layout::new(MAX_LENGTH + 1, [1; MAX_COLUMNS]), None);
        assert_eq!(Layout::new(80, [0; MAX_COLUMNS]), None);
        assert_eq!(Layout::new(80, [MAX_BITS + 1; MAX_COLUMNS]), None);
    }
}
