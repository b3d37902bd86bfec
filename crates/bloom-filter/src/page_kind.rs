//! How pages of the index are told from others, and from each other: by their special space.

use pgwal::{DataPage, PageHeaderError};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Marks pages of this index.
const MAGIC: u32 = 0x57_42_46_31;

/// The special space.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Special {
    kind: U16,
    unused: U16,
    magic: U32,
}

/// Bytes between header and special space.
pub(crate) const CONTENTS_SIZE: usize = DataPage::SIZE - DataPage::HEADER_SIZE - size_of::<Special>();

/// What a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageKind {
    Meta = 1,
    Rows = 2,
}

/// A page is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// Its header cannot be.
    #[error(transparent)]
    Header(#[from] PageHeaderError),
    /// Its special space is not that of a page of this kind.
    #[error("the page is not one of a Bloom-filter index, or of another kind: magic number {magic:#x}, kind {kind}")]
    Kind {
        /// The magic number that was found.
        magic: u32,
        /// The kind that was found: 1 is the meta page, 2 one with rows.
        kind: u16,
    },
    /// The index was made by another version.
    #[error("the index is of version {0}, which is not known")]
    Version(u32),
    /// The parameters in the meta page cannot be.
    #[error("the meta page has parameters out of range")]
    Layout,
    /// A row or a list of pages does not fit.
    #[error("there is no room on the page")]
    Full,
}

/// Makes it an empty page of that kind.
pub(crate) fn init(page: &mut DataPage, kind: PageKind) {
    page.init::<{ size_of::<Special>() }>();
    let special = Special { kind: U16::new(kind as u16), unused: U16::ZERO, magic: U32::new(MAGIC) };
    // It was made so large.
    let _ = special.write_to_prefix(page.special_mut());
}

/// Whether it is a page of that kind.
pub(crate) fn check(page: &DataPage, kind: PageKind) -> Result<(), PageError> {
    page.check_header()?;
    let Ok(special) = Special::read_from_bytes(page.special()) else {
        return Err(PageError::Kind { magic: 0, kind: 0 });
    };
    if special.magic.get() != MAGIC || special.kind.get() != kind as u16 {
        return Err(PageError::Kind { magic: special.magic.get(), kind: special.kind.get() });
    }
    Ok(())
}

/// What is used of the contents: up to `pd_lower`.
pub(crate) fn used(page: &DataPage) -> &[u8] {
    page.as_bytes().get(DataPage::HEADER_SIZE..usize::from(page.lower())).unwrap_or_default()
}

/// Uses so many bytes of the contents.
pub(crate) fn set_used(page: &mut DataPage, length: usize) -> Result<(), PageError> {
    let lower = DataPage::HEADER_SIZE.saturating_add(length);
    let lower = u16::try_from(lower).ok().filter(|lower| *lower <= page.upper()).ok_or(PageError::Full)?;
    page.set_lower(lower);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_another_kind_are_told_apart() {
        let mut page = DataPage::zeroed();
        assert_eq!(check(&page, PageKind::Rows), Err(PageError::Header(PageHeaderError::New)));
        init(&mut page, PageKind::Rows);
        assert_eq!(check(&page, PageKind::Rows), Ok(()));
        assert_eq!(check(&page, PageKind::Meta), Err(PageError::Kind { magic: MAGIC, kind: 2 }));
        page.init::<16>();
        assert_eq!(check(&page, PageKind::Rows), Err(PageError::Kind { magic: 0, kind: 0 }));
        assert_eq!(page.contents().len() + 8, CONTENTS_SIZE);
    }

    #[test]
    fn no_more_is_used_than_there_is() {
        let mut page = DataPage::zeroed();
        init(&mut page, PageKind::Rows);
        assert_eq!(set_used(&mut page, CONTENTS_SIZE), Ok(()));
        assert_eq!(used(&page).len(), CONTENTS_SIZE);
        assert_eq!(set_used(&mut page, CONTENTS_SIZE + 1), Err(PageError::Full));
        assert_eq!(set_used(&mut page, usize::MAX), Err(PageError::Full));
        assert_eq!(page.check_header(), Ok(()));
    }
}
