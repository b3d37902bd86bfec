//! Source: `src/backend/access/rmgrdesc/clogdesc.c`.

use std::fmt::{self, Write};

use crate::rmgr::clog::Clog;

pub(super) fn describe(clog: &Clog, text: &mut String) -> fmt::Result {
    match clog {
        Clog::ZeroPage(page) => write!(text, "page {page}"),
        Clog::Truncate { page, oldest_xid, .. } => write!(text, "page {page}; oldestXact {oldest_xid}"),
        Clog::Unknown => Ok(()),
    }
}
