//! Source: `src/backend/access/rmgrdesc/spgdesc.c`.

use crate::describe::format::Letter;
use crate::rmgr::spgist::{Downlink, SpGist, VacuumLeaf, VacuumRedirect};
use crate::text::{TextBuffer, append, pieces};
use crate::version::Version;

pub(super) fn describe(spgist: &SpGist, version: Version, text: &mut TextBuffer) {
    if version < Version::V14 {
        return describe_13(spgist, text);
    }
    let downlink = |Downlink { parent, node }: Downlink| pieces!("parentoff: ", parent, ", nodeI: ", node);
    match spgist {
        SpGist::AddLeaf(leaf) => {
            append!(text, "off: ", leaf.offset, ", headoff: ", leaf.head, ", ", downlink(leaf.downlink));
            describe_flags([(leaf.new_page, "newpage"), (leaf.stores_nulls, "nulls")], text);
        }
        SpGist::MoveLeafs(moved) => {
            append!(text, "nmoves: ", moved.count, ", ", downlink(moved.downlink));
            let flags =
                [(moved.new_page, "newpage"), (moved.replace_dead, "replacedead"), (moved.stores_nulls, "nulls")];
            describe_flags(flags, text);
        }
        SpGist::AddNode(node) => {
            append!(
                text,
                "off: ",
                node.offset,
                ", newoff: ",
                node.new_offset,
                ", parentBlk: ",
                node.parent_block,
                ", "
            );
            append!(text, downlink(node.downlink));
            describe_flags([(node.new_page, "newpage")], text);
        }
        SpGist::SplitTuple(split) => {
            append!(text, "prefixoff: ", split.prefix, ", postfixoff: ", split.postfix);
            describe_flags([(split.new_page, "newpage"), (split.same_page, "same")], text);
        }
        SpGist::PickSplit(split) => {
            let (deleted, inserted) = (split.deleted_count, split.inserted_count);
            append!(text, "ndelete: ", deleted, ", ninsert: ", inserted, ", inneroff: ", split.inner, ", ");
            append!(text, downlink(split.downlink));
            let flags = [
                (split.inner_is_parent, "innerIsParent"),
                (split.stores_nulls, "nulls"),
                (split.is_root_split, "isRootSplit"),
            ];
            describe_flags(flags, text);
        }
        SpGist::VacuumLeaf(VacuumLeaf { dead_count, placeholder_count, moved_count, chained_count }) => {
            append!(text, "ndead: ", dead_count, ", nplaceholder: ", placeholder_count, ", ");
            append!(text, "nmove: ", moved_count, ", nchain: ", chained_count);
        }
        SpGist::VacuumRoot { deleted_count } => append!(text, "ndelete: ", deleted_count),
        SpGist::VacuumRedirect(redirect) => describe_vacuum_redirect(redirect, version, text),
        SpGist::Unknown => {}
    }
}

fn describe_flags<const COUNT: usize>(flags: [(bool, &str); COUNT], text: &mut TextBuffer) {
    flags.iter().filter(|(set, _)| *set).for_each(|(_, name)| append!(text, " (", name, ")"))
}

fn describe_vacuum_redirect(redirect: &VacuumRedirect, version: Version, text: &mut TextBuffer) {
    let VacuumRedirect { redirect_count, first_placeholder, conflict_horizon, is_catalog } = redirect;
    let horizon = if version < Version::V16 { "newestredirectxid" } else { "snapshotConflictHorizon" };
    append!(text, "ntoplaceholder: ", redirect_count, ", firstplaceholder: ", first_placeholder, ", ");
    append!(text, horizon, ": ", conflict_horizon);
    if version >= Version::V17 {
        append!(text, ", isCatalogRel: ", Letter(*is_catalog));
    }
}

/// 13 told less, and in other words.
fn describe_13(spgist: &SpGist, text: &mut TextBuffer) {
    match spgist {
        SpGist::AddLeaf(leaf) => {
            append!(text, "add leaf to page");
            append!(text, "; off ", leaf.offset, "; headoff ", leaf.head, "; parentoff ", leaf.downlink.parent);
            describe_flags([(leaf.new_page, "newpage"), (leaf.stores_nulls, "nulls")], text);
        }
        SpGist::MoveLeafs(moved) => append!(text, moved.count, " leafs"),
        SpGist::AddNode(node) => append!(text, "off ", node.offset),
        SpGist::SplitTuple(split) => {
            let (same, new) = (u8::from(split.same_page), u8::from(split.new_page));
            append!(
                text,
                "prefix off: ",
                split.prefix,
                ", postfix off: ",
                split.postfix,
                " (same ",
                same,
                ", new ",
                new,
                ")"
            );
        }
        SpGist::PickSplit(split) => {
            append!(text, "ndel ", split.deleted_count, "; nins ", split.inserted_count);
            describe_flags([(split.inner_is_parent, "innerIsParent"), (split.is_root_split, "isRootSplit")], text);
        }
        SpGist::VacuumRedirect(redirect) => append!(text, "newest XID ", redirect.conflict_horizon),
        SpGist::VacuumLeaf(_) | SpGist::VacuumRoot { .. } | SpGist::Unknown => {}
    }
}
