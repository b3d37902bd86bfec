//! The relation that a question is about.

use pgrx::pg_sys;
use pgrx::{PgRelation, PgSqlErrorCode};
use pgxlog::raise;

use crate::rights;

/// Why nothing is known of such tables.
pub(crate) const UNLOGGED: &str = "unlogged and temporary tables are not in the WAL";

/// Where a table is, and how large.
#[derive(Debug)]
pub(crate) struct Target {
    /// Tablespace, database, file number.
    pub(crate) locator: (u32, u32, u32),
    /// Size of the main fork in blocks.
    pub(crate) blocks: u32,
    /// Whether its changes are in the WAL at all.
    pub(crate) logged: bool,
}

impl Target {
    /// Opens the table, sharing it with readers and writers, and looks where it is.
    ///
    /// # Panics
    /// With a PostgreSQL ERROR if there is no such relation, it is not a table of access method heap, or the user may not
    /// ask for it.
    pub(crate) fn of(table: pg_sys::Oid) -> Self {
        // SAFETY: opens by OID with a lock, closed when dropped; an unknown OID is an ERROR.
        let relation = unsafe { PgRelation::with_lock(table, pg_sys::AccessShareLock as pg_sys::LOCKMODE) };
        // SAFETY: an open relation has its entry of pg_class.
        let class = unsafe { &*relation.rd_rel };
        let name = relation.name();
        match class.relkind as u8 {
            pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW | pg_sys::RELKIND_TOASTVALUE => {}
            pg_sys::RELKIND_PARTITIONED_TABLE => raise(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                format!("\"{name}\" is a partitioned table and has no blocks of its own"),
                Some("Ask for its partitions."),
            ),
            _ => raise(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                format!("\"{name}\" is not a table, materialized view or TOAST table"),
                None,
            ),
        }
        if class.relam != pg_sys::HEAP_TABLE_AM_OID {
            let message = format!("\"{name}\" is not stored by access method heap");
            raise(PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, message, None);
        }
        rights::check(&relation);
        let logged = class.relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT;
        let temporary = class.relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP;
        // SAFETY: looks at the server's state.
        let blocks = if temporary || !logged && unsafe { pg_sys::RecoveryInProgress() } {
            // Of another session's temporary table not even the size can be asked for; of an unlogged one a standby has no
            // file.
            0
        } else {
            let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
            // SAFETY: the relation is open.
            unsafe { pg_sys::RelationGetNumberOfBlocksInFork(relation.as_ptr(), fork) }
        };
        Self { locator: locator(&relation), blocks, logged }
    }
}

#[cfg(feature = "pg15")]
fn locator(relation: &PgRelation) -> (u32, u32, u32) {
    let node = &relation.rd_node;
    (node.spcNode.to_u32(), node.dbNode.to_u32(), node.relNode.to_u32())
}

#[cfg(not(feature = "pg15"))]
fn locator(relation: &PgRelation) -> (u32, u32, u32) {
    let locator = &relation.rd_locator;
    (locator.spcOid.to_u32(), locator.dbOid.to_u32(), locator.relNumber.to_u32())
}
