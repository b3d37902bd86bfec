//! Source: `src/backend/access/rmgrdesc/hashdesc.c`.

use crate::describe::format::{General, Letter};
use crate::rmgr::hash::{Hash, SqueezePage, VacuumOnePage};
use crate::text::{TextBuffer, append};
use crate::version::Version;

pub(super) fn describe(hash: &Hash, version: Version, text: &mut TextBuffer) {
    match hash {
        Hash::InitMetaPage { tuples, fill_factor, .. } => {
            append!(text, "num_tuples ", General(*tuples), ", fillfactor ", fill_factor);
        }
        Hash::InitBitmapPage { bitmap_size } => append!(text, "bmsize ", bitmap_size),
        Hash::Insert(offset) => append!(text, "off ", offset),
        Hash::AddOverflowPage { bitmap_size, bitmap_page_found } => {
            append!(text, "bmsize ", bitmap_size, ", bmpage_found ", Letter(*bitmap_page_found));
        }
        Hash::SplitAllocatePage(allocate) => {
            append!(text, "new_bucket ", allocate.new_bucket);
            append!(text, ", meta_page_masks_updated ", Letter(allocate.updates_masks()));
            append!(text, ", issplitpoint_changed ", Letter(allocate.updates_split_point()));
        }
        Hash::SplitComplete { old_bucket_flags, new_bucket_flags } => {
            append!(text, "old_bucket_flag ", old_bucket_flags, ", new_bucket_flag ", new_bucket_flags);
        }
        Hash::MovePageContents { count, to_primary } => {
            append!(text, "ntups ", count, ", is_primary ", Letter(*to_primary));
        }
        Hash::SqueezePage(SqueezePage { previous, next, count, to_primary, .. }) => {
            let to_primary = Letter(*to_primary);
            append!(text, "prevblkno ", previous, ", nextblkno ", next, ", ntups ", count, ", is_primary ", to_primary);
        }
        Hash::Delete { clear_dead_marking, is_primary } => {
            let (clear_dead_marking, is_primary) = (Letter(*clear_dead_marking), Letter(*is_primary));
            append!(text, "clear_dead_marking ", clear_dead_marking, ", is_primary ", is_primary);
        }
        Hash::UpdateMetaPage { tuples } => append!(text, "ntuples ", General(*tuples)),
        Hash::VacuumOnePage(vacuum) => describe_vacuum_one_page(vacuum, version, text),
        Hash::SplitPage | Hash::SplitCleanup | Hash::Unknown => {}
    }
}

fn describe_vacuum_one_page(vacuum: &VacuumOnePage, version: Version, text: &mut TextBuffer) {
    let horizon = match version {
        Version::V13 => "latest removed xid",
        Version::V14 | Version::V15 => "latestRemovedXid",
        _ => "snapshotConflictHorizon",
    };
    append!(text, "ntuples ", vacuum.count, ", ", horizon, " ", vacuum.conflict_horizon);
    if version >= Version::V17 {
        append!(text, ", isCatalogRel ", Letter(vacuum.is_catalog));
    }
}
