//! Sets of blocks of one range.

use serde::{Deserialize, Serialize};

/// Blocks of a range: 8 MB of a table, few enough that their numbers are alike.
pub(crate) const RANGE_BLOCKS: u16 = 1024;
const WORD_BITS: u16 = 64;
const WORDS: usize = (RANGE_BLOCKS / WORD_BITS) as usize;

/// A set of places in a range, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Places([u64; WORDS]);

impl Places {
    pub(crate) const EMPTY: Self = Self([0; WORDS]);

    fn at(place: u16) -> (usize, u64) {
        let place = place % RANGE_BLOCKS;
        (usize::from(place / WORD_BITS), 1 << (place % WORD_BITS))
    }

    /// Those before `end`.
    pub(crate) fn before(end: u16) -> Self {
        let mut places = Self::EMPTY;
        for (index, word) in places.0.iter_mut().enumerate() {
            let bits = usize::from(end).saturating_sub(index * usize::from(WORD_BITS));
            *word = if bits >= usize::from(WORD_BITS) { u64::MAX } else { (1 << bits) - 1 };
        }
        places
    }

    pub(crate) fn insert(&mut self, place: u16) {
        let (word, bit) = Self::at(place);
        self.0[word] |= bit;
    }

    pub(crate) fn remove(&mut self, place: u16) {
        let (word, bit) = Self::at(place);
        self.0[word] &= !bit;
    }

    pub(crate) fn contains(&self, place: u16) -> bool {
        let (word, bit) = Self::at(place);
        self.0[word] & bit != 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    pub(crate) fn len(&self) -> u16 {
        self.0.iter().map(|word| word.count_ones() as u16).sum()
    }

    /// How many there are from `begin` on and before `end`.
    pub(crate) fn count_between(&self, begin: u16, end: u16) -> u16 {
        let (first, last) = (begin / WORD_BITS, end.div_ceil(WORD_BITS).min(RANGE_BLOCKS / WORD_BITS));
        let count = (first..last).map(|index| {
            let start = index * WORD_BITS;
            let after = u64::MAX << begin.saturating_sub(start);
            let rest = (start + WORD_BITS).saturating_sub(end);
            (self.0[usize::from(index)] & after & (u64::MAX >> rest)).count_ones() as u16
        });
        count.sum()
    }

    /// Ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().zip(0u16..).flat_map(|(word, index)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as u16;
                word &= word.wrapping_sub(1);
                (bit < WORD_BITS).then_some(index * WORD_BITS + bit)
            })
        })
    }

    fn zip(&self, other: &Self, operation: fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|word| operation(self.0[word], other.0[word])))
    }

    pub(crate) fn and(&self, other: &Self) -> Self {
        self.zip(other, |one, other| one & other)
    }

    pub(crate) fn or(&self, other: &Self) -> Self {
        self.zip(other, |one, other| one | other)
    }

    pub(crate) fn without(&self, other: &Self) -> Self {
        self.zip(other, |one, other| one & !other)
    }

    /// The bits, 64 in a word, the lowest place first.
    pub(crate) fn words(&self) -> &[u64] {
        &self.0
    }

    /// The words from which a set is made.
    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }
}

impl FromIterator<u16> for Places {
    fn from_iter<I: IntoIterator<Item = u16>>(places: I) -> Self {
        let mut set = Self::EMPTY;
        places.into_iter().for_each(|place| set.insert(place));
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn does_what_a_set_does(
            one in proptest::collection::btree_set(0..RANGE_BLOCKS, 0..200),
            other in proptest::collection::btree_set(0..RANGE_BLOCKS, 0..200),
            begin in 0..RANGE_BLOCKS,
            end in 0..=RANGE_BLOCKS,
        ) {
            let (a, b): (Places, Places) = (one.iter().copied().collect(), other.iter().copied().collect());
            let list = |places: Places| places.iter().collect::<BTreeSet<u16>>();
            prop_assert_eq!(&list(a), &one);
            prop_assert_eq!(usize::from(a.len()), one.len());
            prop_assert_eq!(a.is_empty(), one.is_empty());
            prop_assert_eq!(list(a.and(&b)), &one & &other);
            prop_assert_eq!(list(a.or(&b)), &one | &other);
            prop_assert_eq!(list(a.without(&b)), &one - &other);
            if begin < end {
                prop_assert_eq!(usize::from(a.count_between(begin, end)), one.range(begin..end).count());
            }
            prop_assert_eq!(list(Places::before(end)), (0..end).collect());
            prop_assert!((0..RANGE_BLOCKS).all(|place| a.contains(place) == one.contains(&place)));
        }
    }
}
