//! Pages: as a record finds them, and as it holds them itself.

use pgwal::{
    Block as BlockReference, BlockNumber, Fork, HeapPage, Image, Lsn, Malformed, Record, RelFileLocator,
    VisibilityMapPage,
};

use super::{GarbageMap, PAGE_SIZE};
use crate::block_range::{Block, Standing};
use crate::inexact::Inexact;
use crate::page::TrackedPage;
use crate::page_image::{self, PageImage};
use crate::transaction_log::Knowledge;

/// A page image could not be turned into a page.
struct NotUnderstood;

impl GarbageMap {
    /// The page that the record changes, as it was before, unless the record holds it as it is afterwards (then it is
    /// taken from there) or it is not known.
    pub(super) fn page_to_change(
        &mut self,
        record: &Record<'_>,
        block: &BlockReference<'_>,
    ) -> Option<&mut TrackedPage> {
        if block.fork != Fork::MAIN {
            return None;
        }
        if let Some(image) = block.applied_image() {
            self.take_image(record, block, image);
            return None;
        }
        let relation = self.relations.entry(block.relation).or_default();
        if block.will_init() {
            relation.track(block.number, TrackedPage::initialised(PAGE_SIZE));
            self.memory.tracked += 1;
        } else if relation.block(block.number).is_none() && relation.standing(block.number) == Standing::Known {
            relation.lose(block.number, Inexact::ChangedWithoutImage(record.lsn), record.lsn);
        }
        match relation.block(block.number) {
            Some(Block::Tracked(page)) => {
                page.last_lsn = record.end;
                Some(page)
            }
            _ => None,
        }
    }

    /// The image is the page after the record.
    pub(super) fn take_image(&mut self, record: &Record<'_>, block: &BlockReference<'_>, image: &Image<'_>) {
        match self.read_image(image) {
            Ok(None) => {}
            Ok(Some(image)) => self.install(block.relation, block.number, image, record.end),
            Err(NotUnderstood) => {
                let cause = Inexact::NotUnderstood(record.lsn);
                self.relation(block.relation).lose(block.number, cause, record.lsn);
            }
        }
    }

    /// The page is as it was read.
    pub(super) fn install(
        &mut self,
        locator: RelFileLocator,
        number: BlockNumber,
        PageImage { mut page, all_visible, deleters, inexact }: PageImage,
        last_lsn: Lsn,
    ) {
        page.last_lsn = last_lsn;
        let relation = self.relations.entry(locator).or_default();
        // Those of a page that was known were told when they died.
        if !deleters.is_empty() && !relation.was_told(number) {
            for deleter in deleters {
                relation.activity.found_dead(deleter, self.removable_before);
            }
        }
        for pending in &page.pending {
            self.transactions.wait(pending.xid, locator, number);
            if !self.transactions.is_open(pending.xid) {
                relation.note_unknown(pending.xid);
            }
        }
        // Of a block that was told of before, its bit was too.
        if all_visible && relation.standing(number) == Standing::Untold {
            relation.set_all_visible(number, true);
        }
        relation.track(number, page);
        self.memory.tracked += 1;
        if let Some(cause) = inexact {
            relation.note(cause);
        }
    }

    /// `None` for a page with special space: that of an index or a sequence.
    fn read_image(&mut self, image: &Image<'_>) -> Result<Option<PageImage>, NotUnderstood> {
        image.restore(&mut self.page).map_err(|_| NotUnderstood)?;
        let page = HeapPage::parse(&self.page).map_err(|_| NotUnderstood)?;
        if page.has_special_space() {
            return Ok(None);
        }
        let Self { transactions, multixacts, server, .. } = self;
        let mut knowledge = Knowledge { transactions, multixacts, server: server.as_deref() };
        page_image::read(&page, &mut knowledge).map(Some).map_err(|_| NotUnderstood)
    }

    /// The page, which is not of the map's own buffer.
    pub(super) fn read_page(&mut self, page: &HeapPage<'_>) -> Result<PageImage, Malformed> {
        let Self { transactions, multixacts, server, .. } = self;
        page_image::read(page, &mut Knowledge { transactions, multixacts, server: server.as_deref() })
    }

    /// An image that redo does not apply is there to check redo by: it must be what the record led to.
    pub(super) fn compare_image(&mut self, record: &Record<'_>, block: &BlockReference<'_>) {
        let Some(image) = block.image.filter(|image| !image.apply) else { return };
        if block.fork != Fork::MAIN {
            return;
        }
        let Ok(Some(PageImage { page: after, .. })) = self.read_image(&image) else { return };
        let Some(relation) = self.relations.get_mut(&block.relation) else { return };
        if let Some(Block::Tracked(page)) = relation.block(block.number) {
            // The server may have told how a transaction ends before the log does: then the image is read so already.
            let told_ahead = page.pending.iter().any(|pending| self.transactions.status(pending.xid).is_some());
            let same_dead = told_ahead || page.counts().dead_tuples == after.counts().dead_tuples;
            let same = page.same_items(&after) && same_dead;
            if !same {
                relation.note(Inexact::DiffersFromImage(record.lsn));
            }
        }
    }

    /// Pages of any kind that were logged as a whole.
    pub(super) fn take_page_images(&mut self, record: &Record<'_>) {
        for block in &record.blocks {
            let Some(image) = block.applied_image() else { continue };
            match block.fork {
                Fork::MAIN => self.take_image(record, block, image),
                Fork::VISIBILITY_MAP => self.take_visibility_map(block, image),
                _ => {}
            }
        }
    }

    pub(super) fn take_visibility_map(&mut self, block: &BlockReference<'_>, image: &Image<'_>) {
        if image.restore(&mut self.page).is_err() {
            return;
        }
        let map = VisibilityMapPage::new(&self.page, block.number);
        let relation = self.relations.entry(block.relation).or_default();
        relation.clear_all_visible(map.blocks().start, map.blocks().end);
        for (number, bits) in map.set_bits() {
            if bits & VisibilityMapPage::ALL_VISIBLE != 0 {
                relation.set_all_visible(number, true);
            }
        }
    }

    /// The record changes nothing that counts, but may hold images, and makes pages younger.
    pub(super) fn touch(&mut self, record: &Record<'_>) {
        for block in &record.blocks {
            self.page_to_change(record, block);
        }
    }

    pub(super) fn clear_all_visible(&mut self, block: &BlockReference<'_>) {
        if block.fork == Fork::MAIN
            && let Some(relation) = self.relations.get_mut(&block.relation)
        {
            relation.set_all_visible(block.number, false);
        }
    }
}
