//! Source: `src/backend/access/rmgrdesc/tblspcdesc.c`.

use std::fmt::{self, Write};

use crate::rmgr::tablespace::Tablespace;

pub(super) fn describe(tablespace: &Tablespace<'_>, text: &mut String) -> fmt::Result {
    match tablespace {
        Tablespace::Create { tablespace, path } => {
            write!(text, "{tablespace} \"{}\"", String::from_utf8_lossy(path))
        }
        Tablespace::Drop(tablespace) => write!(text, "{tablespace}"),
        Tablespace::Unknown => Ok(()),
    }
}
