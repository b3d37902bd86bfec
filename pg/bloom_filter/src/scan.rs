//! Scans: every page is read, and each row whose signature has all of the query's bits is to be looked at in the table.

use bloom_filter::{META_BLOCK, MetaPage, Query, RowsPage, Signature};
use index_access_method::{Index, IndexError, ScanKeys, TidBitmap, check_for_interrupts};
use pgwal::{BlockNumber, Fork};

use crate::access_method::hash;
use crate::error::damaged;

/// Puts the tuples that may satisfy all conditions into the bitmap.
pub(crate) fn scan<'a>(index: Index<'a>, keys: &ScanKeys<'a>, bitmap: &mut TidBitmap<'a>) -> Result<(), IndexError> {
    let relation = index.relation();
    let meta_buffer = relation.read(Fork::MAIN, META_BLOCK).share();
    let layout =
        MetaPage::new(meta_buffer.page()).and_then(|meta| meta.layout()).map_err(damaged(index, META_BLOCK))?;
    drop(meta_buffer);
    let mut wanted = Signature::new(&layout);
    for key in keys.iter() {
        // Nothing is equal to NULL.
        let Some(value) = key.value else { return Ok(()) };
        wanted.add(key.column, hash(key.column, value));
    }
    let query = Query::from(&wanted);
    let mut found = Vec::with_capacity(layout.rows_per_page());
    // Pages that are added from here on hold nothing that the snapshot sees.
    for block in (1..relation.blocks(Fork::MAIN)).map(BlockNumber::new) {
        check_for_interrupts();
        let buffer = relation.read(Fork::MAIN, block).share();
        if buffer.page().is_new() {
            continue;
        }
        let rows = RowsPage::new(buffer.page(), &layout).map_err(damaged(index, block))?;
        found.clear();
        found.extend(rows.rows().filter(|(_, signature)| query.matches(signature)).map(|(tuple, _)| tuple));
        drop(buffer);
        bitmap.add(&found, true);
    }
    Ok(())
}
