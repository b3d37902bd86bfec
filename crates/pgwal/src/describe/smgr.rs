//! Source: `src/backend/access/rmgrdesc/smgrdesc.c`.

use crate::ids::Fork;
use crate::record::Record;
use crate::rmgr::smgr::Smgr;
use crate::text::{TextBuffer, append};

pub(super) fn describe(record: &Record<'_>, smgr: &Smgr, text: &mut TextBuffer) {
    let major = record.version.major();
    match smgr {
        Smgr::Create { relation, fork } => append!(text, relation.path(*fork, major)),
        Smgr::Truncate(truncate) => {
            let path = truncate.relation.path(Fork::MAIN, major);
            append!(text, path, " to ", truncate.block, " blocks flags ", truncate.flags);
        }
        Smgr::Unknown => {}
    }
}
