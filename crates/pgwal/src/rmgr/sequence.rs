//! Sequences. Source: `src/include/commands/sequence.h`.

use crate::error::RecordError;
use crate::ids::RelFileLocator;
use crate::record::Record;
use crate::rmgr::{locator, parse_main};

/// A record of resource manager Sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence<'a> {
    /// The only page of a sequence, block 0, was made anew: some values are given out in advance.
    Log {
        /// The sequence.
        relation: RelFileLocator,
        /// Its only tuple.
        tuple: &'a [u8],
    },
    /// An operation that is not known here.
    Unknown,
}

impl<'a> Sequence<'a> {
    /// Reads a record of resource manager Sequence.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'a>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x00 => Self::Log { relation: locator(cursor)?, tuple: cursor.rest() },
                _ => Self::Unknown,
            })
        })
    }
}

/// Name of the operation as in `seq_identify`; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    match info & 0xF0 {
        0x00 => Some("LOG"),
        _ => None,
    }
}
