//! Number and size of records.

use std::ops::AddAssign;

/// Number and size of some records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// How many.
    pub(super) count: u64,
    /// Bytes without images.
    pub(super) record_size: u64,
    /// Bytes of images.
    pub(super) fpi_size: u64,
}

impl Counts {
    /// Bytes of all.
    pub(super) const fn combined_size(self) -> u64 {
        self.record_size + self.fpi_size
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.record_size += other.record_size;
        self.fpi_size += other.fpi_size;
    }
}

/// [`Counts`] of a part of the log, with the number of its images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) counts: Counts,
    /// How many images.
    pub(super) fpi_count: u64,
}

impl Share {
    /// Without the number of images.
    pub(super) const fn of(counts: Counts) -> Self {
        Self { counts, fpi_count: 0 }
    }
}

impl AddAssign for Share {
    fn add_assign(&mut self, other: Self) {
        self.counts += other.counts;
        self.fpi_count += other.fpi_count;
    }
}

/// Zero if there is nothing to be a part of.
#[allow(clippy::cast_precision_loss, reason = "as in PostgreSQL: the result is rounded to two digits")]
pub(super) fn percentage(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}
