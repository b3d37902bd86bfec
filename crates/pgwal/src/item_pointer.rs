//! Where a tuple of a table is.
//!
//! Sources: `src/include/storage/itemptr.h`: `ItemPointerData`, `src/include/storage/block.h`: `BlockIdData`.

use std::fmt;

use crate::ids::{BlockNumber, OffsetNumber};

/// A tuple's block and line pointer (`ItemPointerData`, `tid`), in the order in which the tuples are in the table. Prints as SQL
/// does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ItemPointer {
    /// Its block in the table.
    pub block: BlockNumber,
    /// Its line pointer there.
    pub offset: OffsetNumber,
}

impl ItemPointer {
    /// Bytes that it has where it is stored: of the block number the upper half, then the lower one, then the line
    /// pointer's number.
    pub const SIZE: usize = 6;

    /// Makes one from its two numbers.
    #[must_use]
    pub const fn new(block: u32, offset: u16) -> Self {
        Self { block: BlockNumber::new(block), offset: OffsetNumber::new(offset) }
    }

    /// The one that is stored so.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [a, b, c, d, e, f] = bytes;
        Self::new(u32::from_le_bytes([c, d, a, b]), u16::from_le_bytes([e, f]))
    }

    /// As it is stored.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::SIZE] {
        let [c, d, a, b] = self.block.get().to_le_bytes();
        let [e, f] = self.offset.get().to_le_bytes();
        [a, b, c, d, e, f]
    }
}

impl fmt::Display for ItemPointer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "({},{})", self.block, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_half_of_the_block_number_is_stored_first() {
        let pointer = ItemPointer::new(0x0102_0304, 0x0506);
        assert_eq!(pointer.to_bytes(), [2, 1, 4, 3, 6, 5]);
        assert_eq!(ItemPointer::from_bytes(pointer.to_bytes()), pointer);
        assert_eq!(ItemPointer::new(7, 3).to_string(), "(7,3)");
    }
}
