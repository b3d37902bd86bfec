//! WALker's plugin that keeps the number of dead tuples of every block of every heap, from the log alone.
//!
//! A tuple is dead as `pgstattuple` counts it: its line pointer is normal, and either the transaction that inserted
//! it aborted or one that deleted or updated it committed. So nothing is counted when a tuple is inserted or deleted,
//! but when the transaction ends. What is on a page is known from its first record after a checkpoint on, which
//! holds the page or makes it anew.
//!
//! ```text
//! record ──► GarbageMap ──► Relation ──► BlockRange (1024 blocks) ──► TrackedPage: each line pointer, open transactions
//!                │                                               └──► SettledBlocks: counts, until their next image
//!                └──► Transactions: who is open, who ended how, which blocks wait for whom
//! ```
#![forbid(unsafe_code)]

mod activity;
mod bits;
mod block_range;
mod codec;
mod columns;
mod data_files;
mod deleters;
mod ended_transactions;
mod inexact;
mod kept_map;
mod log_line;
mod map;
mod multixacts;
mod page;
mod page_image;
mod places;
mod question;
mod relation;
mod settled_blocks;
pub mod snapshot;
mod sums;
mod transaction_log;
mod transactions;

pub use codec::NotUnderstood;
pub use data_files::{DataFiles, Limits};
pub use inexact::Inexact;
pub use kept_map::KeptMap;
pub use map::{GarbageMap, TransactionStatus};
pub use page::Counts;
pub use question::{
    Answer, BlockCounts, BlocksAnswer, DatabaseAnswer, Question, RangeSummary, RelationAnswer, RelationTotals,
    TooManyRanges,
};
pub use relation::RelationSummary;
pub use transaction_log::{Known, TransactionLog};
