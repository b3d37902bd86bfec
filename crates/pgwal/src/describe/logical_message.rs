//! Source: `src/backend/access/rmgrdesc/logicalmsgdesc.c`.

use std::fmt::{self, Write};

use crate::rmgr::logical_message::LogicalMessage;
use crate::version::Version;

pub(super) fn describe(message: &LogicalMessage<'_>, version: Version, text: &mut String) -> fmt::Result {
    let LogicalMessage::Message(message) = message else { return Ok(()) };
    let length = message.payload.len();
    if version < Version::V14 {
        let kind = if message.transactional { "transactional" } else { "nontransactional" };
        return write!(text, "{kind} message size {length} bytes");
    }
    let kind = if message.transactional { "transactional" } else { "non-transactional" };
    write!(text, "{kind}, prefix \"{}\"; payload ({length} bytes): ", String::from_utf8_lossy(message.prefix))?;
    message.payload.iter().enumerate().try_for_each(|(number, byte)| {
        let separator = if number == 0 { "" } else { " " };
        write!(text, "{separator}{byte:02X}")
    })
}
