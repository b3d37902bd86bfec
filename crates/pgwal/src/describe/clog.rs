//! Source: `src/backend/access/rmgrdesc/clogdesc.c`.

use crate::rmgr::clog::Clog;
use crate::text::{TextBuffer, append};

pub(super) fn describe(clog: &Clog, text: &mut TextBuffer) {
    match clog {
        Clog::ZeroPage(page) => append!(text, "page ", page),
        Clog::Truncate { page, oldest_xid, .. } => append!(text, "page ", page, "; oldestXact ", oldest_xid),
        Clog::Unknown => {}
    }
}
