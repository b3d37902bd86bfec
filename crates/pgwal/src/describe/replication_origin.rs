//! Source: `src/backend/access/rmgrdesc/replorigindesc.c`.

use std::fmt::{self, Write};

use crate::rmgr::replication_origin::ReplicationOrigin;

pub(super) fn describe(origin: &ReplicationOrigin, text: &mut String) -> fmt::Result {
    match origin {
        ReplicationOrigin::Set { remote_lsn, node, force } => {
            write!(text, "set {node}; lsn {remote_lsn}; force: {}", u8::from(*force))
        }
        ReplicationOrigin::Drop(node) => write!(text, "drop {node}"),
        ReplicationOrigin::Unknown => Ok(()),
    }
}
