//! `VACUUM`.
//!
//! A page that got empty is free: it is put into the free space map, and is used again as it is. Pages with room are noted in the meta
//! page. Pages never move and the file never gets shorter, so that a scan needs no pin on what it has read.

use bloom_filter::{Layout, META_BLOCK, MetaPage, MetaPageMut, RowsPage, RowsPageMut};
use index_access_method::{DeadTuples, Index, IndexError, Vacuum, VacuumStatistics};
use pgwal::{BlockNumber, Fork};
use pgxlog::{ExclusiveBuffer, GenericXLog, PageChange};

use crate::error::damaged;

/// A page is noted as one with room if this part of it is free: fewer rows are not worth a visit.
const WORTHWHILE: usize = 8;

/// Removes the rows of dead tuples.
pub(crate) fn bulk_delete(
    vacuum: &Vacuum<'_>,
    dead: &mut DeadTuples<'_>,
    statistics: &mut VacuumStatistics,
) -> Result<(), IndexError> {
    let index = vacuum.index();
    let layout = layout(index)?;
    for block in blocks(index) {
        vacuum.delay_point();
        let buffer = index.relation().read(Fork::MAIN, block).share();
        if buffer.page().is_new() {
            continue;
        }
        let rows = RowsPage::new(buffer.page(), &layout).map_err(damaged(index, block))?;
        // All are looked at: that is how CREATE INDEX CONCURRENTLY learns which there are.
        let count = rows.rows().filter(|(tuple, _)| dead.contains(*tuple)).count();
        if count > 0 {
            // Rows may be added between the locks, and they are none of the dead.
            let removed = remove(index, &layout, &mut buffer.unlock().exclusive(), dead)?;
            statistics.tuples_removed += removed as f64;
        }
    }
    Ok(())
}

fn remove(
    index: Index<'_>,
    layout: &Layout,
    buffer: &mut ExclusiveBuffer<'_>,
    dead: &mut DeadTuples<'_>,
) -> Result<usize, IndexError> {
    let block = buffer.block_number();
    let change = GenericXLog::start(index.relation());
    let page = change.register(buffer, PageChange::Delta)?;
    let mut rows = RowsPageMut::new(page, layout).map_err(damaged(index, block))?;
    let removed = rows.remove(|tuple| dead.contains(tuple));
    change.finish()?;
    Ok(removed)
}

/// Finds out which pages can be filled, and counts.
pub(crate) fn cleanup(vacuum: &Vacuum<'_>, statistics: &mut VacuumStatistics) -> Result<(), IndexError> {
    let index = vacuum.index();
    let relation = index.relation();
    let layout = layout(index)?;
    let mut with_room = Vec::new();
    let (mut tuples, mut free) = (0, 0);
    for block in blocks(index) {
        vacuum.delay_point();
        let buffer = relation.read(Fork::MAIN, block).share();
        let rows = match buffer.page().is_new() {
            true => None,
            false => Some(RowsPage::new(buffer.page(), &layout).map_err(damaged(index, block))?),
        };
        let (len, room) = rows.map_or((0, 0), |rows| (rows.len(), rows.room()));
        drop(buffer);
        tuples += len;
        if len == 0 {
            relation.add_free_block(block);
            free += 1;
        } else if room >= layout.rows_per_page().div_ceil(WORTHWHILE) {
            with_room.push(block);
        }
    }
    relation.publish_free_blocks();
    note(index, &with_room)?;
    statistics.pages = relation.blocks(Fork::MAIN);
    statistics.tuples = tuples as f64;
    (statistics.pages_deleted, statistics.pages_free) = (free, free);
    Ok(())
}

/// Notes pages with room in the meta page, if others are noted there.
fn note(index: Index<'_>, with_room: &[BlockNumber]) -> Result<(), IndexError> {
    let with_room = with_room.get(..MetaPage::MAX_PAGES_WITH_ROOM).unwrap_or(with_room);
    let mut buffer = index.relation().read(Fork::MAIN, META_BLOCK).exclusive();
    let meta = MetaPage::new(buffer.page()).map_err(damaged(index, META_BLOCK))?;
    if meta.pages_with_room() == with_room {
        return Ok(());
    }
    let change = GenericXLog::start(index.relation());
    let page = change.register(&mut buffer, PageChange::Delta)?;
    MetaPageMut::new(page).map_err(damaged(index, META_BLOCK))?.set_pages_with_room(with_room);
    change.finish()?;
    Ok(())
}

fn layout(index: Index<'_>) -> Result<Layout, IndexError> {
    let buffer = index.relation().read(Fork::MAIN, META_BLOCK).share();
    MetaPage::new(buffer.page()).and_then(|meta| meta.layout()).map_err(damaged(index, META_BLOCK))
}

/// All with rows. What is added meanwhile holds nothing dead.
fn blocks(index: Index<'_>) -> impl Iterator<Item = BlockNumber> {
    (1..index.relation().blocks(Fork::MAIN)).map(BlockNumber::new)
}
