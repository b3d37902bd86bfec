//! Source: `src/backend/access/rmgrdesc/committsdesc.c`.

use crate::rmgr::commit_ts::CommitTs;
use crate::text::{TextBuffer, append};

pub(super) fn describe(commit_ts: &CommitTs, text: &mut TextBuffer) {
    match commit_ts {
        CommitTs::ZeroPage(page) => append!(text, page),
        CommitTs::Truncate { page, oldest_xid } => append!(text, "pageno ", page, ", oldestXid ", oldest_xid),
        CommitTs::Unknown => {}
    }
}
