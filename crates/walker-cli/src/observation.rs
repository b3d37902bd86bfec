//! What a server says of its worker, its plugins, its tables and who holds back vacuum, at one moment.

mod holder;
mod plugin;
mod resource_manager;
mod server;
mod table;

use anyhow::Result;
use postgres::Client;
use postgres::error::SqlState;
use serde::Serialize;

pub(crate) use holder::{Holder, Horizon};
pub(crate) use plugin::Plugin;
pub(crate) use resource_manager::ResourceManager;
pub(crate) use server::Server;
pub(crate) use table::Table;

use crate::connection::server_message;
use crate::extension::Extension;

/// One moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Observation {
    pub(crate) server: Server,
    /// In the order of `walker.plugins`.
    pub(crate) plugins: Part<Plugin>,
    pub(crate) resource_managers: Part<ResourceManager>,
    /// Those of the database, in no order.
    pub(crate) tables: Part<Table>,
    pub(crate) holders: Part<Holder>,
}

/// What can be had on its own: a server may have one extension and not the other, and a user may see one and not the other.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Part<T> {
    Rows(Vec<T>),
    /// Why there are none, and what can be done.
    Missing {
        missing: String,
    },
}

impl<T> Part<T> {
    /// What there is.
    pub(crate) fn rows(&self) -> &[T] {
        match self {
            Self::Rows(rows) => rows,
            Self::Missing { .. } => &[],
        }
    }

    /// Why there is nothing.
    pub(crate) fn missing(&self) -> Option<&str> {
        match self {
            Self::Rows(_) => None,
            Self::Missing { missing } => Some(missing),
        }
    }
}

impl Observation {
    /// Asks the server.
    ///
    /// An error is one of the connection; what the server refuses is said in the part that is missing.
    pub(crate) fn take(client: &mut Client) -> Result<Self> {
        let server = Server::read(client)?;
        let walker = Extension::find(client, "walker")?;
        let garbagemap = Extension::find(client, "garbagemap")?;
        Ok(Self {
            server,
            plugins: part(client, &walker, plugin::read)?,
            resource_managers: part(client, &walker, resource_manager::read)?,
            tables: part(client, &garbagemap, table::read)?,
            holders: part(client, &garbagemap, holder::read)?,
        })
    }
}

/// Reads a part from the schema of its extension.
fn part<T>(
    client: &mut Client,
    extension: &Extension,
    read: impl FnOnce(&mut Client, &str) -> Result<Vec<T>, postgres::Error>,
) -> Result<Part<T>> {
    let Some(schema) = &extension.schema else {
        let missing = format!("run CREATE EXTENSION {} in this database", extension.name);
        return Ok(Part::Missing { missing });
    };
    match read(client, schema) {
        Ok(rows) => Ok(Part::Rows(rows)),
        Err(error) => match error.as_db_error() {
            Some(server_error) => {
                let own = (*server_error.code() == SqlState::INSUFFICIENT_PRIVILEGE)
                    .then_some("members of pg_monitor are told");
                let hint = server_error.hint().or(own).map(|hint| format!("; {hint}")).unwrap_or_default();
                Ok(Part::Missing { missing: server_message(&error) + &hint })
            }
            None => Err(error.into()),
        },
    }
}
