//! How much of a log is of which resource manager.

use pgwal::RmgrId;

use crate::statistics::RmgrCounts;

/// Records and their bytes by resource manager.
#[derive(Debug, Clone)]
pub struct CountsByRmgr([RmgrCounts; 256]);

impl Default for CountsByRmgr {
    fn default() -> Self {
        Self([RmgrCounts::default(); 256])
    }
}

impl CountsByRmgr {
    /// Counts a record of so many bytes.
    pub(crate) fn count(&mut self, rmgr: RmgrId, bytes: u32) {
        let counts = &mut self.0[usize::from(rmgr.get())];
        counts.records += 1;
        counts.bytes += u64::from(bytes);
    }

    /// Records and bytes of each resource manager that has any, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (RmgrId, u64, u64)> {
        let each = (0..=u8::MAX).map(RmgrId::new).zip(&self.0);
        each.filter(|(_, counts)| counts.records > 0).map(|(rmgr, counts)| (rmgr, counts.records, counts.bytes))
    }
}
