//! The checksum of a page in a file of a cluster with data checksums.
//!
//! Source: `src/include/storage/checksum_impl.h`: `pg_checksum_page`.

use super::{DataPage, field};
use crate::ids::BlockNumber;

/// How many checksums are computed side by side (`N_SUMS`).
const SUMS: usize = 32;
/// `FNV_PRIME`.
const PRIME: u32 = 16_777_619;
/// What each of them begins with (`checksumBaseOffsets`).
const BASE_OFFSETS: [u32; SUMS] = [
    0x5B1F_36E9,
    0xB852_5960,
    0x02AB_50AA,
    0x1DE6_6D2A,
    0x79FF_467A,
    0x9BB9_F8A3,
    0x217E_7CD2,
    0x83E1_3D2C,
    0xF8D4_474F,
    0xE39E_B970,
    0x42C6_AE16,
    0x9932_16FA,
    0x7B09_3B5D,
    0x98DA_FF3C,
    0xF718_902A,
    0x0B1C_9CDB,
    0xE58F_764B,
    0x1876_36BC,
    0x5D7B_3BB1,
    0xE73D_E7DE,
    0x92BE_C979,
    0xCCA6_C0B2,
    0x304A_0979,
    0x85AA_43D4,
    0x7831_25BB,
    0x6CA8_EAA2,
    0xE407_EAC6,
    0x4B5C_FC3E,
    0x9FBF_8C76,
    0x15CA_20BE,
    0xF2CA_9FD3,
    0x959B_D756,
];

impl DataPage {
    /// The checksum that the page has in a file, as block `number` of its fork (`pg_checksum_page`). A new page has none.
    #[must_use]
    pub fn compute_checksum(&self, number: BlockNumber) -> u16 {
        let mut sums = BASE_OFFSETS;
        let (rows, _) = self.bytes.as_chunks::<{ 4 * SUMS }>();
        for (row_number, row) in rows.iter().enumerate() {
            let (words, _) = row.as_chunks::<4>();
            for (column, (sum, word)) in sums.iter_mut().zip(words).enumerate() {
                // The third word of the header is pd_checksum, taken as zero, and pd_flags.
                let is_checksum = row_number == 0 && column == field::CHECKSUM / 4;
                let word = u32::from_le_bytes(*word);
                *sum = mixed(*sum, if is_checksum { word & 0xFFFF_0000 } else { word });
            }
        }
        let folded = sums.into_iter().fold(0, |folded, sum| folded ^ mixed(mixed(sum, 0), 0));
        let [.., low, high] = ((folded ^ number.get()) % 65_535).saturating_add(1).to_be_bytes();
        u16::from_be_bytes([low, high])
    }

    /// Sets `pd_checksum`, as the server does when it writes an initialised page into a file of a cluster with data
    /// checksums, as block `number` of its fork (`PageSetChecksumInplace`). Nothing on a new page.
    pub fn set_checksum(&mut self, number: BlockNumber) {
        if !self.is_new() {
            self.set_u16(field::CHECKSUM, self.compute_checksum(number));
        }
    }
}

/// A checksum with one more word in it (`CHECKSUM_COMP`).
const fn mixed(sum: u32, word: u32) -> u32 {
    let mixed = sum ^ word;
    mixed.wrapping_mul(PRIME) ^ (mixed >> 17)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_depends_on_everything_but_itself() {
        let mut page = DataPage::zeroed();
        page.set_checksum(BlockNumber::new(0));
        assert_eq!(page, DataPage::zeroed());
        page.init::<0>();
        let block = BlockNumber::new(3);
        page.set_checksum(block);
        let checksum = page.checksum();
        assert_eq!(page.compute_checksum(block), checksum);
        assert_ne!(page.compute_checksum(BlockNumber::new(4)), checksum);
        for place in (0..DataPage::SIZE).filter(|place| ![8, 9].contains(place)) {
            let mut other = page.clone();
            other.as_bytes_mut()[place] ^= 1;
            assert_ne!(other.compute_checksum(block), checksum, "byte {place}");
        }
    }
}
