//! A page of a visibility map, as full-page images hold it. Source: `src/backend/access/heap/visibilitymap.c`.

use crate::ids::BlockNumber;

/// A page of a visibility map: two bits for each block of the heap.
#[derive(Debug, Clone, Copy)]
pub struct VisibilityMapPage<'a> {
    map: &'a [u8],
    first: u64,
}

impl<'a> VisibilityMapPage<'a> {
    /// All tuples of the block are visible to all (`VISIBILITYMAP_ALL_VISIBLE`).
    pub const ALL_VISIBLE: u8 = 1;
    /// All tuples of the block are frozen (`VISIBILITYMAP_ALL_FROZEN`).
    pub const ALL_FROZEN: u8 = 2;
    /// Size of the page header in bytes (`MAXALIGN(SizeOfPageHeaderData)`).
    const HEADER_SIZE: usize = 24;

    /// The page that is block `number` of a map.
    #[must_use]
    pub fn new(page: &'a [u8], number: BlockNumber) -> Self {
        let map = page.get(Self::HEADER_SIZE..).unwrap_or_default();
        let blocks = (map.len() as u64).saturating_mul(4);
        Self { map, first: blocks.saturating_mul(u64::from(number.get())) }
    }

    /// The blocks whose bits are not both clear, with their bits.
    pub fn set_bits(&self) -> impl Iterator<Item = (BlockNumber, u8)> + use<'a> {
        let first = self.first;
        (0u64..).zip(self.map).filter(|(_, byte)| **byte != 0).flat_map(move |(index, byte)| {
            (0u64..4).filter_map(move |pair| {
                let bits = byte >> pair.saturating_mul(2) & 3;
                let number = first.saturating_add(index.saturating_mul(4)).saturating_add(pair);
                (bits != 0).then_some(())?;
                Some((BlockNumber::new(u32::try_from(number).ok()?), bits))
            })
        })
    }

    /// The bits of a block; none if the page does not speak of it.
    #[must_use]
    pub fn bits(&self, block: BlockNumber) -> u8 {
        let place = u64::from(block.get()).checked_sub(self.first);
        let byte = place.and_then(|place| self.map.get(usize::try_from(place / 4).ok()?));
        byte.map_or(0, |byte| byte >> (block.get() % 4).saturating_mul(2) & 3)
    }

    /// The blocks of the heap that this page speaks of.
    #[must_use]
    pub fn blocks(&self) -> std::ops::Range<u64> {
        self.first..self.first.saturating_add((self.map.len() as u64).saturating_mul(4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bits_a_block_lowest_first() {
        let mut page = [0; 8192];
        page[24] = 0b0000_1101;
        let page = VisibilityMapPage::new(&page, BlockNumber::new(1));
        let first = 8168 * 4;
        let bits: Vec<_> = page.set_bits().map(|(block, bits)| (block.get(), bits)).collect();
        assert_eq!(bits, [(first, 1), (first + 1, 3)]);
        let of = |block| page.bits(BlockNumber::new(block));
        assert_eq!([first - 1, first, first + 1, first + 2, first + 4].map(of), [0, 1, 3, 0, 0]);
        assert_eq!(of(2 * first), 0);
    }
}
