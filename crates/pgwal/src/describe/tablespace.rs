//! Source: `src/backend/access/rmgrdesc/tblspcdesc.c`.

use crate::rmgr::tablespace::Tablespace;
use crate::text::{TextBuffer, append};

pub(super) fn describe(tablespace: &Tablespace<'_>, text: &mut TextBuffer) {
    match tablespace {
        Tablespace::Create { tablespace, path } => {
            append!(text, tablespace, " \"", path, "\"");
        }
        Tablespace::Drop(tablespace) => append!(text, tablespace),
        Tablespace::Unknown => {}
    }
}
