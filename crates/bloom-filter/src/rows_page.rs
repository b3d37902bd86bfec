//! Pages with rows: each is a tuple of the table and its signature, one behind the other up to `pd_lower`. How many there are follows
//! from that, so that a new row changes nothing else.

use pgwal::{DataPage, ItemPointer};

use crate::layout::Layout;
use crate::page_kind::{PageError, PageKind, check, init, set_used, used};
use crate::signature::Signature;

/// A page with rows.
#[derive(Debug, Clone, Copy)]
pub struct RowsPage<'p> {
    page: &'p DataPage,
    layout: &'p Layout,
}

impl<'p> RowsPage<'p> {
    /// The rows of an index of that layout.
    ///
    /// # Errors
    /// [`PageError`] if it is no such page.
    pub fn new(page: &'p DataPage, layout: &'p Layout) -> Result<Self, PageError> {
        check(page, PageKind::Rows)?;
        Ok(Self { page, layout })
    }

    /// Each row: its tuple and its signature.
    pub fn rows(&self) -> impl Iterator<Item = (ItemPointer, &'p [u8])> + use<'p> {
        used(self.page).chunks_exact(self.layout.row_size()).filter_map(split)
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        used(self.page).len().checked_div(self.layout.row_size()).unwrap_or(0)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more there is room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.layout.rows_per_page().saturating_sub(self.len())
    }
}

/// A row's tuple and signature.
fn split(row: &[u8]) -> Option<(ItemPointer, &[u8])> {
    let (tuple, signature) = row.split_first_chunk()?;
    Some((ItemPointer::from_bytes(*tuple), signature))
}

/// A page with rows, to be changed.
#[derive(Debug)]
pub struct RowsPageMut<'p> {
    page: &'p mut DataPage,
    layout: &'p Layout,
}

impl<'p> RowsPageMut<'p> {
    /// As [`RowsPage::new`]. A page that is not initialised becomes an empty one.
    ///
    /// # Errors
    /// As there.
    pub fn new(page: &'p mut DataPage, layout: &'p Layout) -> Result<Self, PageError> {
        if page.is_new() {
            init(page, PageKind::Rows);
        }
        check(page, PageKind::Rows)?;
        Ok(Self { page, layout })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`PageError::Full`]; nothing is changed then.
    pub fn add(&mut self, tuple: ItemPointer, signature: &Signature) -> Result<(), PageError> {
        let size = self.layout.row_size();
        let place = used(self.page).chunks_exact(size).len().saturating_mul(size);
        let end = place.saturating_add(size);
        let row = self.page.contents_mut().get_mut(place..end).ok_or(PageError::Full)?;
        let (tuple_place, signature_place) = row.split_at_mut(ItemPointer::SIZE);
        tuple_place.copy_from_slice(&tuple.to_bytes());
        signature_place.iter_mut().zip(signature.as_bytes()).for_each(|(place, byte)| *place = *byte);
        set_used(self.page, end)
    }

    /// Removes the rows of tuples that are dead; those behind move up. Returns how many they were.
    pub fn remove(&mut self, mut is_dead: impl FnMut(ItemPointer) -> bool) -> usize {
        let size = self.layout.row_size();
        let before = used(self.page).to_vec();
        let is_kept = |row: &&[u8]| split(row).is_some_and(|(tuple, _)| !is_dead(tuple));
        let kept: Vec<u8> = before.chunks_exact(size).filter(is_kept).flatten().copied().collect();
        if let Some(place) = self.page.contents_mut().get_mut(..kept.len()) {
            place.copy_from_slice(&kept);
        }
        // Fewer than there were.
        let _ = set_used(self.page, kept.len());
        before.len().saturating_sub(kept.len()).checked_div(size).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::MAX_COLUMNS;

    fn tuple(number: usize) -> ItemPointer {
        ItemPointer::new(u32::try_from(number).unwrap() * 70_000, 7)
    }

    fn signature(layout: &Layout, hash: usize) -> Signature {
        let mut signature = Signature::new(layout);
        signature.add(0, hash as u64);
        signature
    }

    fn full(layout: &Layout) -> DataPage {
        let mut page = DataPage::zeroed();
        let mut rows = RowsPageMut::new(&mut page, layout).unwrap();
        for number in 0..layout.rows_per_page() {
            rows.add(tuple(number), &signature(layout, number)).unwrap();
        }
        page
    }

    #[test]
    fn rows_are_read_as_they_were_added() {
        for length in [1, 8, 80, 4096] {
            let layout = Layout::new(length, [3; MAX_COLUMNS]).unwrap();
            let page = full(&layout);
            let rows = RowsPage::new(&page, &layout).unwrap();
            assert_eq!((rows.len(), rows.room(), rows.is_empty()), (layout.rows_per_page(), 0, false));
            for (number, (found, bytes)) in rows.rows().enumerate() {
                assert_eq!((found, bytes), (tuple(number), signature(&layout, number).as_bytes()));
            }
        }
    }

    #[test]
    fn a_full_page_takes_no_more_and_stays_as_it_is() {
        let layout = Layout::default();
        let mut page = full(&layout);
        let before = page.clone();
        let mut rows = RowsPageMut::new(&mut page, &layout).unwrap();
        assert_eq!(rows.add(tuple(1), &signature(&layout, 1)), Err(PageError::Full));
        assert_eq!(page, before);
    }

    #[test]
    fn those_behind_removed_rows_move_up() {
        let layout = Layout::default();
        let mut page = full(&layout);
        let mut rows = RowsPageMut::new(&mut page, &layout).unwrap();
        assert_eq!(rows.remove(|row| row.block.get() / 70_000 % 3 != 0), 340);
        let rows = RowsPage::new(&page, &layout).unwrap();
        assert_eq!((rows.len(), rows.room()), (170, 340));
        let left: Vec<_> = rows.rows().collect();
        assert!((0..170).all(|number| left[number].0 == tuple(3 * number)));
        assert!((0..170).all(|number| left[number].1 == signature(&layout, 3 * number).as_bytes()));
        let mut rows = RowsPageMut::new(&mut page, &layout).unwrap();
        assert_eq!(rows.remove(|_| true), 170);
        assert!(RowsPage::new(&page, &layout).unwrap().is_empty());
    }

    #[test]
    fn a_page_of_zeroes_has_no_rows_and_takes_some() {
        let layout = Layout::default();
        let mut page = DataPage::zeroed();
        assert!(RowsPage::new(&page, &layout).is_err());
        RowsPageMut::new(&mut page, &layout).unwrap().add(tuple(1), &signature(&layout, 1)).unwrap();
        assert_eq!(RowsPage::new(&page, &layout).unwrap().len(), 1);
    }

    #[test]
    fn a_damaged_end_hides_no_whole_row_and_shows_no_half_one() {
        let layout = Layout::default();
        let mut page = full(&layout);
        page.set_lower(page.lower() - 5);
        assert_eq!(RowsPage::new(&page, &layout).unwrap().rows().count(), 509);
        RowsPageMut::new(&mut page, &layout).unwrap().add(tuple(1), &signature(&layout, 1)).unwrap();
        assert_eq!(RowsPage::new(&page, &layout).unwrap().rows().last().unwrap().0, tuple(1));
    }
}
