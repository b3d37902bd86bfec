//! Source: `src/backend/access/rmgrdesc/relmapdesc.c`.

use crate::rmgr::relmap::RelMap;
use crate::text::{TextBuffer, append};

pub(super) fn describe(relmap: &RelMap<'_>, text: &mut TextBuffer) {
    match relmap {
        RelMap::Update { database, tablespace, data } => {
            append!(text, "database ", database, " tablespace ", tablespace, " size ", data.len());
        }
        RelMap::Unknown => {}
    }
}
