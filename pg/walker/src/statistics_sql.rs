//! The functions behind the views `pg_stat_walker` and `pg_stat_walker_rmgr`, and `pg_stat_walker_reset`; their
//! declarations are in `walker--0.1.0.sql`.

use std::ffi::CStr;
use std::time::{Duration, SystemTime};

use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgwal::{Lsn, RmgrId, Timestamp};
use pgxlog::server_log;
use walker_core::PluginStatistics;

use crate::mailbox;
use crate::statistics::STATISTICS;

/// A `pg_lsn`, and a `timestamptz`: pgrx has no type for the one and a larger one for the other, but both are eight bytes
/// by value as `bigint` is.
type PgLsn = i64;
type TimestampTz = i64;

// In pgrx this is an array without elements.
unsafe extern "C" {
    #[link_name = "RmgrTable"]
    static RMGR_TABLE: [pg_sys::RmgrData; 256];
}

/// One row for each plugin, in the order of `walker.plugins`.
#[pg_extern(sql = "", volatile)]
#[allow(clippy::type_complexity)]
fn pg_stat_get_walker() -> TableIterator<
    'static,
    (
        name!(plugin, String),
        name!(pid, Option<i32>),
        name!(state, String),
        name!(received_lsn, Option<PgLsn>),
        name!(applied_lsn, Option<PgLsn>),
        name!(flushed_lsn, Option<PgLsn>),
        name!(lag_bytes, Option<i64>),
        name!(lag, Option<Interval>),
        name!(records, i64),
        name!(bytes, i64),
        name!(records_per_second, Option<f64>),
        name!(total_time, f64),
        name!(failures, i64),
        name!(last_error, Option<String>),
        name!(last_error_time, Option<TimestampTz>),
        name!(retry_time, Option<TimestampTz>),
        name!(wal_kept, bool),
        name!(stats_reset, Option<TimestampTz>),
    ),
> {
    let read = STATISTICS.read(|statistics| {
        let plugins = statistics.plugins().to_vec();
        (plugins, statistics.reporter(), statistics.received(), statistics.reset_at())
    });
    let (plugins, reporter, received, reset_at) = read.unwrap_or_else(|| mailbox::not_preloaded());
    let worker = mailbox::worker_pid();
    // The end after the positions, so that none is beyond it.
    let ((end, _), now) = (server_log::durable(), SystemTime::now());
    TableIterator::new(plugins.into_iter().map(move |plugin| {
        let applied = plugin.applied.is_valid().then_some(plugin.applied);
        let (last_error, last_error_time) = plugin.last_error().unzip();
        (
            plugin.name().to_owned(),
            worker,
            state(&plugin, worker, reporter),
            pg_lsn(received),
            pg_lsn(plugin.applied),
            pg_lsn(plugin.flushed),
            applied.map(|applied| bigint(end.get().saturating_sub(applied.get()))),
            plugin.lag(end, now).map(interval),
            bigint(plugin.records),
            bigint(plugin.bytes),
            plugin.records_per_second(now),
            plugin.busy().as_secs_f64() * 1e3,
            bigint(plugin.failures),
            last_error.map(str::to_owned),
            last_error_time.map(Timestamp::get),
            plugin.retry_at().map(Timestamp::get),
            plugin.wal_kept,
            reset_at.map(Timestamp::get),
        )
    }))
}

/// What a plugin is doing, which the worker cannot tell while there is none.
fn state(plugin: &PluginStatistics, worker: Option<i32>, reporter: i32) -> String {
    match worker {
        None => "stopped".to_owned(),
        // A new worker, which has not reported yet.
        Some(worker) if worker != reporter => walker_core::PluginState::Starting.to_string(),
        Some(_) => plugin.state.to_string(),
    }
}

/// One row for each resource manager of which the worker has read records.
#[pg_extern(sql = "", volatile)]
fn pg_stat_get_walker_rmgr()
-> TableIterator<'static, (name!(rm_id, i32), name!(rm_name, String), name!(records, i64), name!(bytes, i64))> {
    let read = STATISTICS.read(|statistics| statistics.rmgrs().collect::<Vec<_>>());
    let rmgrs = read.unwrap_or_else(|| mailbox::not_preloaded());
    TableIterator::new(
        rmgrs.into_iter().map(|(rmgr, counts)| {
            (i32::from(rmgr.get()), rmgr_name(rmgr), bigint(counts.records), bigint(counts.bytes))
        }),
    )
}

/// The name that `pg_waldump` shows, and that by which a custom one was registered.
fn rmgr_name(rmgr: RmgrId) -> String {
    // SAFETY: the server's table of 256 entries, which does not change after preloading; names are C strings or null.
    let registered = unsafe {
        let name = RMGR_TABLE[usize::from(rmgr.get())].rm_name;
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    };
    registered.unwrap_or_else(|| rmgr.to_string())
}

/// Counts begin anew.
#[pg_extern(sql = "", volatile)]
fn pg_stat_walker_reset() {
    let now = SystemTime::now();
    STATISTICS.write(|statistics| statistics.reset(now)).unwrap_or_else(|| mailbox::not_preloaded());
}

fn pg_lsn(lsn: Lsn) -> Option<PgLsn> {
    lsn.is_valid().then(|| lsn.get().cast_signed())
}

fn bigint(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn interval(duration: Duration) -> Interval {
    Interval::from_micros(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}
