//! Pages from the tables' files: what the log does not tell, since it was not changed in the part that was read.
//!
//! Such a page is in its file as it is: all that was changed before the first record was written by the first checkpoint
//! that began in the log that was read. If the file holds the page in another state, or half of it in another, then it is
//! because it was changed since: then the log holds it as a whole, with `full_page_writes`, and that takes the place of
//! what was read here.

use pgwal::{BlockNumber, HeapPage, Lsn, RelFileLocator, VisibilityMapPage};

use super::GarbageMap;
use crate::relation::{FileProgress, Relation};

/// What a page of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilePage {
    /// That of a heap, or new.
    Heap,
    /// That of something else: an index, or a sequence.
    Other,
}

impl GarbageMap {
    /// Whether pages may be taken from files.
    pub(crate) fn can_use_files(&self) -> bool {
        self.flushed.is_valid() && self.flushed >= self.incomplete_before && self.everywhere.is_none()
    }

    /// Since when pages of files can be used: what came into being before is in a file.
    pub(crate) fn flushed(&self) -> Lsn {
        self.flushed
    }

    /// From which block on the file is to be read; `None` if there is no need.
    pub(crate) fn file_progress(&self, locator: RelFileLocator) -> Option<BlockNumber> {
        self.relations.get(&locator).map_or(Some(BlockNumber::new(0)), Relation::to_be_read)
    }

    /// Notes how much of the file was read.
    pub(crate) fn set_file_progress(&mut self, locator: RelFileLocator, progress: FileProgress) {
        let flushed = self.flushed;
        self.relation(locator).set_progress(progress, flushed);
    }

    /// Takes a page from its file, with its bits of the visibility map, unless the log has told of it.
    pub(crate) fn take_file_page(
        &mut self,
        locator: RelFileLocator,
        number: BlockNumber,
        page: &[u8],
        visibility: u8,
    ) -> FilePage {
        // One that makes no sense is being written: the log tells of it.
        let Ok(heap) = HeapPage::parse(page) else { return FilePage::Heap };
        if heap.has_special_space() {
            return FilePage::Other;
        }
        let may_be_read =
            self.relations.get(&locator).is_none_or(|relation| relation.may_be_read(number, self.flushed));
        if !may_be_read || heap.lsn() > self.position {
            return FilePage::Heap;
        }
        let Ok(mut image) = self.read_page(&heap) else { return FilePage::Heap };
        image.all_visible = visibility & VisibilityMapPage::ALL_VISIBLE != 0;
        self.install(locator, number, image, heap.lsn());
        FilePage::Heap
    }
}
