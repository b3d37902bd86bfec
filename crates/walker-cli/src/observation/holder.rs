//! Who holds back the removal of dead tuples: the function `garbagemap_horizon`.

use postgres::Client;
use schemars::JsonSchema;
use serde::Serialize;

/// Of which tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Horizon {
    /// Shared catalogs.
    Shared,
    /// The database's catalogs.
    Catalog,
    /// All others.
    Data,
}

/// Who holds back most.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Holder {
    pub(crate) horizon: Horizon,
    pub(crate) name: String,
    /// How many transactions have begun since.
    pub(crate) xmin_age: i32,
}

pub(super) fn read(client: &mut Client, schema: &str) -> Result<Vec<Holder>, postgres::Error> {
    let sql = format!("SELECT horizon, held_back_by, xmin_age FROM {schema}.garbagemap_horizon()");
    let holder = |row: &postgres::Row| {
        let horizon = match row.try_get::<_, &str>(0)? {
            "shared" => Horizon::Shared,
            "catalog" => Horizon::Catalog,
            _ => Horizon::Data,
        };
        Ok(Holder { horizon, name: row.try_get(1)?, xmin_age: row.try_get(2)? })
    };
    client.query(&sql, &[])?.iter().map(holder).collect()
}
