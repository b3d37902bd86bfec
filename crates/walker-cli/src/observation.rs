//! What a server says of its worker, its plugins, its tables and who holds back vacuum, at one moment.

mod change;
mod holder;
mod plugin;
mod resource_manager;
#[cfg(test)]
pub(crate) mod samples;
mod server;
mod table;

use anyhow::Result;
use postgres::Client;
use postgres::error::{Severity, SqlState};
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use change::{Change, Rate};
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
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Part<T> {
    Rows(Vec<T>),
    /// Why there are none, and what can be done.
    Missing {
        missing: String,
    },
}

impl<T> Part<T> {
    /// The same with something made of each row.
    pub(crate) fn map<'p, U>(&'p self, make: impl FnMut(&'p T) -> U) -> Part<U> {
        match self {
            Self::Rows(rows) => Part::Rows(rows.iter().map(make).collect()),
            Self::Missing { missing } => Part::Missing { missing: missing.clone() },
        }
    }

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
            // Where the server ends the connection, all of it is missing.
            Some(server_error)
                if !matches!(server_error.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) =>
            {
                let own = (*server_error.code() == SqlState::INSUFFICIENT_PRIVILEGE)
                    .then_some("members of pg_monitor are told");
                let hint = server_error.hint().or(own).map(|hint| format!("; {hint}")).unwrap_or_default();
                Ok(Part::Missing { missing: server_message(&error) + &hint })
            }
            _ => Err(error.into()),
        },
    }
}
