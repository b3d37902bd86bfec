//! Source: `src/backend/access/rmgrdesc/replorigindesc.c`.

use crate::rmgr::replication_origin::ReplicationOrigin;
use crate::text::{TextBuffer, append};

pub(super) fn describe(origin: &ReplicationOrigin, text: &mut TextBuffer) {
    match origin {
        ReplicationOrigin::Set { remote_lsn, node, force } => {
            append!(text, "set ", node, "; lsn ", remote_lsn, "; force: ", u8::from(*force));
        }
        ReplicationOrigin::Drop(node) => append!(text, "drop ", node),
        ReplicationOrigin::Unknown => {}
    }
}
