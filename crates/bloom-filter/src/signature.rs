//! Sets of bits that tell which values a row may have.

use crate::layout::Layout;

/// The bits that values set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    layout: Layout,
    bytes: Vec<u8>,
}

impl Signature {
    /// That of a row in which everything is NULL.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self { layout: *layout, bytes: vec![0; layout.signature_size()] }
    }

    /// Sets the bits of a value with this hash in that column.
    pub fn add(&mut self, column: usize, hash: u64) {
        let mut random = SplitMix(hash);
        for _ in 0..self.layout.bits_of(column) {
            let bit = random.below(self.layout.length());
            if let Some(byte) = self.bytes.get_mut(usize::from(bit / 8)) {
                *byte |= 1 << (bit % 8);
            }
        }
    }

    /// As it is stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What is looked for: rows whose signature has all of these bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The bytes that have any, and where they are.
    bytes: Vec<(usize, u8)>,
}

impl From<&Signature> for Query {
    fn from(signature: &Signature) -> Self {
        let bytes = signature.bytes.iter().copied().enumerate();
        Self { bytes: bytes.filter(|(_, byte)| *byte != 0).collect() }
    }
}

impl Query {
    /// Whether a row with this signature may have all the values.
    #[must_use]
    pub fn matches(&self, signature: &[u8]) -> bool {
        self.bytes.iter().all(|(place, wanted)| signature.get(*place).is_some_and(|byte| byte & wanted == *wanted))
    }
}

/// A sequence of random numbers that follows from its seed (SplitMix64: Steele, Lea and Flood, 2014).
struct SplitMix(u64);

impl SplitMix {
    /// The next number below `limit`.
    fn below(&mut self, limit: u16) -> u16 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^= number >> 31;
        // The upper 16 bits of a number of 32 that is as random in all parts: less than the limit.
        #[allow(clippy::cast_possible_truncation)]
        let scaled = ((number >> 32).wrapping_mul(u64::from(limit)) >> 32) as u16;
        scaled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::MAX_COLUMNS;

    fn of(layout: &Layout, values: &[(usize, u64)]) -> Signature {
        let mut signature = Signature::new(layout);
        for (column, hash) in values {
            signature.add(*column, *hash);
        }
        signature
    }

    #[test]
    fn a_row_is_found_by_each_of_its_values() {
        let layout = Layout::default();
        let row = of(&layout, &[(0, 1), (1, 2), (2, 3)]);
        for query in [vec![], vec![(0, 1)], vec![(1, 2)], vec![(2, 3), (0, 1)], vec![(0, 1), (1, 2), (2, 3)]] {
            assert!(Query::from(&of(&layout, &query)).matches(row.as_bytes()), "{query:?}");
        }
    }

    #[test]
    fn bits_stay_the_same_in_all_versions() {
        let layout = Layout::new(80, [2; MAX_COLUMNS]).unwrap();
        assert_eq!(of(&layout, &[(0, 0), (1, 1)]).as_bytes(), [0, 0, 0, 0, 4, 32, 0, 8, 64, 0]);
    }

    #[test]
    fn a_row_of_nulls_is_found_by_no_value() {
        let layout = Layout::default();
        let nulls = Signature::new(&layout);
        assert!((0..1000).all(|hash| !Query::from(&of(&layout, &[(0, hash)])).matches(nulls.as_bytes())));
    }

    #[test]
    fn as_many_other_rows_are_found_as_bits_let_expect() {
        let layout = Layout::new(80, [2; MAX_COLUMNS]).unwrap();
        let query = Query::from(&of(&layout, &[(0, u64::MAX)]));
        let row = |number: u64| of(&layout, &[(0, number * 3), (1, number * 3 + 1), (2, number * 3 + 2)]);
        let found = (0..100_000).filter(|number| query.matches(row(*number).as_bytes())).count();
        // Both of two bits are set by any of six: 1 - 2 (79 / 80)^6 + (78 / 80)^6 = 0.00447 of the rows.
        assert!((380..515).contains(&found), "{found}");
    }

    #[test]
    fn no_bit_is_beyond_the_length() {
        for length in [1, 7, 9, 4096] {
            let layout = Layout::new(length, [50; MAX_COLUMNS]).unwrap();
            let mut all = vec![0_u8; layout.signature_size()];
            for hash in 0..2000 {
                all.iter_mut().zip(of(&layout, &[(0, hash)]).as_bytes()).for_each(|(all, byte)| *all |= byte);
            }
            let set: u32 = all.iter().map(|byte| byte.count_ones()).sum();
            assert_eq!(set, u32::from(length));
            let last = usize::from(length - 1);
            assert_eq!(all[last / 8] >> (last % 8), 1, "the last bit is set, and none behind it");
        }
    }
}
