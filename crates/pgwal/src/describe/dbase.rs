//! Source: `src/backend/access/rmgrdesc/dbasedesc.c`.

use std::fmt::{self, Write};

use crate::rmgr::dbase::Dbase;

pub(super) fn describe(dbase: &Dbase, text: &mut String) -> fmt::Result {
    match dbase {
        Dbase::CreateFileCopy { database, tablespace, source_database, source_tablespace } => {
            write!(text, "copy dir {source_tablespace}/{source_database} to {tablespace}/{database}")
        }
        Dbase::CreateWalLog { database, tablespace } => write!(text, "create dir {tablespace}/{database}"),
        Dbase::Drop { database, tablespaces } => {
            text.write_str("dir")?;
            tablespaces.iter().try_for_each(|tablespace| write!(text, " {tablespace}/{database}"))
        }
        Dbase::Unknown => Ok(()),
    }
}
