//! How much of a log is of which resource manager.

use pgwal::RmgrId;

/// Records and their bytes by resource manager.
#[derive(Debug, Clone)]
pub struct RmgrCounts([(u64, u64); 256]);

impl Default for RmgrCounts {
    fn default() -> Self {
        Self([(0, 0); 256])
    }
}

impl RmgrCounts {
    /// Counts a record of so many bytes.
    pub(crate) fn count(&mut self, rmgr: RmgrId, bytes: u32) {
        let (records, total) = &mut self.0[usize::from(rmgr.get())];
        *records += 1;
        *total += u64::from(bytes);
    }

    /// Records and bytes of each resource manager that has any, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (RmgrId, u64, u64)> {
        let each = (0..=u8::MAX).map(RmgrId::new).zip(&self.0);
        each.filter(|(_, (records, _))| *records > 0).map(|(rmgr, (records, bytes))| (rmgr, *records, *bytes))
    }
}
