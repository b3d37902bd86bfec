//! Source: `src/backend/access/rmgrdesc/gistdesc.c`.

use std::fmt::{self, Write};

use crate::describe::format::Letter;
use crate::rmgr::gist::Gist;
use crate::version::Version;

pub(super) fn describe(gist: &Gist, version: Version, text: &mut String) -> fmt::Result {
    let horizon = if version < Version::V16 { "latestRemovedXid" } else { "snapshotConflictHorizon" };
    let catalog = |is_catalog, text: &mut String| match version < Version::V17 {
        true => Ok(()),
        false => write!(text, ", isCatalogRel {}", Letter(is_catalog)),
    };
    match gist {
        Gist::PageReuse(reuse) => {
            write!(text, "rel {}; blk {}; {horizon} {}", reuse.relation, reuse.block, reuse.conflict_horizon)?;
            catalog(reuse.is_catalog, text)
        }
        Gist::Delete(delete) => {
            write!(text, "delete: {horizon} {}, nitems: {}", delete.conflict_horizon, delete.deleted_count)?;
            catalog(delete.is_catalog, text)
        }
        Gist::PageSplit(split) => write!(text, "page_split: splits to {} pages", split.page_count),
        Gist::PageDelete { delete_xid, downlink } => write!(text, "deleteXid {delete_xid}; downlink {downlink}"),
        Gist::PageUpdate { .. } | Gist::AssignLsn | Gist::Unknown => Ok(()),
    }
}
