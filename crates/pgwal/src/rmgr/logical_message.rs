//! Messages for logical decoding. Source: `src/include/replication/message.h`.

use crate::error::{Malformed, RecordError};
use crate::ids::Oid;
use crate::record::Record;
use crate::rmgr::parse_main;

/// A record of resource manager LogicalMessage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogicalMessage<'a> {
    /// `pg_logical_emit_message`, or the like of an extension.
    Message(Message<'a>),
    /// An operation that is not known here.
    Unknown,
}

/// `xl_logical_message`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The database it was sent from.
    pub database: Oid,
    /// Whether it is decoded only if its transaction commits.
    pub transactional: bool,
    /// For whom it is, without its terminating zero.
    pub prefix: &'a [u8],
    /// The message.
    pub payload: &'a [u8],
}

impl<'a> LogicalMessage<'a> {
    /// Reads a record of resource manager LogicalMessage.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than the record promises.
    pub fn parse(record: &Record<'a>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            if record.rmgr_info() != 0x00 {
                return Ok(Self::Unknown);
            }
            let database = Oid::new(cursor.u32("dbId")?);
            let transactional = cursor.bool("transactional")?;
            cursor.skip("padding", 3)?;
            let mut size = |field| {
                let raw = cursor.u64(field)?;
                usize::try_from(raw).map_err(|_| Malformed::Invalid { field, value: raw })
            };
            let (prefix_size, message_size) = (size("prefix_size")?, size("message_size")?);
            let prefix = cursor.take("prefix", prefix_size)?.split(|byte| *byte == 0).next().unwrap_or_default();
            let payload = cursor.take("message", message_size)?;
            Ok(Self::Message(Message { database, transactional, prefix, payload }))
        })
    }
}

/// Name of the operation as in `logicalmsg_identify`; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    match info & 0xF0 {
        0x00 => Some("MESSAGE"),
        _ => None,
    }
}
