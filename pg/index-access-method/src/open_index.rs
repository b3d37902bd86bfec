//! Indexes that functions of SQL open by their number.

use pgrx::{PgRelation, PgSqlErrorCode, pg_sys};
use pgwal::Oid;

use crate::error::IndexError;
use crate::index::Index;
use crate::method::IndexAccessMethod;

/// What is to be done with an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To look at it, which its owner may, and who is a member of `pg_stat_scan_tables`.
    Read,
    /// To change it, which its owner may, and nobody on a standby. Others can insert meanwhile.
    Write,
}

/// Opens an index of an access method, with the lock that the access needs (`index_open`), for as long as `call` takes. Raises
/// an ERROR if there is no relation of this number.
///
/// # Errors
/// What `call` returns; and if it is not such an index, if its blocks cannot be read here, or if the user may not.
pub fn with_open_index<M: IndexAccessMethod, T>(
    index: Oid,
    access: Access,
    call: impl FnOnce(Index<'_>) -> Result<T, IndexError>,
) -> Result<T, IndexError> {
    let relation = open::<M>(index, access)?;
    // SAFETY: open until `call` has returned; its access method is one of this crate's.
    call(unsafe { Index::from_raw(relation.as_ptr()) })
}

fn open<M: IndexAccessMethod>(index: Oid, access: Access) -> Result<PgRelation, IndexError> {
    let lock = match access {
        Access::Read => pg_sys::AccessShareLock,
        Access::Write => pg_sys::RowExclusiveLock,
    };
    // SAFETY: looks at the server's state.
    let in_recovery = unsafe { pg_sys::RecoveryInProgress() };
    if in_recovery && access == Access::Write {
        let code = PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        return Err(IndexError::new(code, "recovery is in progress").with_hint("Indexes cannot be changed then."));
    }
    // SAFETY: opens by OID with a lock, closed when dropped; an unknown OID is an ERROR.
    let relation = unsafe { PgRelation::with_lock(pg_sys::Oid::from(index.get()), lock as pg_sys::LOCKMODE) };
    let name = relation.name().to_owned();
    // SAFETY: an open relation has its row of pg_class.
    let class = unsafe { &*relation.rd_rel };
    if class.relkind as u8 != pg_sys::RELKIND_INDEX || class.relam != access_method::<M>() {
        let message = format!("\"{name}\" is not an index of access method {}", M::NAME);
        return Err(IndexError::new(PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE, message));
    }
    if !(owns(&relation) || access == Access::Read && may_read_all()) {
        let message = format!("must be owner of index {name}");
        return Err(IndexError::new(PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, message));
    }
    let is_temporary = class.relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP;
    if is_temporary && !relation.rd_islocaltemp {
        let message = "cannot access temporary indexes of other sessions";
        return Err(IndexError::new(PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, message));
    }
    if in_recovery && class.relpersistence as u8 == pg_sys::RELPERSISTENCE_UNLOGGED {
        let message = "cannot access temporary or unlogged relations during recovery";
        return Err(IndexError::new(PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, message));
    }
    Ok(relation)
}

/// The number that the access method has in this database; of an unknown one it is invalid.
fn access_method<M: IndexAccessMethod>() -> pg_sys::Oid {
    let Ok(name) = std::ffi::CString::new(M::NAME) else { return pg_sys::InvalidOid };
    // SAFETY: looks into the system caches, in a transaction.
    unsafe { pg_sys::get_index_am_oid(name.as_ptr(), true) }
}

fn may_read_all() -> bool {
    // SAFETY: as above.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(pg_sys::ROLE_PG_STAT_SCAN_TABLES)) }
}

fn owns(relation: &PgRelation) -> bool {
    // SAFETY: as above; the relation is there, since it is open.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_class_ownercheck(relation.oid(), pg_sys::GetUserId());
        #[cfg(not(feature = "pg15"))]
        pg_sys::object_ownercheck(pg_sys::Oid::from(pg_sys::RelationRelationId), relation.oid(), pg_sys::GetUserId())
    }
}
