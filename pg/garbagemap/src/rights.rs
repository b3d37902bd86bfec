//! Who may ask for a table: its owner, and who may ask for all by pgstattuple.
//!
//! Sources: `src/backend/catalog/aclchk.c`: `object_ownercheck`, `aclcheck_error`; `contrib/pgstattuple`.

use pgrx::pg_sys;
use pgrx::{PgRelation, PgSqlErrorCode};
use pgxlog::raise;

/// Whether the current user may ask for all tables.
pub(crate) fn may_see_all() -> bool {
    // SAFETY: looks into the system caches, in a transaction.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(pg_sys::ROLE_PG_STAT_SCAN_TABLES)) }
}

/// Whether the current user owns the relation, which must be there.
pub(crate) fn owns(relation: pg_sys::Oid) -> bool {
    // SAFETY: as above; a relation that is not there is an ERROR.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_class_ownercheck(relation, pg_sys::GetUserId());
        #[cfg(not(feature = "pg15"))]
        pg_sys::object_ownercheck(pg_sys::Oid::from(pg_sys::RelationRelationId), relation, pg_sys::GetUserId())
    }
}

/// Refuses who may not ask for this table.
///
/// # Panics
/// With a PostgreSQL ERROR then.
pub(crate) fn check(relation: &PgRelation) {
    if may_see_all() || owns(relation.oid()) {
        return;
    }
    // SAFETY: an open relation has its entry of pg_class.
    let kind = unsafe { (*relation.rd_rel).relkind } as u8;
    let what = if kind == pg_sys::RELKIND_MATVIEW { "materialized view" } else { "table" };
    let message = format!("must be owner of {what} {}", relation.name());
    let hint = "Members of pg_stat_scan_tables may ask for all tables.";
    raise(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, message, Some(hint))
}
