//! Custom resource managers of known extensions: which library registers which id.
//!
//! Ids are reserved on <https://wiki.postgresql.org/wiki/CustomWALResourceManagers>. Who reserved one there is written down
//! here; a library and a name only where the extension's source code, which is named beside it, calls
//! `RegisterCustomRmgr` with them.

use crate::rmgr::RmgrId;

/// What is known of who uses the id of a custom resource manager.
///
/// Nothing but a convention holds an extension to its id: another one may use it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownCustomRmgr {
    /// Its id.
    pub id: RmgrId,
    /// Who reserved it.
    pub extension: &'static str,
    /// The library that registers it, as in `shared_preload_libraries`; `None` if that is not known for certain.
    pub library: Option<&'static str>,
    /// The name that it registers (`rm_name`), if that is known.
    pub name: Option<&'static str>,
}

impl KnownCustomRmgr {
    /// All of them, in the order of their ids. 128 (`RM_EXPERIMENTAL_ID`) is nobody's: extensions that are being developed use
    /// it.
    pub const ALL: [Self; 17] = [
        // orioledb/orioledb, include/orioledb.h: ORIOLEDB_RMGR_ID
        with_library(129, "OrioleDB", "orioledb", "OrioleDB resource manager"),
        reserved(130, "EDB Bluefin"),
        reserved(131, "EDB Bluefin2"),
        reserved(132, "EDB Marlin"),
        reserved(133, "EDB Marlin2"),
        // neondatabase/neon, pgxn/neon_rmgr/neon_rmgr.c: RM_NEON_ID
        with_library(134, "Neon", "neon_rmgr", "neon"),
        reserved(135, "Postgres Pro AQO"),
        reserved(136, "Postgres Pro sr_plan"),
        // Reserved as pg_analytics. paradedb/paradedb, pg_search: RMGR_ID
        with_library(137, "ParadeDB pg_search", "pg_search", "pg_search"),
        // pgroonga/pgroonga, src/pgroonga-wal-resource-manager.c: PGRN_WAL_RESOURCE_MANAGER_ID
        with_library(138, "PGroonga", "pgroonga_wal_resource_manager", "PGroonga"),
        reserved(139, "EDB Hsphere"),
        // percona/pg_tde, pg_tde_xlog.h and pg_tde_xlog.c: RM_TDERMGR_ID
        with_library(140, "Percona pg_tde", "pg_tde", "pg_tde"),
        // pgEdge/spock, include/spock_rmgr.h: SPOCK_RMGR_ID
        with_library(144, "pgEdge Spock", "spock", "spock_custom_rmgr"),
        // timescale/pg_textsearch, src/replication/replication.h: TP_RMGR_ID. The library is not named, because later releases
        // of the same library use generic WAL and do not register it any more (issue 378).
        reserved(149, "pg_textsearch (some releases)"),
        // HexaCluster/credcheck, credcheck.c: RM_CREDCHECK_ID, and pull request 70
        with_library(150, "credcheck", "credcheck", "credcheck"),
        // PierreSenellart/provsql: RM_PROVSQL_ID
        with_library(151, "ProvSQL", "provsql", "provsql"),
        reserved(241, "Columnar"),
    ];

    /// What is known of `id`.
    #[must_use]
    pub fn of(id: RmgrId) -> Option<&'static Self> {
        const KNOWN: &[KnownCustomRmgr] = &KnownCustomRmgr::ALL;
        KNOWN.iter().find(|known| known.id == id)
    }
}

const fn reserved(id: u8, extension: &'static str) -> KnownCustomRmgr {
    KnownCustomRmgr { id: RmgrId::new(id), extension, library: None, name: None }
}

const fn with_library(id: u8, extension: &'static str, library: &'static str, name: &'static str) -> KnownCustomRmgr {
    KnownCustomRmgr { id: RmgrId::new(id), extension, library: Some(library), name: Some(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_custom_ones_in_order_and_128_is_nobodys() {
        let ids: Vec<_> = KnownCustomRmgr::ALL.iter().map(|known| known.id.get()).collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        assert!(KnownCustomRmgr::ALL.iter().all(|known| known.id.is_custom()));
        assert_eq!(KnownCustomRmgr::of(RmgrId::new(128)), None);
        assert_eq!(KnownCustomRmgr::of(RmgrId::new(140)).and_then(|known| known.library), Some("pg_tde"));
    }
}
