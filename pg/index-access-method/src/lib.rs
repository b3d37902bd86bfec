//! Index access methods in safe Rust: what PostgreSQL calls (`IndexAmRoutine`) becomes a trait, [`IndexAccessMethod`], whose
//! methods get borrowed relations and values, and return errors instead of raising them.
//!
//! ```ignore
//! pgrx::pg_module_magic!();
//!
//! struct Mine;
//!
//! impl IndexAccessMethod for Mine {
//!     // ...
//! }
//!
//! index_access_method::handler!(mine_handler, Mine);
//! ```
//!
//! with, in the extension's SQL script:
//!
//! ```sql
//! CREATE FUNCTION mine_handler(internal) RETURNS index_am_handler
//!     AS 'MODULE_PATHNAME', 'mine_handler_wrapper' LANGUAGE C;
//! CREATE ACCESS METHOD mine TYPE INDEX HANDLER mine_handler;
//! CREATE OPERATOR CLASS int4_ops DEFAULT FOR TYPE int4 USING mine AS
//!     OPERATOR 1 =, FUNCTION 1 hashint4extended(int4, int8);
//! ```
//!
//! Pages are read and changed by `pgxlog`. What is here is what two access methods need, not all that PostgreSQL offers: no
//! ordered or index-only scans, no uniqueness, no parallel builds.
//!
//! Source: `src/include/access/amapi.h`, and the chapter "Index Access Method Interface Definition" of the documentation.

mod bitmap;
mod build;
mod error;
mod handler;
mod index;
mod method;
mod open_index;
mod options;
mod scan_keys;
mod temporary_context;
mod vacuum;
mod validate;
mod values;

pub use bitmap::TidBitmap;
pub use build::{Build, Built};
pub use error::IndexError;
pub use handler::routine;
pub use index::Index;
pub use method::{BitmapScan, IndexAccessMethod, SupportFunction};
pub use open_index::{Access, with_open_index};
pub use options::IntegerOption;
pub use scan_keys::{ScanKey, ScanKeys};
pub use vacuum::{DeadTuples, Vacuum, VacuumStatistics};
pub use values::{Row, Value};

#[doc(hidden)]
pub use pgrx;

/// Ends the statement with an ERROR if it is to be cancelled (`CHECK_FOR_INTERRUPTS`); does nothing while a buffer is locked.
pub fn check_for_interrupts() {
    pgrx::check_for_interrupts!();
}

/// The process that serves this session (`MyProcPid`), without asking the operating system.
#[must_use]
pub fn process_id() -> u32 {
    // SAFETY: a global variable, which is set when the process starts.
    unsafe { pgrx::pg_sys::MyProcPid }.cast_unsigned()
}
