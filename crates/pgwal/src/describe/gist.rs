//! Source: `src/backend/access/rmgrdesc/gistdesc.c`.

use crate::describe::format::Letter;
use crate::rmgr::gist::Gist;
use crate::text::{TextBuffer, append};
use crate::version::Version;

pub(super) fn describe(gist: &Gist, version: Version, text: &mut TextBuffer) {
    let horizon = if version < Version::V16 { "latestRemovedXid" } else { "snapshotConflictHorizon" };
    let catalog = |is_catalog, text: &mut TextBuffer| {
        if version >= Version::V17 {
            append!(text, ", isCatalogRel ", Letter(is_catalog));
        }
    };
    match gist {
        Gist::PageReuse(reuse) => {
            append!(text, "rel ", reuse.relation, "; blk ", reuse.block, "; ", horizon, " ", reuse.conflict_horizon);
            catalog(reuse.is_catalog, text)
        }
        Gist::Delete(delete) => {
            append!(text, "delete: ", horizon, " ", delete.conflict_horizon, ", nitems: ", delete.deleted_count);
            catalog(delete.is_catalog, text)
        }
        Gist::PageSplit(split) => append!(text, "page_split: splits to ", split.page_count, " pages"),
        Gist::PageDelete { delete_xid, downlink } => append!(text, "deleteXid ", delete_xid, "; downlink ", downlink),
        Gist::PageUpdate { .. } | Gist::AssignLsn | Gist::Unknown => {}
    }
}
