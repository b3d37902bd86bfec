//! Source: `src/backend/access/rmgrdesc/nbtdesc.c`.

use std::fmt::{self, Write};

use crate::describe::format::{Letter, list};
use crate::rmgr::btree::{Btree, Changes, Delete, LastCleanup, ReusePage, Split, UnlinkPage};
use crate::version::Version;

/// 16 put a colon behind each name, and commas instead of semicolons; 17 told of catalogues.
pub(super) fn describe(btree: &Btree<'_>, version: Version, text: &mut String) -> fmt::Result {
    let (is, and) = if version < Version::V16 { (" ", "; ") } else { (": ", ", ") };
    match btree {
        Btree::Insert(_, offset) => write!(text, "off{is}{offset}"),
        Btree::Split(Split { level, first_right, new_item, posting_offset, .. }) => {
            write!(text, "level{is}{level}, firstrightoff{is}{first_right}, ")?;
            write!(text, "newitemoff{is}{new_item}, postingoff{is}{posting_offset}")
        }
        Btree::Deduplicate(count) => write!(text, "nintervals{is}{count}"),
        Btree::Delete(delete) => describe_delete(delete, version, text),
        Btree::Vacuum(vacuum) => {
            write!(text, "ndeleted{is}{}{and}nupdated{is}{}", vacuum.deleted_count, vacuum.updated_count)?;
            describe_changes(vacuum.changes.as_ref(), version, text)
        }
        Btree::MarkPageHalfDead(page) => {
            write!(text, "topparent{is}{}{and}leaf{is}{}{and}", page.top_parent, page.leaf)?;
            write!(text, "left{is}{}{and}right{is}{}", page.left, page.right)
        }
        Btree::UnlinkPage(page) => describe_unlink_page(page, version, text),
        Btree::NewRoot(root) if version < Version::V16 => write!(text, "lev {}", root.level),
        Btree::NewRoot(root) => write!(text, "level: {}", root.level),
        Btree::ReusePage(reuse) => describe_reuse_page(reuse, version, text),
        Btree::MetaCleanup(metadata) => match metadata.last_cleanup {
            LastCleanup::DeletedPages(count) => write!(text, "last_cleanup_num_delpages{is}{count}"),
            LastCleanup::HeapTuples(oldest, tuples) => {
                write!(text, "oldest_btpo_xact {oldest}; last_cleanup_num_heap_tuples: {tuples:.6}")
            }
        },
        Btree::Unknown => Ok(()),
    }
}

fn describe_delete(delete: &Delete<'_>, version: Version, text: &mut String) -> fmt::Result {
    let Delete { conflict_horizon, deleted_count, updated_count, is_catalog, changes } = delete;
    if version < Version::V16 {
        write!(text, "latestRemovedXid {conflict_horizon}; ndeleted {deleted_count}")?;
        return if version < Version::V14 { Ok(()) } else { write!(text, "; nupdated {updated_count}") };
    }
    write!(text, "snapshotConflictHorizon: {conflict_horizon}, ndeleted: {deleted_count}, nupdated: {updated_count}")?;
    if version >= Version::V17 {
        write!(text, ", isCatalogRel: {}", Letter(*is_catalog))?;
    }
    describe_changes(changes.as_ref(), version, text)
}

/// Source: `delvacuum_desc`, of 16 and later.
fn describe_changes(changes: Option<&Changes<'_>>, version: Version, text: &mut String) -> fmt::Result {
    let Some(changes) = changes.filter(|_| version >= Version::V16) else { return Ok(()) };
    text.write_str(", deleted:")?;
    list(changes.deleted.iter(), text)?;
    text.write_str(", updated: [")?;
    for (number, (offset, removed)) in changes.updated.iter().enumerate() {
        let separator = if number == 0 { "" } else { ", " };
        write!(text, "{separator}{{ off: {offset}, nptids: {}, ptids:", removed.len())?;
        list(removed.iter(), text)?;
        text.write_str(" }")?;
    }
    text.write_str("]")
}

fn describe_unlink_page(page: &UnlinkPage, version: Version, text: &mut String) -> fmt::Result {
    let UnlinkPage { left, right, level, safe_xid, leaf_left, leaf_right, leaf_top_parent } = page;
    let Some(level) = level else {
        write!(text, "left {left}; right {right}; btpo_xact {}; ", safe_xid.xid())?;
        return write!(text, "leafleft {leaf_left}; leafright {leaf_right}; topparent {leaf_top_parent}");
    };
    let (is, and) = if version < Version::V16 { (" ", "; ") } else { (": ", ", ") };
    write!(text, "left{is}{left}{and}right{is}{right}{and}level{is}{level}{and}safexid{is}{safe_xid}{and}")?;
    write!(text, "leafleft{is}{leaf_left}{and}leafright{is}{leaf_right}{and}leaftopparent{is}{leaf_top_parent}")
}

fn describe_reuse_page(reuse: &ReusePage, version: Version, text: &mut String) -> fmt::Result {
    let ReusePage { relation, conflict_horizon, is_catalog, .. } = reuse;
    match version {
        Version::V13 => write!(text, "rel {relation}; latestRemovedXid {}", conflict_horizon.xid()),
        Version::V14 | Version::V15 => write!(text, "rel {relation}; latestRemovedXid {conflict_horizon}"),
        _ => {
            write!(text, "rel: {relation}, snapshotConflictHorizon: {conflict_horizon}")?;
            if version < Version::V17 {
                return Ok(());
            }
            write!(text, ", isCatalogRel: {}", Letter(*is_catalog))
        }
    }
}
