//! Signatures and pages of a Bloom-filter index, without a server: what the extension `bloom_filter` keeps in its blocks.
//!
//! ```text
//! block 0       MetaPage: the Layout, where to insert, pages with room
//! block 1...    RowsPage: (tuple of the table, signature), one behind the other
//! ```
//!
//! A row's signature is a set of bits: each value that is not NULL sets a few, which follow from its hash. A row can only have a value
//! whose bits are all set. Nothing is sorted: a scan looks at all rows, which are small.
//!
//! All bytes of a page are allowed: what cannot be is a [`PageError`].

#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used))]
#![forbid(unsafe_code)]

mod layout;
mod meta_page;
mod page_kind;
mod rows_page;
mod signature;

pub use layout::{DEFAULT_BITS, DEFAULT_LENGTH, Layout, MAX_BITS, MAX_COLUMNS, MAX_LENGTH};
pub use meta_page::{INSERT_TARGETS, META_BLOCK, MetaPage, MetaPageMut};
pub use page_kind::PageError;
pub use rows_page::{RowsPage, RowsPageMut};
pub use signature::{Query, Signature};
