//! Source: `src/backend/access/rmgrdesc/smgrdesc.c`.

use std::fmt::{self, Write};

use crate::ids::Fork;
use crate::record::Record;
use crate::rmgr::smgr::Smgr;

pub(super) fn describe(record: &Record<'_>, smgr: &Smgr, text: &mut String) -> fmt::Result {
    let major = record.version.major();
    match smgr {
        Smgr::Create { relation, fork } => text.write_str(&relation.path(*fork, major)),
        Smgr::Truncate(truncate) => {
            let path = truncate.relation.path(Fork::MAIN, major);
            write!(text, "{path} to {} blocks flags {}", truncate.block, truncate.flags)
        }
        Smgr::Unknown => Ok(()),
    }
}
