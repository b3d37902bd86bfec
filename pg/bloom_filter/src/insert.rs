//! A new row.
//!
//! Each session has one of a few target pages, so that several insert at the same time. Only when it is full the meta page is locked
//! exclusively: for a page that has room again, or one that is free, or a new one, which becomes the target.

use bloom_filter::{Layout, META_BLOCK, MetaPage, MetaPageMut, RowsPage, RowsPageMut, Signature};
use index_access_method::{Index, IndexError, Row, process_id};
use pgwal::{BlockNumber, DataPage, Fork, ItemPointer};
use pgxlog::{ExclusiveBuffer, GenericXLog, PageChange};

use crate::access_method::signature;
use crate::error::damaged;

/// Puts a row into the index.
pub(crate) fn insert(index: Index<'_>, row: &Row<'_>, tuple: ItemPointer) -> Result<(), IndexError> {
    let session = process_id();
    let meta_buffer = index.relation().read(Fork::MAIN, META_BLOCK).share();
    let meta = MetaPage::new(meta_buffer.page()).map_err(damaged(index, META_BLOCK))?;
    let (layout, target) = (meta.layout().map_err(damaged(index, META_BLOCK))?, meta.target(session));
    let meta_buffer = meta_buffer.unlock();
    let new_row = NewRow { index, layout, tuple, signature: signature(&layout, row) };
    if let Some(block) = target
        && new_row.add_to_target(block)?
    {
        return Ok(());
    }
    new_row.add_elsewhere(meta_buffer.exclusive(), session, target)
}

/// A row, and the index into which it is to be put.
struct NewRow<'a> {
    index: Index<'a>,
    layout: Layout,
    tuple: ItemPointer,
    signature: Signature,
}

impl<'a> NewRow<'a> {
    /// Adds the row to that page, if there is room; returns whether there was.
    fn add_to_target(&self, block: BlockNumber) -> Result<bool, IndexError> {
        let Some(mut buffer) = self.with_room(block)? else { return Ok(false) };
        let change = GenericXLog::start(self.index.relation());
        self.add(&change, &mut buffer)?;
        change.finish()?;
        Ok(true)
    }

    /// Adds the row to another page than `full`, and makes that the session's target.
    fn add_elsewhere(
        &self,
        mut meta_buffer: ExclusiveBuffer<'a>,
        session: u32,
        full: Option<BlockNumber>,
    ) -> Result<(), IndexError> {
        let meta = MetaPage::new(meta_buffer.page()).map_err(damaged(self.index, META_BLOCK))?;
        // Another session may have been here first.
        let target = meta.target(session).filter(|target| Some(*target) != full);
        let mut noted = meta.pages_with_room();
        let mut buffer = self.find(target, &mut noted)?;
        let block = buffer.block_number();
        let change = GenericXLog::start(self.index.relation());
        // In the order in which they were locked.
        let page = change.register(&mut meta_buffer, PageChange::Delta)?;
        let mut meta = MetaPageMut::new(page).map_err(damaged(self.index, META_BLOCK))?;
        meta.set_target(session, block);
        meta.set_pages_with_room(&noted);
        self.add(&change, &mut buffer)?;
        change.finish()?;
        Ok(())
    }

    /// A page with room: the target, one of those noted, one that is free, or a new one. Those noted that were looked at are
    /// removed from the list.
    fn find(
        &self,
        target: Option<BlockNumber>,
        noted: &mut Vec<BlockNumber>,
    ) -> Result<ExclusiveBuffer<'a>, IndexError> {
        let relation = self.index.relation();
        let mut target = target;
        while let Some(block) = target.take().or_else(|| noted.pop()).or_else(|| self.free_block()) {
            if let Some(buffer) = self.with_room(block)? {
                return Ok(buffer);
            }
        }
        Ok(relation.extend(Fork::MAIN))
    }

    /// A block of which the free space map says that it is free.
    fn free_block(&self) -> Option<BlockNumber> {
        let relation = self.index.relation();
        // The map survives no crash, after which it may tell of blocks that there are not.
        let blocks = 1..relation.blocks(Fork::MAIN);
        std::iter::from_fn(|| relation.take_free_block()).find(|block| blocks.contains(&block.get()))
    }

    /// That page, locked, if there is room on it.
    fn with_room(&self, block: BlockNumber) -> Result<Option<ExclusiveBuffer<'a>>, IndexError> {
        let buffer = self.index.relation().read(Fork::MAIN, block).exclusive();
        let has_room = self.has_room(buffer.page(), block)?;
        Ok(has_room.then_some(buffer))
    }

    fn has_room(&self, page: &DataPage, block: BlockNumber) -> Result<bool, IndexError> {
        if page.is_new() {
            return Ok(true);
        }
        let rows = RowsPage::new(page, &self.layout).map_err(damaged(self.index, block))?;
        Ok(rows.room() > 0)
    }

    fn add<'b>(&self, change: &GenericXLog<'b>, buffer: &'b mut ExclusiveBuffer<'a>) -> Result<(), IndexError> {
        let block = buffer.block_number();
        let kind = if buffer.page().is_new() { PageChange::FullImage } else { PageChange::Delta };
        let page = change.register(buffer, kind)?;
        RowsPageMut::new(page, &self.layout)
            .and_then(|mut rows| rows.add(self.tuple, &self.signature))
            .map_err(damaged(self.index, block))
    }
}
