//! What the worker has read of each resource manager: the view `pg_stat_walker_rmgr`.

use postgres::Client;
use schemars::JsonSchema;
use serde::Serialize;

/// One resource manager.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ResourceManager {
    pub(crate) id: i32,
    pub(crate) name: String,
    pub(crate) records: i64,
    pub(crate) bytes: i64,
}

pub(super) fn read(client: &mut Client, schema: &str) -> Result<Vec<ResourceManager>, postgres::Error> {
    let sql = format!("SELECT rm_id, rm_name, records, bytes FROM {schema}.pg_stat_walker_rmgr");
    let resource_manager = |row: &postgres::Row| {
        Ok(ResourceManager {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            records: row.try_get(2)?,
            bytes: row.try_get(3)?,
        })
    };
    client.query(&sql, &[])?.iter().map(resource_manager).collect()
}
