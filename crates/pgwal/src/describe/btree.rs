//! Source: `src/backend/access/rmgrdesc/nbtdesc.c`.

use crate::describe::format::{Letter, list};
use crate::rmgr::btree::{Btree, Changes, Delete, LastCleanup, ReusePage, Split, UnlinkPage};
use crate::text::{Short, TextBuffer, append};
use crate::version::Version;

/// What is between a name and its value, and behind that.
fn separators(version: Version) -> (Short<2>, Short<2>) {
    if version < Version::V16 {
        const { (Short::constant(" "), Short::constant("; ")) }
    } else {
        const { (Short::constant(": "), Short::constant(", ")) }
    }
}

/// 16 put a colon behind each name, and commas instead of semicolons; 17 told of catalogues.
pub(super) fn describe(btree: &Btree<'_>, version: Version, text: &mut TextBuffer) {
    let (is, and) = separators(version);
    match btree {
        Btree::Insert(_, offset) => append!(text, "off", is, offset),
        Btree::Split(Split { level, first_right, new_item, posting_offset, .. }) => {
            append!(text, "level", is, level, ", firstrightoff", is, first_right, ", ");
            append!(text, "newitemoff", is, new_item, ", postingoff", is, posting_offset);
        }
        Btree::Deduplicate(count) => append!(text, "nintervals", is, count),
        Btree::Delete(delete) => describe_delete(delete, version, text),
        Btree::Vacuum(vacuum) => {
            append!(text, "ndeleted", is, vacuum.deleted_count, and, "nupdated", is, vacuum.updated_count);
            describe_changes(vacuum.changes.as_ref(), version, text);
        }
        Btree::MarkPageHalfDead(page) => {
            append!(text, "topparent", is, page.top_parent, and, "leaf", is, page.leaf, and);
            append!(text, "left", is, page.left, and, "right", is, page.right);
        }
        Btree::UnlinkPage(page) => describe_unlink_page(page, version, text),
        Btree::NewRoot(root) if version < Version::V16 => append!(text, "lev ", root.level),
        Btree::NewRoot(root) => append!(text, "level: ", root.level),
        Btree::ReusePage(reuse) => describe_reuse_page(reuse, version, text),
        Btree::MetaCleanup(metadata) => match metadata.last_cleanup {
            LastCleanup::DeletedPages(count) => append!(text, "last_cleanup_num_delpages", is, count),
            LastCleanup::HeapTuples(oldest, tuples) => {
                append!(text, "oldest_btpo_xact ", oldest, "; last_cleanup_num_heap_tuples: ", format!("{tuples:.6}"));
            }
        },
        Btree::Unknown => {}
    }
}

fn describe_delete(delete: &Delete<'_>, version: Version, text: &mut TextBuffer) {
    let Delete { conflict_horizon, deleted_count, updated_count, is_catalog, changes } = delete;
    if version < Version::V16 {
        append!(text, "latestRemovedXid ", conflict_horizon, "; ndeleted ", deleted_count);
        if version >= Version::V14 {
            append!(text, "; nupdated ", updated_count);
        }
        return;
    }
    append!(text, "snapshotConflictHorizon: ", conflict_horizon);
    append!(text, ", ndeleted: ", deleted_count, ", nupdated: ", updated_count);
    if version >= Version::V17 {
        append!(text, ", isCatalogRel: ", Letter(*is_catalog));
    }
    describe_changes(changes.as_ref(), version, text);
}

/// Source: `delvacuum_desc`, of 16 and later.
fn describe_changes(changes: Option<&Changes<'_>>, version: Version, text: &mut TextBuffer) {
    let Some(changes) = changes.filter(|_| version >= Version::V16) else { return };
    append!(text, ", deleted:");
    list(changes.deleted.iter(), text);
    append!(text, ", updated: [");
    for (number, (offset, removed)) in changes.updated.iter().enumerate() {
        let separator = if number == 0 { "" } else { ", " };
        append!(text, separator, "{ off: ", offset, ", nptids: ", removed.len(), ", ptids:");
        list(removed.iter(), text);
        append!(text, " }");
    }
    append!(text, "]");
}

fn describe_unlink_page(page: &UnlinkPage, version: Version, text: &mut TextBuffer) {
    let UnlinkPage { left, right, level, safe_xid, leaf_left, leaf_right, leaf_top_parent } = page;
    let Some(level) = level else {
        append!(text, "left ", left, "; right ", right, "; btpo_xact ", safe_xid.xid(), "; ");
        return append!(text, "leafleft ", leaf_left, "; leafright ", leaf_right, "; topparent ", leaf_top_parent);
    };
    let (is, and) = separators(version);
    append!(text, "left", is, left, and, "right", is, right, and, "level", is, level, and);
    append!(text, "safexid", is, safe_xid, and, "leafleft", is, leaf_left, and);
    append!(text, "leafright", is, leaf_right, and, "leaftopparent", is, leaf_top_parent);
}

fn describe_reuse_page(reuse: &ReusePage, version: Version, text: &mut TextBuffer) {
    let ReusePage { relation, conflict_horizon, is_catalog, .. } = reuse;
    match version {
        Version::V13 => append!(text, "rel ", relation, "; latestRemovedXid ", conflict_horizon.xid()),
        Version::V14 | Version::V15 => append!(text, "rel ", relation, "; latestRemovedXid ", conflict_horizon),
        _ => {
            append!(text, "rel: ", relation, ", snapshotConflictHorizon: ", conflict_horizon);
            if version >= Version::V17 {
                append!(text, ", isCatalogRel: ", Letter(*is_catalog));
            }
        }
    }
}
