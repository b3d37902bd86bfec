//! Source: `src/backend/access/rmgrdesc/committsdesc.c`.

use std::fmt::{self, Write};

use crate::rmgr::commit_ts::CommitTs;

pub(super) fn describe(commit_ts: &CommitTs, text: &mut String) -> fmt::Result {
    match commit_ts {
        CommitTs::ZeroPage(page) => write!(text, "{page}"),
        CommitTs::Truncate { page, oldest_xid } => write!(text, "pageno {page}, oldestXid {oldest_xid}"),
        CommitTs::Unknown => Ok(()),
    }
}
