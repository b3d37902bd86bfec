//! The server itself.

use std::fmt;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use pgwal::Lsn;
use postgres::Client;
use schemars::JsonSchema;
use serde::Serialize;

/// What every server tells everybody.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Server {
    /// The server's clock.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub(crate) time: Timestamp,
    /// `15.4 (Debian ...)`.
    pub(crate) version: String,
    pub(crate) database: String,
    pub(crate) in_recovery: bool,
    /// The end of the log: what was inserted, or on a standby replayed.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub(crate) lsn: Lsn,
}

fn as_text<S: serde::Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Server {
    /// Asks for it.
    pub(super) fn read(client: &mut Client) -> Result<Self> {
        let row = client.query_one(
            "SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()),
                    pg_catalog.current_setting('server_version'),
                    pg_catalog.current_database()::pg_catalog.text,
                    pg_catalog.pg_is_in_recovery(),
                    CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                         ELSE pg_catalog.pg_current_wal_insert_lsn() END::pg_catalog.text",
            &[],
        )?;
        let seconds: f64 = row.try_get(0)?;
        let lsn: Option<String> = row.try_get(4)?;
        #[allow(clippy::cast_possible_truncation, reason = "milliseconds of any date fit")]
        Ok(Self {
            time: Timestamp::from_millisecond((seconds * 1000.0) as i64).context("the server's clock is wrong")?,
            version: row.try_get(1)?,
            database: row.try_get(2)?,
            in_recovery: row.try_get(3)?,
            lsn: lsn.as_deref().unwrap_or("0/0").parse().context("the server's position is no LSN")?,
        })
    }
}
