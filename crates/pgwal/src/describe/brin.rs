//! Source: `src/backend/access/rmgrdesc/brindesc.c`.

use crate::rmgr::brin::{Brin, Insert};
use crate::text::{TextBuffer, append};

pub(super) fn describe(brin: &Brin, text: &mut TextBuffer) {
    match brin {
        Brin::CreateIndex { pages_per_range, version } => {
            append!(text, "v", version, " pagesPerRange ", pages_per_range)
        }
        Brin::Insert(Insert { heap_block, pages_per_range, offset }) => {
            append!(text, "heapBlk ", heap_block, " pagesPerRange ", pages_per_range, " offnum ", offset);
        }
        Brin::Update { old_offset, insert: Insert { heap_block, pages_per_range, offset } } => {
            append!(text, "heapBlk ", heap_block, " pagesPerRange ", pages_per_range, " ");
            append!(text, "old offnum ", old_offset, ", new offnum ", offset);
        }
        Brin::SamePageUpdate(offset) => append!(text, "offnum ", offset),
        Brin::RevmapExtend(block) => append!(text, "targetBlk ", block),
        Brin::Desummarize { pages_per_range, heap_block, offset } => {
            append!(text, "pagesPerRange ", pages_per_range, ", heapBlk ", heap_block, ", page offset ", offset);
        }
        Brin::Unknown => {}
    }
}
