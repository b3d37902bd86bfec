//! The extension `bloom_filter`: an index access method for conditions of equality on any of many columns. A row is kept as a
//! signature, to which each column adds a few bits; see [`bloom_filter`].
//!
//! All changes of pages are Generic WAL: a standby, or recovery after a crash, needs nothing of this library.
//!
//! Locks: the meta page's comes before that of a page with rows; nobody waits for the meta page while a page with rows is locked,
//! and nobody locks two of them. A scan locks one page at a time, so that replaying on a standby, which locks them in the order of a
//! record, meets no one who waits for it.

mod access_method;
mod build;
mod error;
mod insert;
mod options;
mod scan;
mod vacuum;

pgrx::pg_module_magic!();

index_access_method::handler!(bloom_filter_handler, access_method::BloomFilter);
