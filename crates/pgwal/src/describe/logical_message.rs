//! Source: `src/backend/access/rmgrdesc/logicalmsgdesc.c`.

use crate::rmgr::logical_message::LogicalMessage;
use crate::text::{Hex2, TextBuffer, append};
use crate::version::Version;

pub(super) fn describe(message: &LogicalMessage<'_>, version: Version, text: &mut TextBuffer) {
    let LogicalMessage::Message(message) = message else { return };
    let length = message.payload.len();
    if version < Version::V14 {
        let kind = if message.transactional { "transactional" } else { "nontransactional" };
        return append!(text, kind, " message size ", length, " bytes");
    }
    let kind = if message.transactional { "transactional" } else { "non-transactional" };
    append!(text, kind, ", prefix \"", message.prefix, "\"; payload (", length, " bytes): ");
    for (number, byte) in message.payload.iter().enumerate() {
        append!(text, if number == 0 { "" } else { " " }, Hex2(*byte));
    }
}
