//! Where an extension is.

use postgres::Client;

/// An extension, if the database has it.
#[derive(Debug)]
pub(crate) struct Extension {
    pub(crate) name: &'static str,
    /// Its schema, quoted where it must be.
    pub(crate) schema: Option<String>,
}

impl Extension {
    /// Looks for it in the database.
    pub(crate) fn find(client: &mut Client, name: &'static str) -> Result<Self, postgres::Error> {
        let row = client.query_opt(
            "SELECT pg_catalog.quote_ident(nspname)
               FROM pg_catalog.pg_extension JOIN pg_catalog.pg_namespace ON pg_namespace.oid = extnamespace
              WHERE extname = $1",
            &[&name],
        )?;
        Ok(Self { name, schema: row.map(|row| row.try_get(0)).transpose()? })
    }
}
