//! From which server something was made, and when: for those who find the file later.

use ::heatmap::Origin;
use anyhow::Result;
use postgres::Client;

use crate::summary::explain;

/// Asks the server.
pub(crate) fn read(client: &mut Client) -> Result<Origin> {
    let row = client.query_one(
        "SELECT pg_catalog.concat_ws(' ', nullif(pg_catalog.current_setting('cluster_name'), ''),
                    coalesce(pg_catalog.host(pg_catalog.inet_server_addr()) || ':' || pg_catalog.inet_server_port(),
                             'local socket, port ' || pg_catalog.current_setting('port')))
                || ' (PostgreSQL ' || pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1) || ')',
                pg_catalog.current_database()::pg_catalog.text,
                pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'",
        &[],
    );
    let row = row.map_err(explain)?;
    Ok(Origin { server: row.try_get(0)?, database: row.try_get(1)?, time: row.try_get(2)? })
}
