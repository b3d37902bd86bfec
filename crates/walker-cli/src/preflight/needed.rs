//! Which custom resource managers the records of a log belong to.

use std::collections::BTreeMap;

use anyhow::Result;
use pgwal::{Lsn, RawRecord, RmgrId};

use crate::scan::{Report, VisitError, Visitor};

/// The records of one resource manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) count: u64,
    /// Where the first one begins.
    pub(super) first: Lsn,
    /// Where the last one begins.
    pub(super) last: Lsn,
}

/// The custom resource managers whose records were seen.
#[derive(Debug, Default)]
pub(super) struct Needed {
    pub(super) of: BTreeMap<RmgrId, Records>,
    /// Records of all resource managers.
    pub(super) records: u64,
}

impl Visitor for Needed {
    #[inline(always)] // There is one loop.
    fn visit(&mut self, record: &RawRecord<'_>) -> Result<(), VisitError> {
        self.records += 1;
        let rmgr = record.header.rmgr;
        if rmgr.is_custom() {
            self.add(rmgr, Records { count: 1, first: record.lsn, last: record.lsn });
        }
        Ok(())
    }
}

impl Needed {
    /// Adds records that follow.
    fn add(&mut self, rmgr: RmgrId, later: Records) {
        let known = self.of.entry(rmgr).or_insert(Records { count: 0, ..later });
        known.count += later.count;
        known.last = later.last;
    }
}

impl Report for Needed {
    type Part = Self;
    const LARGEST_PART: u64 = 16 << 20;

    fn parts(&self) -> Option<impl Fn() -> Self + Sync + use<>> {
        Some(Self::default)
    }

    fn join(&mut self, part: Self) -> Result<()> {
        self.records += part.records;
        part.of.into_iter().for_each(|(rmgr, records)| self.add(rmgr, records));
        Ok(())
    }

    fn pause(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_in_their_order() {
        let part = |count, first, last| {
            let records = Records { count, first: Lsn::new(first), last: Lsn::new(last) };
            Needed { of: [(RmgrId::new(128), records)].into(), records: 10 }
        };
        let mut needed = Needed::default();
        needed.join(part(2, 100, 200)).unwrap();
        needed.join(part(1, 300, 300)).unwrap();
        assert_eq!(needed.records, 20);
        let expected = Records { count: 3, first: Lsn::new(100), last: Lsn::new(300) };
        assert_eq!(needed.of[&RmgrId::new(128)], expected);
    }
}
