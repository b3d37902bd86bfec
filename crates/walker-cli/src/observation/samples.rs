//! Observations that tests are made of.

use super::{Holder, Horizon, Observation, Part, Plugin, ResourceManager, Server, Table};

/// A server with some tables, `seconds` after the first look.
pub(crate) fn observation(seconds: i64, tables: &[(&str, i64)]) -> Observation {
    let table = |(id, (name, dead)): (u32, &(&str, i64))| Table {
        id,
        name: (*name).to_owned(),
        blocks: Some(1280),
        known_blocks: Some(1280),
        live_tuples: Some(9 * dead),
        dead_tuples: Some(*dead),
        dead_bytes: Some(100 * dead),
        removable_tuples: Some(dead / 2),
        dead_per_minute: Some(12.0),
        seconds_since_vacuum: Some(7200.0),
        exact: Some(true),
        ..Table::default()
    };
    let rmgr = |id: i32, name: &str, bytes: i64| ResourceManager { id, name: name.into(), records: bytes / 50, bytes };
    Observation {
        server: Server {
            time: jiff::Timestamp::from_second(1_800_000_000 + seconds).unwrap(),
            version: "15.4".into(),
            database: "shop".into(),
            in_recovery: false,
            lsn: pgwal::Lsn::new(0x0100_0000 + seconds.unsigned_abs() * 1_048_576),
        },
        plugins: Part::Rows(vec![Plugin {
            name: "garbagemap".into(),
            process_id: Some(42),
            state: "running".into(),
            applied_lsn: Some("0/1000000".into()),
            flushed_lsn: Some("0/1000000".into()),
            lag_bytes: Some(0),
            lag_seconds: Some(0.0),
            records: 1000,
            bytes: 50_000,
            records_per_second: Some(1234.0),
            total_time: 1.0,
            failures: 0,
            last_error: None,
            wal_kept: Some(true),
        }]),
        resource_managers: Part::Rows(vec![
            rmgr(10, "Heap", 100_000 * (seconds + 1)),
            rmgr(11, "Btree", 30_000 * (seconds + 1)),
            rmgr(0, "XLOG", 500),
        ]),
        tables: Part::Rows((1..).zip(tables).map(table).collect()),
        holders: Part::Rows(vec![Holder {
            horizon: Horizon::Data,
            name: "backend 4711 (idle in transaction)".into(),
            xmin_age: 12_345,
        }]),
    }
}
