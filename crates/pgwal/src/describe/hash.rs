//! Source: `src/backend/access/rmgrdesc/hashdesc.c`.

use std::fmt::{self, Write};

use crate::describe::format::{General, Letter};
use crate::rmgr::hash::{Hash, SqueezePage, VacuumOnePage};
use crate::version::Version;

pub(super) fn describe(hash: &Hash, version: Version, text: &mut String) -> fmt::Result {
    match hash {
        Hash::InitMetaPage { tuples, fill_factor, .. } => {
            write!(text, "num_tuples {}, fillfactor {fill_factor}", General(*tuples))
        }
        Hash::InitBitmapPage { bitmap_size } => write!(text, "bmsize {bitmap_size}"),
        Hash::Insert(offset) => write!(text, "off {offset}"),
        Hash::AddOverflowPage { bitmap_size, bitmap_page_found } => {
            write!(text, "bmsize {bitmap_size}, bmpage_found {}", Letter(*bitmap_page_found))
        }
        Hash::SplitAllocatePage(allocate) => write!(
            text,
            "new_bucket {}, meta_page_masks_updated {}, issplitpoint_changed {}",
            allocate.new_bucket,
            Letter(allocate.updates_masks()),
            Letter(allocate.updates_split_point()),
        ),
        Hash::SplitComplete { old_bucket_flags, new_bucket_flags } => {
            write!(text, "old_bucket_flag {old_bucket_flags}, new_bucket_flag {new_bucket_flags}")
        }
        Hash::MovePageContents { count, to_primary } => {
            write!(text, "ntups {count}, is_primary {}", Letter(*to_primary))
        }
        Hash::SqueezePage(SqueezePage { previous, next, count, to_primary, .. }) => {
            let to_primary = Letter(*to_primary);
            write!(text, "prevblkno {previous}, nextblkno {next}, ntups {count}, is_primary {to_primary}")
        }
        Hash::Delete { clear_dead_marking, is_primary } => {
            let (clear_dead_marking, is_primary) = (Letter(*clear_dead_marking), Letter(*is_primary));
            write!(text, "clear_dead_marking {clear_dead_marking}, is_primary {is_primary}")
        }
        Hash::UpdateMetaPage { tuples } => write!(text, "ntuples {}", General(*tuples)),
        Hash::VacuumOnePage(vacuum) => describe_vacuum_one_page(vacuum, version, text),
        Hash::SplitPage | Hash::SplitCleanup | Hash::Unknown => Ok(()),
    }
}

fn describe_vacuum_one_page(vacuum: &VacuumOnePage, version: Version, text: &mut String) -> fmt::Result {
    let horizon = match version {
        Version::V13 => "latest removed xid",
        Version::V14 | Version::V15 => "latestRemovedXid",
        _ => "snapshotConflictHorizon",
    };
    write!(text, "ntuples {}, {horizon} {}", vacuum.count, vacuum.conflict_horizon)?;
    match version < Version::V17 {
        true => Ok(()),
        false => write!(text, ", isCatalogRel {}", Letter(vacuum.is_catalog)),
    }
}
