//! Source: `src/backend/access/rmgrdesc/spgdesc.c`.

use std::fmt::{self, Write};

use crate::describe::format::Letter;
use crate::rmgr::spgist::{Downlink, SpGist, VacuumLeaf, VacuumRedirect};
use crate::version::Version;

pub(super) fn describe(spgist: &SpGist, version: Version, text: &mut String) -> fmt::Result {
    if version < Version::V14 {
        return describe_13(spgist, text);
    }
    let downlink = |Downlink { parent, node }: Downlink| format!("parentoff: {parent}, nodeI: {node}");
    match spgist {
        SpGist::AddLeaf(leaf) => {
            write!(text, "off: {}, headoff: {}, {}", leaf.offset, leaf.head, downlink(leaf.downlink))?;
            describe_flags([(leaf.new_page, "newpage"), (leaf.stores_nulls, "nulls")], text)
        }
        SpGist::MoveLeafs(moved) => {
            write!(text, "nmoves: {}, {}", moved.count, downlink(moved.downlink))?;
            let flags =
                [(moved.new_page, "newpage"), (moved.replace_dead, "replacedead"), (moved.stores_nulls, "nulls")];
            describe_flags(flags, text)
        }
        SpGist::AddNode(node) => {
            write!(text, "off: {}, newoff: {}, parentBlk: {}, ", node.offset, node.new_offset, node.parent_block)?;
            text.write_str(&downlink(node.downlink))?;
            describe_flags([(node.new_page, "newpage")], text)
        }
        SpGist::SplitTuple(split) => {
            write!(text, "prefixoff: {}, postfixoff: {}", split.prefix, split.postfix)?;
            describe_flags([(split.new_page, "newpage"), (split.same_page, "same")], text)
        }
        SpGist::PickSplit(split) => {
            let (deleted, inserted) = (split.deleted_count, split.inserted_count);
            write!(text, "ndelete: {deleted}, ninsert: {inserted}, inneroff: {}, ", split.inner)?;
            text.write_str(&downlink(split.downlink))?;
            let flags = [
                (split.inner_is_parent, "innerIsParent"),
                (split.stores_nulls, "nulls"),
                (split.is_root_split, "isRootSplit"),
            ];
            describe_flags(flags, text)
        }
        SpGist::VacuumLeaf(VacuumLeaf { dead_count, placeholder_count, moved_count, chained_count }) => {
            write!(text, "ndead: {dead_count}, nplaceholder: {placeholder_count}, ")?;
            write!(text, "nmove: {moved_count}, nchain: {chained_count}")
        }
        SpGist::VacuumRoot { deleted_count } => write!(text, "ndelete: {deleted_count}"),
        SpGist::VacuumRedirect(redirect) => describe_vacuum_redirect(redirect, version, text),
        SpGist::Unknown => Ok(()),
    }
}

fn describe_flags<const COUNT: usize>(flags: [(bool, &str); COUNT], text: &mut String) -> fmt::Result {
    flags.iter().filter(|(set, _)| *set).try_for_each(|(_, name)| write!(text, " ({name})"))
}

fn describe_vacuum_redirect(redirect: &VacuumRedirect, version: Version, text: &mut String) -> fmt::Result {
    let VacuumRedirect { redirect_count, first_placeholder, conflict_horizon, is_catalog } = redirect;
    let horizon = if version < Version::V16 { "newestredirectxid" } else { "snapshotConflictHorizon" };
    write!(text, "ntoplaceholder: {redirect_count}, firstplaceholder: {first_placeholder}, ")?;
    write!(text, "{horizon}: {conflict_horizon}")?;
    match version < Version::V17 {
        true => Ok(()),
        false => write!(text, ", isCatalogRel: {}", Letter(*is_catalog)),
    }
}

/// 13 told less, and in other words.
fn describe_13(spgist: &SpGist, text: &mut String) -> fmt::Result {
    match spgist {
        SpGist::AddLeaf(leaf) => {
            text.write_str("add leaf to page")?;
            write!(text, "; off {}; headoff {}; parentoff {}", leaf.offset, leaf.head, leaf.downlink.parent)?;
            describe_flags([(leaf.new_page, "newpage"), (leaf.stores_nulls, "nulls")], text)
        }
        SpGist::MoveLeafs(moved) => write!(text, "{} leafs", moved.count),
        SpGist::AddNode(node) => write!(text, "off {}", node.offset),
        SpGist::SplitTuple(split) => {
            let (same, new) = (u8::from(split.same_page), u8::from(split.new_page));
            write!(text, "prefix off: {}, postfix off: {} (same {same}, new {new})", split.prefix, split.postfix)
        }
        SpGist::PickSplit(split) => {
            write!(text, "ndel {}; nins {}", split.deleted_count, split.inserted_count)?;
            describe_flags([(split.inner_is_parent, "innerIsParent"), (split.is_root_split, "isRootSplit")], text)
        }
        SpGist::VacuumRedirect(redirect) => write!(text, "newest XID {}", redirect.conflict_horizon),
        SpGist::VacuumLeaf(_) | SpGist::VacuumRoot { .. } | SpGist::Unknown => Ok(()),
    }
}
