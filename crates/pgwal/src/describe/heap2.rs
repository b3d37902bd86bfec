//! Source: `src/backend/access/rmgrdesc/heapdesc.c`: `heap2_desc`.

use std::fmt::{self, Display, Formatter, Write};

use crate::describe::format::{Letter, list};
use crate::describe::heap::describe_lock;
use crate::record::Record;
use crate::rmgr::Offsets;
use crate::rmgr::heap2::{FreezePage, FreezePlan, Heap2, MultiInsert, NewCommandId, Prune};
use crate::version::Version;

/// 16 put a colon behind each name, and told the line pointers; 17 made one kind of record of pruning and freezing.
pub(super) fn describe(record: &Record<'_>, heap2: &Heap2<'_>, text: &mut String) -> fmt::Result {
    let version = record.version;
    match heap2 {
        Heap2::Prune(prune) => match version {
            Version::V13 | Version::V14 | Version::V15 => describe_prune_15(prune, version, text),
            Version::V16 => describe_prune_16(prune, text),
            Version::V17 | Version::V18 => describe_prune_17(prune, text),
        },
        Heap2::FreezePage(freeze) => describe_freeze_page(freeze, version, text),
        Heap2::CleanupInfo(horizon) => write!(text, "remxid {horizon}"),
        Heap2::Visible(visible) if version < Version::V16 => {
            write!(text, "cutoff xid {} flags 0x{:02X}", visible.cutoff, visible.flags)
        }
        Heap2::Visible(visible) => {
            write!(text, "snapshotConflictHorizon: {}, flags: 0x{:02X}", visible.cutoff, visible.flags)
        }
        Heap2::MultiInsert(insert) => describe_multi_insert(record, insert, text),
        Heap2::LockUpdated(lock) => describe_lock(lock, "xmax", version, text),
        Heap2::NewCommandId(NewCommandId { relation, block, offset, cmin, cmax, combo, .. }) => {
            match version < Version::V16 {
                true => write!(text, "rel {relation}; tid {block}/{offset}; ")?,
                false => write!(text, "rel: {relation}, tid: {block}/{offset}, ")?,
            }
            write!(text, "cmin: {cmin}, cmax: {cmax}, combo: {combo}")
        }
        Heap2::Rewrite => Ok(()),
    }
}

fn describe_prune_15(prune: &Prune<'_>, version: Version, text: &mut String) -> fmt::Result {
    match prune.conflict_horizon {
        Some(horizon) if version == Version::V13 => write!(text, "remxid {horizon}"),
        Some(horizon) => {
            let (redirected, dead) = (prune.redirected_count, prune.dead_count);
            write!(text, "latestRemovedXid {horizon} nredirected {redirected} ndead {dead}")
        }
        None => write!(text, "nunused {}", prune.unused_count),
    }
}

fn describe_prune_16(prune: &Prune<'_>, text: &mut String) -> fmt::Result {
    let Some(horizon) = prune.conflict_horizon else {
        write!(text, "nunused: {}", prune.unused_count)?;
        let Some(changes) = &prune.changes else { return Ok(()) };
        return describe_offsets("unused", changes.unused, text);
    };
    let (redirected, dead) = (prune.redirected_count, prune.dead_count);
    write!(text, "snapshotConflictHorizon: {horizon}, nredirected: {redirected}, ndead: {dead}")?;
    let Some(changes) = &prune.changes else { return Ok(()) };
    write!(text, ", nunused: {}", changes.unused.len())?;
    describe_redirected(changes.redirected, text)?;
    describe_offsets("dead", changes.dead, text)?;
    describe_offsets("unused", changes.unused, text)
}

/// Without a horizon the text begins with a comma.
fn describe_prune_17(prune: &Prune<'_>, text: &mut String) -> fmt::Result {
    if let Some(horizon) = prune.conflict_horizon {
        write!(text, "snapshotConflictHorizon: {horizon}")?;
    }
    write!(text, ", isCatalogRel: {}", Letter(prune.is_catalog))?;
    let Some(changes) = &prune.changes else { return Ok(()) };
    let (redirected, dead, unused) = (changes.redirected.pairs().count(), changes.dead.len(), changes.unused.len());
    write!(text, ", nplans: {}, ", prune.freeze_plans.len())?;
    write!(text, "nredirected: {redirected}, ndead: {dead}, nunused: {unused}")?;
    if !prune.freeze_plans.is_empty() {
        describe_plans(&prune.freeze_plans, text)?;
    }
    if redirected > 0 {
        describe_redirected(changes.redirected, text)?;
    }
    if dead > 0 {
        describe_offsets("dead", changes.dead, text)?;
    }
    if unused > 0 {
        describe_offsets("unused", changes.unused, text)?;
    }
    Ok(())
}

fn describe_offsets(label: &str, offsets: Offsets<'_>, text: &mut String) -> fmt::Result {
    write!(text, ", {label}:")?;
    list(offsets.iter(), text)
}

fn describe_redirected(offsets: Offsets<'_>, text: &mut String) -> fmt::Result {
    text.write_str(", redirected:")?;
    list(offsets.pairs().map(|(from, to)| format!("{from}->{to}")), text)
}

fn describe_plans(plans: &[FreezePlan<'_>], text: &mut String) -> fmt::Result {
    text.write_str(", plans:")?;
    list(plans.iter().map(PlanElement), text)
}

/// Source: `plan_elem_desc`.
struct PlanElement<'a>(&'a FreezePlan<'a>);

impl Display for PlanElement<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let FreezePlan { xmax, infomask2, infomask, offsets, .. } = self.0;
        let mut tuples = String::new();
        list(offsets.iter(), &mut tuples)?;
        write!(formatter, "{{ xmax: {xmax}, infomask: {infomask}, infomask2: {infomask2}, ")?;
        write!(formatter, "ntuples: {}, offsets:{tuples} }}", offsets.len())
    }
}

fn describe_freeze_page(freeze: &FreezePage<'_>, version: Version, text: &mut String) -> fmt::Result {
    let FreezePage { cutoff, count, plans, .. } = freeze;
    if version < Version::V16 {
        return write!(text, "cutoff xid {cutoff} ntuples {count}");
    }
    write!(text, "snapshotConflictHorizon: {cutoff}, nplans: {count}")?;
    match plans {
        Some(plans) => describe_plans(plans, text),
        None => Ok(()),
    }
}

fn describe_multi_insert(record: &Record<'_>, insert: &MultiInsert<'_>, text: &mut String) -> fmt::Result {
    let (count, flags) = (insert.count, insert.flags.bits());
    if record.version < Version::V16 {
        return write!(text, "{count} tuples flags 0x{flags:02X}");
    }
    write!(text, "ntuples: {count}, flags: 0x{flags:02X}")?;
    match record.block(0) {
        Some(block) if !block.data.is_empty() && !insert.init_page => {
            text.write_str(", offsets:")?;
            list(insert.offsets(), text)
        }
        _ => Ok(()),
    }
}
