//! Who takes records one after another.

use std::ops::ControlFlow;

use crate::raw_record::RawRecord;

/// Somebody who takes records: a closure, or a type of its own where every instruction for each record counts, since
/// only a method can be told to become a part of the loop (`#[inline(always)]`).
pub trait Visit {
    /// Takes a record, and says whether there shall be more.
    fn visit(&mut self, record: &RawRecord<'_>) -> ControlFlow<()>;
}

impl<F: FnMut(&RawRecord<'_>) -> ControlFlow<()>> Visit for F {
    #[inline(always)]
    fn visit(&mut self, record: &RawRecord<'_>) -> ControlFlow<()> {
        self(record)
    }
}
