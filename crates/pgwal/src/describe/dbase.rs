//! Source: `src/backend/access/rmgrdesc/dbasedesc.c`.

use crate::rmgr::dbase::Dbase;
use crate::text::{TextBuffer, append};

pub(super) fn describe(dbase: &Dbase, text: &mut TextBuffer) {
    match dbase {
        Dbase::CreateFileCopy { database, tablespace, source_database, source_tablespace } => {
            append!(text, "copy dir ", source_tablespace, "/", source_database, " to ", tablespace, "/", database);
        }
        Dbase::CreateWalLog { database, tablespace } => append!(text, "create dir ", tablespace, "/", database),
        Dbase::Drop { database, tablespaces } => {
            append!(text, "dir");
            for tablespace in tablespaces {
                append!(text, " ", tablespace, "/", database);
            }
        }
        Dbase::Unknown => {}
    }
}
