//! What the worker counts, in shared memory: the views `pg_stat_walker` and `pg_stat_walker_rmgr` show it.

use std::time::SystemTime;

use pgrx::pg_sys;
use pgwal::{Lsn, RmgrId};
pub(crate) use walker_core::PluginReport;
use walker_core::Statistics;

use crate::shared_memory::Shared;

pub(crate) static STATISTICS: Shared<Statistics> =
    Shared::new(c"walker_statistics", || Statistics::new(SystemTime::now()));

/// The worker tells how far it is and what it has counted since it told so last: see [`Statistics::report`].
pub(crate) fn report(received: Lsn, plugins: &[PluginReport<'_>], rmgrs: &[(RmgrId, u64, u64)]) {
    let now = SystemTime::now();
    // SAFETY: this process's number, which stays the same.
    let reporter = unsafe { pg_sys::MyProcPid };
    STATISTICS.write(|statistics| statistics.report(now, reporter, received, plugins, rmgrs));
}
