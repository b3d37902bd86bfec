//! Creation and removal of databases. Source: `src/include/commands/dbcommands_xlog.h`.

use crate::error::RecordError;
use crate::ids::Oid;
use crate::record::Record;
use crate::rmgr::parse_main;
use crate::version::Version;

/// A record of resource manager Database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dbase {
    /// A database was made by copying another's files, which are not in the log.
    CreateFileCopy {
        /// The new database.
        database: Oid,
        /// Its tablespace.
        tablespace: Oid,
        /// The database that was copied.
        source_database: Oid,
        /// Its tablespace.
        source_tablespace: Oid,
    },
    /// A database was made whose content follows in the log (15 and later).
    CreateWalLog {
        /// The new database.
        database: Oid,
        /// Its tablespace.
        tablespace: Oid,
    },
    /// A database's files were removed from tablespaces.
    Drop {
        /// The database.
        database: Oid,
        /// The tablespaces.
        tablespaces: Vec<Oid>,
    },
    /// An operation that is not known here.
    Unknown,
}

impl Dbase {
    /// Reads a record of resource manager Database.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than the record promises.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        let has_wal_log = record.version >= Version::V15;
        parse_main(record, |cursor| {
            Ok(match (record.rmgr_info(), has_wal_log) {
                (0x00, _) => Self::CreateFileCopy {
                    database: Oid::new(cursor.u32("db_id")?),
                    tablespace: Oid::new(cursor.u32("tablespace_id")?),
                    source_database: Oid::new(cursor.u32("src_db_id")?),
                    source_tablespace: Oid::new(cursor.u32("src_tablespace_id")?),
                },
                (0x10, true) => Self::CreateWalLog {
                    database: Oid::new(cursor.u32("db_id")?),
                    tablespace: Oid::new(cursor.u32("tablespace_id")?),
                },
                (0x20, true) | (0x10, false) => {
                    let database = Oid::new(cursor.u32("db_id")?);
                    let count = cursor.count("ntablespaces", 4)?;
                    let tablespaces =
                        cursor.items("tablespace_ids", count, |bytes| Oid::new(u32::from_le_bytes(bytes)))?;
                    Self::Drop { database, tablespaces }
                }
                _ => Self::Unknown,
            })
        })
    }
}

/// Name of the operation as in `dbase_identify`; `None` for one that does not exist. 15 split the creation in two.
#[must_use]
pub fn identify(info: u8, version: Version) -> Option<&'static str> {
    match (info & 0xF0, version >= Version::V15) {
        (0x00, true) => Some("CREATE_FILE_COPY"),
        (0x00, false) => Some("CREATE"),
        (0x10, true) => Some("CREATE_WAL_LOG"),
        (0x10, false) | (0x20, true) => Some("DROP"),
        _ => None,
    }
}
