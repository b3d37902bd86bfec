//! Source: `src/backend/access/rmgrdesc/brindesc.c`.

use std::fmt::{self, Write};

use crate::rmgr::brin::{Brin, Insert};

pub(super) fn describe(brin: &Brin, text: &mut String) -> fmt::Result {
    match brin {
        Brin::CreateIndex { pages_per_range, version } => write!(text, "v{version} pagesPerRange {pages_per_range}"),
        Brin::Insert(Insert { heap_block, pages_per_range, offset }) => {
            write!(text, "heapBlk {heap_block} pagesPerRange {pages_per_range} offnum {offset}")
        }
        Brin::Update { old_offset, insert: Insert { heap_block, pages_per_range, offset } } => {
            write!(text, "heapBlk {heap_block} pagesPerRange {pages_per_range} ")?;
            write!(text, "old offnum {old_offset}, new offnum {offset}")
        }
        Brin::SamePageUpdate(offset) => write!(text, "offnum {offset}"),
        Brin::RevmapExtend(block) => write!(text, "targetBlk {block}"),
        Brin::Desummarize { pages_per_range, heap_block, offset } => {
            write!(text, "pagesPerRange {pages_per_range}, heapBlk {heap_block}, page offset {offset}")
        }
        Brin::Unknown => Ok(()),
    }
}
