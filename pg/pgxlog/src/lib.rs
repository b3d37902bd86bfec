//! Safe Rust over PostgreSQL's WAL from inside the server.
//!
//! To put an object of your own into the WAL:
//!
//! - [`GenericXLog`] changes pages of a [`Relation`] and finds out itself what to log: every server can replay it.
//! - [`ResourceManager`] and [`register()`] make a custom resource manager, whose records say what they do: smaller, and
//!   described, replayed, checked and decoded by your code. [`RecordBuilder`] writes them.
//! - [`PinnedBuffer`], [`SharedBuffer`] and [`ExclusiveBuffer`] are blocks in shared memory, [`pgwal::DataPage`] is what is in them.
//!
//! To read it:
//!
//! - [`XLogReader`] reads the server's own WAL up to what is durable and gives out [`pgwal::Record`]s, which are views
//!   of what PostgreSQL's reader decoded: nothing is copied.
//! - [`walker_plugin!`] makes a shared library with a [`walker_core::Plugin`] a plugin of WALker's background worker;
//!   [`ask()`] puts a question to it from any backend.
//! - [`Idle`] sleeps until there is more of it.
//! - [`server_log`] tells how far the log is, and [`ReplicationSlot`] keeps it until it is not needed any more.
//! - [`catch_error`] runs something that may raise a PostgreSQL ERROR and turns that into a value, [`raise`] raises one.

mod ask;
mod buffer;
mod callbacks;
mod catch;
mod critical_section;
mod decoding;
mod generic_xlog;
mod guarded_read;
mod held_buffer;
mod held_locks;
mod latch;
mod logged_tuple;
mod memory_context;
mod new_wal;
mod plugin;
mod record_builder;
mod record_view;
mod recovery;
mod redo;
mod relation;
mod replication_slot;
mod resource_manager;
mod segment_file;
pub mod server_log;
mod wait_event;
mod xlog_reader;

pub use ask::ask;
pub use buffer::{ExclusiveBuffer, PinnedBuffer, SharedBuffer};
pub use callbacks::{
    AnswerCallback, Callbacks, FlushCallback, GapCallback, PlainCallback, Position, RecordCallback, ResumeCallback,
    WorkCallback,
};
pub use catch::{catch_and_recover, catch_error, raise, recover};
pub use decoding::{Decoding, Delivery, RowChange};
pub use generic_xlog::{GenericXLog, GenericXLogError, PageChange};
pub use latch::sleep_on_latch;
pub use memory_context::Arena;
pub use new_wal::Idle;
pub use plugin::export_plugin;
pub use record_builder::{
    InsertError, MAX_BLOCK_DATA, MAX_BLOCKS, MAX_RECORD, RecordBlock, RecordBuilder, assign_transaction_id, flush,
    log_new_page,
};
pub use record_view::{SERVER_VERSION, bytes, view};
pub use redo::{Redo, RedoAction, RedoBlock, RedoError};
pub use relation::Relation;
pub use replication_slot::{Acquired, ReplicationSlot, drop_slot};
pub use resource_manager::{DecodeMethod, ResourceManager, check_registered, register};
pub use wait_event::WaitEvent;
pub use xlog_reader::{XLogReader, last_read};

#[doc(hidden)]
pub use pgrx;

/// A transaction's number as pgwal has it.
pub fn transaction_id(xid: pgrx::pg_sys::TransactionId) -> pgwal::TransactionId {
    pgwal::TransactionId::new(xid.into_inner())
}
