//! Source: `src/backend/access/rmgrdesc/relmapdesc.c`.

use std::fmt::{self, Write};

use crate::rmgr::relmap::RelMap;

pub(super) fn describe(relmap: &RelMap<'_>, text: &mut String) -> fmt::Result {
    match relmap {
        RelMap::Update { database, tablespace, data } => {
            write!(text, "database {database} tablespace {tablespace} size {}", data.len())
        }
        RelMap::Unknown => Ok(()),
    }
}
