//! Redo outside of the server: what a record makes of a page. That is known without its resource manager where the
//! record holds an image of the page, and for Generic WAL, whose records say which bytes change.
//!
//! Sources: `src/backend/access/transam/xlogutils.c`: `XLogReadBufferForRedoExtended`,
//! `src/backend/access/transam/generic_xlog.c`: `generic_redo`.

use crate::data_page::DataPage;
use crate::error::Malformed;
use crate::ids::{BlockNumber, Fork, RelFileLocator};
use crate::image::{Image, ImageError};
use crate::lsn::Lsn;
use crate::record::{Block, Record};
use crate::rmgr::RmgrId;
use crate::rmgr::generic::Region;

/// Highest number of a block in a record of Generic WAL, from zero (`MAX_GENERIC_XLOG_PAGES - 1`).
const MAX_GENERIC_BLOCK_ID: u8 = 3;

/// What [`redo_block`] did (`XLogRedoAction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "only some of these leave the page as it is after the record"]
pub enum Redone {
    /// The page has the change now, which was one of Generic WAL.
    Applied,
    /// The page is the record's image of it now (`BLK_RESTORED`).
    Restored,
    /// The page had this change already, or a later one: nothing was changed (`BLK_DONE`).
    Done,
    /// The page is new, though the record changes what was there: nothing was changed (`BLK_NOTFOUND`). The relation was
    /// dropped or truncated later, or the log was not read from the page's first record on.
    NotFound,
    /// The change is of another resource manager: nothing was changed (`BLK_NEEDS_REDO`). Who knows that one changes
    /// the page, and sets its [LSN](DataPage::set_lsn) to the [end of the record](Record::end).
    NeedsRedo,
}

/// A record does not fit the page, or itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("redo of the record at {lsn}, block {block} of relation {relation}, fork {fork}: {kind}")]
pub struct RedoError {
    /// Beginning of the record.
    pub lsn: Lsn,
    /// The relation's files.
    pub relation: RelFileLocator,
    /// Which of its forks.
    pub fork: Fork,
    /// Which block of the fork.
    pub block: BlockNumber,
    /// What is wrong.
    pub kind: RedoErrorKind,
}

/// What is wrong with a record that is to be redone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedoErrorKind {
    /// The image cannot be turned into a page.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The block's data is not that of Generic WAL.
    #[error(transparent)]
    Content(#[from] Malformed),
    /// Bytes of Generic WAL belong behind the end of the page.
    #[error("region of {length} bytes at offset {offset} is not inside of the page")]
    Region {
        /// Where they should begin, in bytes.
        offset: u16,
        /// How many they are.
        length: usize,
    },
    /// After the change, the page's free space would not be inside of the page.
    #[error("corrupted page pointers: lower = {lower}, upper = {upper}")]
    FreeSpace {
        /// `pd_lower`.
        lower: u16,
        /// `pd_upper`.
        upper: u16,
    },
    /// The page should be made anew (`BKPBLOCK_WILL_INIT`), which Generic WAL does not do.
    #[error("block with WILL_INIT flag in a record of Generic WAL")]
    WillInit,
}

/// Does to a page what redo of this record in the server does to it. `block` is the record's reference to that page,
/// which is as the records before left it: new, if this is the first one.
///
/// In the server `pd_checksum` is set when the page is written: see [`DataPage::set_checksum`].
///
/// # Errors
/// [`RedoError`] if the record does not fit the page. The page is as it was then.
pub fn redo_block(record: &Record<'_>, block: &Block<'_>, page: &mut DataPage) -> Result<Redone, RedoError> {
    redo(record, block, page).map_err(|kind| RedoError {
        lsn: record.lsn,
        relation: block.relation,
        fork: block.fork,
        block: block.number,
        kind,
    })
}

fn redo(record: &Record<'_>, block: &Block<'_>, page: &mut DataPage) -> Result<Redone, RedoErrorKind> {
    let is_generic = record.rmgr == RmgrId::GENERIC;
    if is_generic && block.will_init() {
        return Err(RedoErrorKind::WillInit);
    }
    if is_generic && block.id > MAX_GENERIC_BLOCK_ID {
        return Err(Malformed::Invalid { field: "block_id", value: u64::from(block.id) }.into());
    }
    if let Some(image) = block.applied_image() {
        *page = restored(image, record.end)?;
        return Ok(Redone::Restored);
    }
    // A page that is made anew may have been anything.
    if !block.will_init() {
        if page.is_new() {
            return Ok(Redone::NotFound);
        }
        if record.end <= page.lsn() {
            return Ok(Redone::Done);
        }
    }
    if !is_generic {
        return Ok(Redone::NeedsRedo);
    }
    *page = changed(page, block, record.end)?;
    Ok(Redone::Applied)
}

/// The page of an image, in a record that ends at `end`.
fn restored(image: &Image<'_>, end: Lsn) -> Result<DataPage, ImageError> {
    let mut page = DataPage::zeroed();
    image.restore(page.as_bytes_mut())?;
    // A new page has no LSN: with one it would not be a page of zeroes any more.
    if !page.is_new() {
        page.set_lsn(end);
    }
    Ok(page)
}

/// The page with the regions of Generic WAL in it, in a record that ends at `end` (`applyPageRedo`).
fn changed(page: &DataPage, block: &Block<'_>, end: Lsn) -> Result<DataPage, RedoErrorKind> {
    let mut page = page.clone();
    for region in Region::each(block) {
        let Region { offset, bytes } = region?;
        let length = bytes.len();
        let rest = page.as_bytes_mut().get_mut(usize::from(offset)..).unwrap_or_default();
        rest.get_mut(..length).ok_or(RedoErrorKind::Region { offset, length })?.copy_from_slice(bytes);
    }
    // The regions leave out the free space, which is zero after the change.
    let (lower, upper) = (page.lower(), page.upper());
    let is_new = lower == 0 && upper == 0;
    if !is_new && usize::from(lower) < DataPage::HEADER_SIZE {
        return Err(RedoErrorKind::FreeSpace { lower, upper });
    }
    let free_space = page.as_bytes_mut().get_mut(usize::from(lower)..usize::from(upper));
    free_space.ok_or(RedoErrorKind::FreeSpace { lower, upper })?.fill(0);
    page.set_lsn(end);
    Ok(page)
}

#[cfg(test)]
mod tests;
