//! Files of the catalogues that have no entry in `pg_class` to tell them. Source: `src/include/utils/relmapper.h`.

use crate::error::RecordError;
use crate::ids::Oid;
use crate::record::Record;
use crate::rmgr::parse_main;

/// A record of resource manager RelMap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelMap<'a> {
    /// A map was written anew.
    Update {
        /// The database; invalid for the map of shared catalogues.
        database: Oid,
        /// Its tablespace.
        tablespace: Oid,
        /// The map (`RelMapFile`).
        data: &'a [u8],
    },
    /// An operation that is not known here.
    Unknown,
}

impl<'a> RelMap<'a> {
    /// Reads a record of resource manager RelMap.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than the record promises.
    pub fn parse(record: &Record<'a>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            if record.rmgr_info() != 0x00 {
                return Ok(Self::Unknown);
            }
            let database = Oid::new(cursor.u32("dbid")?);
            let tablespace = Oid::new(cursor.u32("tsid")?);
            let length = cursor.count("nbytes", 1)?;
            Ok(Self::Update { database, tablespace, data: cursor.take("data", length)? })
        })
    }
}

/// Name of the operation as in `relmap_identify`; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    match info & 0xF0 {
        0x00 => Some("UPDATE"),
        _ => None,
    }
}
