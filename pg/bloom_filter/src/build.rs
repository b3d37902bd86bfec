//! `CREATE INDEX`: pages are filled in memory, and each is written and logged once.

use bloom_filter::{Layout, META_BLOCK, MetaPageMut, PageError, RowsPage, RowsPageMut, Signature};
use index_access_method::{Build, Built, Index, IndexError, check_for_interrupts};
use pgrx::PgSqlErrorCode;
use pgwal::{BlockNumber, DataPage, Fork, ItemPointer};
use pgxlog::{GenericXLog, PageChange, log_new_page};

use crate::access_method::signature;
use crate::error::damaged;
use crate::options::layout;

/// Fills a new index.
pub(crate) fn build(build: &Build<'_>) -> Result<Built, IndexError> {
    let index = build.index();
    if index.relation().blocks(Fork::MAIN) != 0 {
        let message = format!("index \"{}\" already contains data", index.name());
        return Err(IndexError::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message));
    }
    // Its place is taken first, and it is written last, when it is known which page has room.
    drop(index.relation().extend(Fork::MAIN));
    let layout = layout(index);
    let mut pages = Pages { index, layout, page: Box::new(DataPage::zeroed()), rows: 0, last: None };
    let table_tuples = build.scan(|row, tuple| pages.add(tuple, &signature(&layout, row)));
    pages.write()?;
    write_meta_page(index, &layout, pages.last)?;
    // Less than 2^53 of them.
    Ok(Built { table_tuples, index_tuples: pages.rows as f64 })
}

/// The pages of an index that is built.
struct Pages<'a> {
    index: Index<'a>,
    layout: Layout,
    /// The one that is filled; new if it has no rows.
    page: Box<DataPage>,
    /// How many rows there are in all.
    rows: u64,
    /// The last one that was written, if it has room.
    last: Option<BlockNumber>,
}

impl Pages<'_> {
    fn add(&mut self, tuple: ItemPointer, signature: &Signature) -> Result<(), IndexError> {
        let mut added = self.add_to_page(tuple, signature);
        if added == Err(PageError::Full) {
            check_for_interrupts();
            self.write()?;
            added = self.add_to_page(tuple, signature);
        }
        self.rows += 1;
        added.map_err(damaged(self.index, META_BLOCK))
    }

    fn add_to_page(&mut self, tuple: ItemPointer, signature: &Signature) -> Result<(), PageError> {
        RowsPageMut::new(&mut self.page, &self.layout)?.add(tuple, signature)
    }

    /// Writes the page behind the others, if it has rows, and begins another.
    fn write(&mut self) -> Result<(), IndexError> {
        if self.page.is_new() {
            return Ok(());
        }
        let relation = self.index.relation();
        let mut buffer = relation.extend(Fork::MAIN);
        let block = buffer.block_number();
        let has_room = RowsPage::new(&self.page, &self.layout).is_ok_and(|rows| rows.room() > 0);
        let change = GenericXLog::start(relation);
        let page = change.register(&mut buffer, PageChange::FullImage)?;
        page.as_bytes_mut().copy_from_slice(self.page.as_bytes());
        change.finish()?;
        self.last = has_room.then_some(block);
        *self.page = DataPage::zeroed();
        Ok(())
    }
}

fn write_meta_page(index: Index<'_>, layout: &Layout, with_room: Option<BlockNumber>) -> Result<(), IndexError> {
    let relation = index.relation();
    let mut buffer = relation.read(Fork::MAIN, META_BLOCK).exclusive();
    let change = GenericXLog::start(relation);
    let page = change.register(&mut buffer, PageChange::FullImage)?;
    MetaPageMut::init(page, layout).set_pages_with_room(with_room.as_slice());
    change.finish()?;
    Ok(())
}

/// Makes the init fork of an unlogged index, which Generic WAL would not log.
pub(crate) fn build_empty(index: Index<'_>) {
    let layout = layout(index);
    let mut buffer = index.relation().extend(Fork::INIT);
    log_new_page(&mut buffer, true, |page| {
        MetaPageMut::init(page, &layout);
    });
}
