//! Creation and removal of tablespaces. Source: `src/include/commands/tablespace.h`.

use crate::error::RecordError;
use crate::ids::Oid;
use crate::record::Record;
use crate::rmgr::{c_string, parse_main};

/// A record of resource manager Tablespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tablespace<'a> {
    /// A tablespace came into being.
    Create {
        /// The tablespace.
        tablespace: Oid,
        /// Its directory; empty for one inside of the data directory.
        path: &'a [u8],
    },
    /// A tablespace was removed.
    Drop(Oid),
    /// An operation that is not known here.
    Unknown,
}

impl<'a> Tablespace<'a> {
    /// Reads a record of resource manager Tablespace.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'a>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x00 => Self::Create { tablespace: Oid::new(cursor.u32("ts_id")?), path: c_string(cursor) },
                0x10 => Self::Drop(Oid::new(cursor.u32("ts_id")?)),
                _ => Self::Unknown,
            })
        })
    }
}

/// Name of the operation as in `tblspc_identify`; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    match info & 0xF0 {
        0x00 => Some("CREATE"),
        0x10 => Some("DROP"),
        _ => None,
    }
}
