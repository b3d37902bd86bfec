//! Pages that are not what they should be, as errors of the index.

use bloom_filter::PageError;
use index_access_method::{Index, IndexError};
use pgwal::BlockNumber;

/// Tells in which block of which index it is.
pub(crate) fn damaged(index: Index<'_>, block: BlockNumber) -> impl Fn(PageError) -> IndexError {
    move |error| IndexError::corrupted(format!("index \"{}\", block {block}: {error}", index.name()))
}
