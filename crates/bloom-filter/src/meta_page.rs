//! The first page: the layout, where sessions insert, and which pages have room again.

use pgwal::{BlockNumber, DataPage};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::layout::{Layout, MAX_COLUMNS};
use crate::page_kind::{CONTENTS_SIZE, PageError, PageKind, check, init, set_used, used};

/// The block that it is.
pub const META_BLOCK: BlockNumber = BlockNumber::new(0);
/// How many pages are filled at the same time: sessions that insert into different ones do not wait for each other.
pub const INSERT_TARGETS: usize = 8;

const VERSION: u32 = 1;
/// Most pages with room that are noted.
const MAX_PAGES: usize = (CONTENTS_SIZE - size_of::<Fields>()) / size_of::<U32>();

/// What it begins with; behind are the pages with room, up to `pd_lower`.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Fields {
    version: U32,
    length: U16,
    unused: U16,
    bits: [U16; MAX_COLUMNS],
    /// Zero for none.
    targets: [U32; INSERT_TARGETS],
}

/// The meta page.
#[derive(Debug, Clone, Copy)]
pub struct MetaPage<'p> {
    page: &'p DataPage,
}

impl<'p> MetaPage<'p> {
    /// The meta page that this is.
    ///
    /// # Errors
    /// [`PageError`] if it is none, or of another version.
    pub fn new(page: &'p DataPage) -> Result<Self, PageError> {
        check(page, PageKind::Meta)?;
        let meta = Self { page };
        match meta.fields().ok_or(PageError::Full)?.version.get() {
            VERSION => Ok(meta),
            other => Err(PageError::Version(other)),
        }
    }

    fn fields(&self) -> Option<&'p Fields> {
        Some(Fields::ref_from_prefix(used(self.page)).ok()?.0)
    }

    /// The index's parameters.
    ///
    /// # Errors
    /// [`PageError::Layout`] if they are out of range.
    pub fn layout(&self) -> Result<Layout, PageError> {
        let fields = self.fields().ok_or(PageError::Layout)?;
        Layout::new(fields.length.get(), fields.bits.map(U16::get)).ok_or(PageError::Layout)
    }

    /// The page into which a session inserts, if there is one; `session` is any number of it.
    #[must_use]
    pub fn target(&self, session: u32) -> Option<BlockNumber> {
        let number = self.fields()?.targets.get(slot(session))?.get();
        (number != META_BLOCK.get()).then(|| BlockNumber::new(number))
    }

    /// Pages with room, as many as were noted by the last `VACUUM` and were not used since.
    #[must_use]
    pub fn pages_with_room(&self) -> Vec<BlockNumber> {
        list(self.page).iter().map(|number| BlockNumber::new(number.get())).collect()
    }
}

/// The noted pages.
fn list(page: &DataPage) -> &[U32] {
    let bytes = used(page).get(size_of::<Fields>()..).unwrap_or_default();
    let (numbers, _) = bytes.as_chunks::<{ size_of::<U32>() }>();
    <[U32]>::ref_from_bytes(numbers.as_flattened()).unwrap_or_default()
}

fn slot(session: u32) -> usize {
    session as usize % INSERT_TARGETS
}

/// The meta page, to be changed.
#[derive(Debug)]
pub struct MetaPageMut<'p> {
    page: &'p mut DataPage,
}

impl<'p> MetaPageMut<'p> {
    /// As [`MetaPage::new`].
    ///
    /// # Errors
    /// As there.
    pub fn new(page: &'p mut DataPage) -> Result<Self, PageError> {
        MetaPage::new(page)?;
        Ok(Self { page })
    }

    /// Makes it the meta page of a new index, with no other pages.
    pub fn init(page: &'p mut DataPage, layout: &Layout) -> Self {
        init(page, PageKind::Meta);
        let fields = Fields {
            version: U32::new(VERSION),
            length: U16::new(layout.length()),
            unused: U16::ZERO,
            bits: layout.bits().map(U16::new),
            targets: [U32::ZERO; INSERT_TARGETS],
        };
        // Both fit in an empty page.
        let _ = fields.write_to_prefix(page.contents_mut());
        let _ = set_used(page, size_of::<Fields>());
        Self { page }
    }

    /// Lets a session insert into that page: see [`MetaPage::target`].
    pub fn set_target(&mut self, session: u32, block: BlockNumber) {
        if let Ok((fields, _)) = Fields::mut_from_prefix(self.page.contents_mut())
            && let Some(target) = fields.targets.get_mut(slot(session))
        {
            *target = U32::new(block.get());
        }
    }

    /// Notes pages with room: see [`MetaPage::pages_with_room`]. Those that there is no room for are left out.
    pub fn set_pages_with_room(&mut self, blocks: &[BlockNumber]) {
        let list: Vec<U32> = blocks.iter().take(MAX_PAGES).map(|block| U32::new(block.get())).collect();
        if let Some(place) = self.page.contents_mut().get_mut(size_of::<Fields>()..) {
            // No more than there is room for.
            let _ = list.as_bytes().write_to_prefix(place);
        }
        let _ = set_used(self.page, size_of::<Fields>().saturating_add(size_of_val(list.as_slice())));
    }
}

impl MetaPage<'_> {
    /// Most pages with room that it notes.
    pub const MAX_PAGES_WITH_ROOM: usize = MAX_PAGES;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(numbers: impl IntoIterator<Item = u32>) -> Vec<BlockNumber> {
        numbers.into_iter().map(BlockNumber::new).collect()
    }

    #[test]
    fn a_new_index_has_its_layout_and_no_pages() {
        let layout = Layout::new(200, std::array::from_fn(|column| u16::try_from(column + 1).unwrap())).unwrap();
        let mut page = DataPage::zeroed();
        assert!(MetaPage::new(&page).is_err());
        MetaPageMut::init(&mut page, &layout);
        let meta = MetaPage::new(&page).unwrap();
        assert_eq!(meta.layout(), Ok(layout));
        assert!((0..20).all(|session| meta.target(session).is_none()));
        assert!(meta.pages_with_room().is_empty());
        assert_eq!(page.check_header(), Ok(()));
    }

    #[test]
    fn sessions_share_the_targets() {
        let mut page = DataPage::zeroed();
        MetaPageMut::init(&mut page, &Layout::default()).set_target(3, BlockNumber::new(70_000));
        let meta = MetaPage::new(&page).unwrap();
        let found: Vec<_> = (0..16).filter(|session| meta.target(*session).is_some()).collect();
        assert_eq!(found, [3, 11]);
        assert_eq!(meta.target(11), Some(BlockNumber::new(70_000)));
        assert_eq!(meta.layout(), Ok(Layout::default()));
    }

    #[test]
    fn as_many_pages_with_room_are_noted_as_fit() {
        let mut page = DataPage::zeroed();
        let mut meta = MetaPageMut::init(&mut page, &Layout::default());
        meta.set_pages_with_room(&blocks(1..10_000));
        let noted = MetaPage::new(&page).unwrap().pages_with_room();
        assert_eq!(noted, blocks((1..10_000).take(MetaPage::MAX_PAGES_WITH_ROOM)));
        assert_eq!((page.check_header(), noted.len()), (Ok(()), 2014));
        MetaPageMut::new(&mut page).unwrap().set_pages_with_room(&blocks([5]));
        assert_eq!(MetaPage::new(&page).unwrap().pages_with_room(), blocks([5]));
        assert_eq!(MetaPage::new(&page).unwrap().layout(), Ok(Layout::default()));
    }

    #[test]
    fn another_version_and_a_cut_page_are_errors() {
        let mut page = DataPage::zeroed();
        MetaPageMut::init(&mut page, &Layout::default());
        page.contents_mut()[0] = 9;
        assert_eq!(MetaPage::new(&page).unwrap_err(), PageError::Version(9));
        page.set_lower(30);
        assert_eq!(MetaPage::new(&page).unwrap_err(), PageError::Full);
    }
}
