//! What some blocks have together, and its fields by number.

use serde::{Deserialize, Serialize};

use crate::page::Counts;

/// Sums over some blocks of a range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub(crate) tuples: u32,
    pub(crate) dead_tuples: u32,
    pub(crate) dead_bytes: u32,
    pub(crate) lp_dead: u32,
    pub(crate) redirects: u32,
    pub(crate) free_space: u32,
}

impl Sums {
    pub(crate) const FIELDS: usize = 6;

    pub(crate) fn from_array(
        [tuples, dead_tuples, dead_bytes, lp_dead, redirects, free_space]: [u32; Self::FIELDS],
    ) -> Self {
        Self { tuples, dead_tuples, dead_bytes, lp_dead, redirects, free_space }
    }

    pub(crate) fn to_array(self) -> [u32; Self::FIELDS] {
        let Self { tuples, dead_tuples, dead_bytes, lp_dead, redirects, free_space } = self;
        [tuples, dead_tuples, dead_bytes, lp_dead, redirects, free_space]
    }

    /// The numbers of one block; each block has less than 65,536 of anything, and there are few blocks.
    pub(crate) fn add(&mut self, counts: &Counts) {
        let counts = fields(counts).map(u32::from);
        let sums = self.to_array();
        *self = Self::from_array(std::array::from_fn(|field| sums[field].saturating_add(counts[field])));
    }

    pub(crate) fn field_mut(&mut self, field: usize) -> &mut u32 {
        let Self { tuples, dead_tuples, dead_bytes, lp_dead, redirects, free_space } = self;
        [tuples, dead_tuples, dead_bytes, lp_dead, redirects, free_space][field]
    }

    /// What `part` of `whole` blocks have, if each has the same.
    pub(crate) fn portion(self, part: u16, whole: u16) -> Self {
        let portion = |sum: u32| u64::from(sum) * u64::from(part) / u64::from(whole.max(1));
        Self::from_array(self.to_array().map(|sum| portion(sum) as u32))
    }

    /// What the block at `index` of `whole` has, if each has the same: all together have the sums.
    pub(crate) fn share(self, index: u16, whole: u16) -> Counts {
        let (before, with) = (self.portion(index, whole).to_array(), self.portion(index + 1, whole).to_array());
        from_fields(std::array::from_fn(|field| u16::try_from(with[field] - before[field]).unwrap_or(u16::MAX)))
    }
}

/// The fields of [`Sums`], for a block.
pub(crate) fn fields(counts: &Counts) -> [u16; Sums::FIELDS] {
    let Counts { tuples, dead_tuples, dead_bytes, lp_dead, redirects, free_space } = *counts;
    [tuples, dead_tuples, dead_bytes, lp_dead, redirects, free_space]
}

/// A field of [`Sums`], for a block, by its place.
pub(crate) fn field_mut(counts: &mut Counts, field: usize) -> &mut u16 {
    let Counts { tuples, dead_tuples, dead_bytes, lp_dead, redirects, free_space } = counts;
    match field {
        0 => tuples,
        1 => dead_tuples,
        2 => dead_bytes,
        3 => lp_dead,
        4 => redirects,
        _ => free_space,
    }
}

/// What [`fields`] were taken from.
pub(crate) fn from_fields(
    [tuples, dead_tuples, dead_bytes, lp_dead, redirects, free_space]: [u16; Sums::FIELDS],
) -> Counts {
    Counts { tuples, dead_tuples, dead_bytes, lp_dead, redirects, free_space }
}

/// Whether the block has anything but tuples and free bytes.
pub(crate) fn has_garbage(counts: &Counts) -> bool {
    Counts { tuples: 0, free_space: 0, ..*counts } != Counts::default()
}
