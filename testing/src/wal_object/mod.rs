//! A harness for objects in the WAL: index and table access methods on Generic WAL, and whatever has a custom resource
//! manager.
//!
//! Whether such an object survives a crash, and arrives on a standby, does not show in ordinary tests: they never run its
//! redo. Here a [`Workload`] says what sessions do with the object and what must be true of it. Then
//!
//! - [`CrashTest`] runs it and kills the server: under load, one session's process only, and at quiet moments. Each recovery is
//!   compared with what was before.
//! - [`StandbyTest`] replays it on a standby, with `wal_consistency_checking` for the object, compares both servers, also the bytes
//!   in their files, and promotes the standby.
//! - [`WalUsage`] measures the WAL that an operation writes, and [`WalVolume::require_at_most`] limits it.
//!
//! Both tests fail if they could not have found anything: if redo was never run, if each page came with an image, so
//! that redo changed nothing, or if no page was checked.
//!
//! # From nothing to a test
//!
//! An extension `my_index` with an index access method of the same name, on Generic WAL. Its library is put into a copy of the
//! installed PostgreSQL, which is not touched. This is `tests/crash.rs` of the extension's own repository, whose
//! `Cargo.toml` has `walker-testing` in its `[dev-dependencies]`; `cargo build` has made the library before.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use anyhow::ensure;
//! use tempfile::TempDir;
//! use walker_testing::wal_object::{CrashTest, StandbyTest, WalUsage, Workload};
//! use walker_testing::{Cluster, ClusterBuilder, Installation, temporary_directory};
//! # type Result<T> = anyhow::Result<T>;
//!
//! /// PostgreSQL with the extension in it, as long as the directory is there.
//! fn installation() -> Result<(Installation, TempDir)> {
//!     let directory = temporary_directory()?;
//!     let installation = Installation::find(17)?.private_copy(directory.path())?;
//!     installation.install_library(Path::new("target/debug/libmy_index.so"), "my_index")?;
//!     installation.install_extension_files(["my_index.control", "my_index--1.0.sql"])?;
//!     Ok((installation, directory))
//! }
//!
//! /// How a server of it is to be. A custom resource manager needs its library in shared_preload_libraries.
//! fn server(installation: &Installation) -> ClusterBuilder {
//!     Cluster::builder(installation).setting("shared_preload_libraries", "my_index")
//! }
//!
//! fn workload() -> Workload {
//!     Workload::of_generic_wal()
//!         .setup("CREATE EXTENSION my_index; CREATE TABLE t (key int, text text); CREATE INDEX i ON t USING my_index (key)")
//!         .operation("insert", |turn| {
//!             format!("INSERT INTO t SELECT {} + n, repeat('x', 100) FROM generate_series(1, 10) n", turn.random.u32(..1000))
//!         })
//!         .operation("delete", |turn| format!("DELETE FROM t WHERE key = {}", turn.random.u32(..1000)))
//!         .maintenance("vacuum", |_| "VACUUM (TRUNCATE false) t".to_owned())
//!         .roll_back_one_in(10)
//!         // The index says the same as the table: after each recovery, on the standby, after the promotion.
//!         .same_answer(
//!             "index and table",
//!             "SET enable_seqscan = off; SELECT key, count(*) FROM t WHERE key = ANY (ARRAY[1, 2, 3]) GROUP BY 1 ORDER BY 1",
//!             "SET enable_bitmapscan = off; SET enable_indexscan = off; SET enable_indexonlyscan = off;
//!              SELECT key, count(*) FROM t WHERE key = ANY (ARRAY[1, 2, 3]) GROUP BY 1 ORDER BY 1",
//!         )
//!         // At quiet moments nothing at all may change.
//!         .digest("SET enable_seqscan = off; SELECT count(*) FROM t WHERE key = ANY (ARRAY[1, 2, 3])")
//!         // And the index is what answers, not the table.
//!         .invariant("the index is used", |server, _| {
//!             let plan = "SET enable_seqscan = off; EXPLAIN SELECT * FROM t WHERE key = ANY (ARRAY[1, 2, 3])";
//!             ensure!(server.psql("postgres", plan)?.contains("Index"), "the table is scanned");
//!             Ok(())
//!         })
//! }
//!
//! #[test]
//! fn survives_crashes() -> Result<()> {
//!     let (installation, _directory) = installation()?;
//!     let report = CrashTest::new(&workload()).run(server(&installation))?;
//!     // 5 crashes, 921 operations (803 committed); 6180 records, 420 blocks restored, 5760 changed, 0 of these checked
//!     println!("{report}");
//!     Ok(())
//! }
//!
//! #[test]
//! fn is_the_same_on_a_standby() -> Result<()> {
//!     let (installation, _directory) = installation()?;
//!     // Redo gives the same page, byte for byte.
//!     StandbyTest::new(&workload()).compare_pages("i", |_, _| {}).run(server(&installation))?;
//!     Ok(())
//! }
//!
//! #[test]
//! fn an_insert_writes_no_more_than_100_bytes() -> Result<()> {
//!     let (installation, _directory) = installation()?;
//!     let server = server(&installation).setting("autovacuum", "off").start()?;
//!     server.psql("postgres", "CREATE EXTENSION my_index; CREATE TABLE t (key int); CREATE INDEX i ON t USING my_index (key)")?;
//!     let usage = WalUsage::measure(&server, "postgres", |session| {
//!         session.execute("INSERT INTO t SELECT generate_series(1, 1000)").map(drop)
//!     })?;
//!     usage.of_relation(server.relation_files("postgres", "i")?).volume().require_at_most(100, 1000)
//! }
//! # fn main() {}
//! ```
//!
//! Within WALker's repository, `cargo xtask test` has put all libraries into the installation that
//! [`Installation::for_tests`](crate::Installation::for_tests) tells: `Cluster::builder(&Installation::for_tests()?)`.
//!
//! A test that fails says the round, the kind of crash and the seed; the environment variable `WALKER_SEED` takes another
//! seed, and `WALKER_ROUNDS` runs more rounds of crashes, for a night.
//!
//! # Objects that take no part in transactions
//!
//! What a custom resource manager's object does is mostly there at once, whether its transaction is committed or not. An
//! invariant then gets the [`History`]: of [`History::committed`] all must be there, of
//! [`History::not_committed`] anything may be.
//!
//! ```
//! use anyhow::ensure;
//! use pgwal::RmgrId;
//! use walker_testing::wal_object::Workload;
//!
//! let workload = Workload::of_rmgr(RmgrId::new(128), "my_counter")
//!     .setup("CREATE EXTENSION my_counter; SELECT counter_create('c')")
//!     .operation("add", |_| "SELECT counter_add('c', 1)".to_owned())
//!     .digest("SELECT counter_value('c')")
//!     .invariant("each is counted once", |server, history| {
//!         let value: usize = server.psql("postgres", "SELECT counter_value('c')")?.parse()?;
//!         let (least, most) = (history.committed().count(), history.attempts().len());
//!         ensure!((least..=most).contains(&value), "{value} is not between {least} and {most}");
//!         Ok(())
//!     });
//! ```
//!
//! # What the object has to bring along
//!
//! `wal_consistency_checking` needs the resource manager's mask (`rm_mask`). One that hides too much lets everything pass:
//! the digest, and [`StandbyTest::compare_pages`] with a mask of its own, are there for that. Generic WAL has its mask.
//!
//! Servers are started with `autovacuum = off`, `shared_buffers = 2MB`, so that pages are written while the load runs,
//! and settings that leave checkpoints to the harness and keep the WAL; what a test's own builder sets is stronger. In each
//! database there is a schema `walker_testing`, by which the harness knows what was committed.

mod crash_test;
mod history;
mod load;
mod recovery;
mod relation_pages;
mod standby_test;
mod wal_range;
mod wal_usage;
mod workload;

pub use crash_test::{Crash, CrashReport, CrashTest, ROUNDS_VARIABLE};
pub use fastrand::Rng;
pub use history::{Attempt, History, Outcome};
pub use recovery::{Recovery, Replayed};
pub use standby_test::{StandbyReport, StandbyTest};
pub use wal_usage::{WalUsage, WalVolume};
pub use workload::{SEED_VARIABLE, Turn, Workload};
