//! Source: `src/backend/access/rmgrdesc/heapdesc.c`: `heap2_desc`.

use crate::describe::format::{Letter, list};
use crate::describe::heap::describe_lock;
use crate::record::Record;
use crate::rmgr::Offsets;
use crate::rmgr::heap2::{FreezePage, FreezePlan, Heap2, MultiInsert, NewCommandId, Prune};
use crate::text::{Hex2, TextBuffer, append, pieces};
use crate::version::Version;

/// 16 put a colon behind each name, and told the line pointers; 17 made one kind of record of pruning and freezing.
pub(super) fn describe(record: &Record<'_>, heap2: &Heap2<'_>, text: &mut TextBuffer) {
    let version = record.version;
    match heap2 {
        Heap2::Prune(prune) => match version {
            Version::V13 | Version::V14 | Version::V15 => describe_prune_15(prune, version, text),
            Version::V16 => describe_prune_16(prune, text),
            Version::V17 | Version::V18 => describe_prune_17(prune, text),
        },
        Heap2::FreezePage(freeze) => describe_freeze_page(freeze, version, text),
        Heap2::CleanupInfo(horizon) => append!(text, "remxid ", horizon),
        Heap2::Visible(visible) if version < Version::V16 => {
            append!(text, "cutoff xid ", visible.cutoff, " flags 0x", Hex2(visible.flags));
        }
        Heap2::Visible(visible) => {
            append!(text, "snapshotConflictHorizon: ", visible.cutoff, ", flags: 0x", Hex2(visible.flags));
        }
        Heap2::MultiInsert(insert) => describe_multi_insert(record, insert, text),
        Heap2::LockUpdated(lock) => describe_lock(lock, "xmax", version, text),
        Heap2::NewCommandId(NewCommandId { relation, block, offset, cmin, cmax, combo, .. }) => {
            match version < Version::V16 {
                true => append!(text, "rel ", relation, "; tid ", block, "/", offset, "; "),
                false => append!(text, "rel: ", relation, ", tid: ", block, "/", offset, ", "),
            }
            append!(text, "cmin: ", cmin, ", cmax: ", cmax, ", combo: ", combo);
        }
        Heap2::Rewrite => {}
    }
}

fn describe_prune_15(prune: &Prune<'_>, version: Version, text: &mut TextBuffer) {
    match prune.conflict_horizon {
        Some(horizon) if version == Version::V13 => append!(text, "remxid ", horizon),
        Some(horizon) => {
            let (redirected, dead) = (prune.redirected_count, prune.dead_count);
            append!(text, "latestRemovedXid ", horizon, " nredirected ", redirected, " ndead ", dead);
        }
        None => append!(text, "nunused ", prune.unused_count),
    }
}

fn describe_prune_16(prune: &Prune<'_>, text: &mut TextBuffer) {
    let Some(horizon) = prune.conflict_horizon else {
        append!(text, "nunused: ", prune.unused_count);
        let Some(changes) = &prune.changes else { return };
        return describe_offsets("unused", changes.unused, text);
    };
    let (redirected, dead) = (prune.redirected_count, prune.dead_count);
    append!(text, "snapshotConflictHorizon: ", horizon, ", nredirected: ", redirected, ", ndead: ", dead);
    let Some(changes) = &prune.changes else { return };
    append!(text, ", nunused: ", changes.unused.len());
    describe_redirected(changes.redirected, text);
    describe_offsets("dead", changes.dead, text);
    describe_offsets("unused", changes.unused, text);
}

/// Without a horizon the text begins with a comma.
fn describe_prune_17(prune: &Prune<'_>, text: &mut TextBuffer) {
    if let Some(horizon) = prune.conflict_horizon {
        append!(text, "snapshotConflictHorizon: ", horizon);
    }
    append!(text, ", isCatalogRel: ", Letter(prune.is_catalog));
    let Some(changes) = &prune.changes else { return };
    let (redirected, dead, unused) = (changes.redirected.pairs().count(), changes.dead.len(), changes.unused.len());
    append!(text, ", nplans: ", prune.freeze_plans.len(), ", ");
    append!(text, "nredirected: ", redirected, ", ndead: ", dead, ", nunused: ", unused);
    if !prune.freeze_plans.is_empty() {
        describe_plans(&prune.freeze_plans, text);
    }
    if redirected > 0 {
        describe_redirected(changes.redirected, text);
    }
    if dead > 0 {
        describe_offsets("dead", changes.dead, text);
    }
    if unused > 0 {
        describe_offsets("unused", changes.unused, text);
    }
}

fn describe_offsets(label: &str, offsets: Offsets<'_>, text: &mut TextBuffer) {
    append!(text, ", ", label, ":");
    list(offsets.iter(), text);
}

fn describe_redirected(offsets: Offsets<'_>, text: &mut TextBuffer) {
    append!(text, ", redirected:");
    list(offsets.pairs().map(|(from, to)| pieces!(from, "->", to)), text);
}

/// Source: `plan_elem_desc`.
fn describe_plans(plans: &[FreezePlan<'_>], text: &mut TextBuffer) {
    append!(text, ", plans: [");
    for (number, FreezePlan { xmax, infomask2, infomask, offsets, .. }) in plans.iter().enumerate() {
        append!(text, if number == 0 { "" } else { ", " }, "{ xmax: ", xmax, ", infomask: ", infomask);
        append!(text, ", infomask2: ", infomask2, ", ntuples: ", offsets.len(), ", offsets:");
        list(offsets.iter(), text);
        append!(text, " }");
    }
    append!(text, "]");
}

fn describe_freeze_page(freeze: &FreezePage<'_>, version: Version, text: &mut TextBuffer) {
    let FreezePage { cutoff, count, plans, .. } = freeze;
    if version < Version::V16 {
        return append!(text, "cutoff xid ", cutoff, " ntuples ", count);
    }
    append!(text, "snapshotConflictHorizon: ", cutoff, ", nplans: ", count);
    if let Some(plans) = plans {
        describe_plans(plans, text);
    }
}

fn describe_multi_insert(record: &Record<'_>, insert: &MultiInsert<'_>, text: &mut TextBuffer) {
    let (count, flags) = (insert.count, insert.flags.bits());
    if record.version < Version::V16 {
        return append!(text, count, " tuples flags 0x", Hex2(flags));
    }
    append!(text, "ntuples: ", count, ", flags: 0x", Hex2(flags));
    match record.block(0) {
        Some(block) if !block.data.is_empty() && !insert.init_page => {
            append!(text, ", offsets:");
            list(insert.offsets(), text);
        }
        _ => {}
    }
}
