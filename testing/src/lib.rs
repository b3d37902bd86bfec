//! PostgreSQL installations and clusters for tests.
//!
//! An [`Installation`] is a PostgreSQL of one major version on this machine. Nothing of ours is ever written into it:
//! [`Installation::private_copy`] makes a copy that may be written to. A [`Cluster`] is a server of its own in a fresh
//! temporary directory, reachable only by a Unix socket in that directory; it is stopped and removed when it is
//! dropped. A [`Session`] is a connection that stays open, for transactions that run side by side.
//!
//! ```no_run
//! use walker_testing::{Cluster, Installation, Mode};
//!
//! # fn main() -> anyhow::Result<()> {
//! let installation = Installation::find(15)?;
//! let mut cluster = Cluster::builder(&installation).setting("autovacuum", "off").start()?;
//! cluster.psql("postgres", "CREATE TABLE t AS SELECT generate_series(1, 3) AS id")?;
//! cluster.crash()?;
//! cluster.start()?;
//! assert_eq!(cluster.psql("postgres", "SELECT count(*) FROM t")?, "3");
//! cluster.stop(Mode::Fast)?;
//! # Ok(())
//! # }
//! ```
//!
//! Servers refuse to run as root. Where the tests run as root, the server and the programs that must own its files
//! run as the user `postgres`, or else `nobody`. Processes are looked up in `/proc`, so this is for Linux.

#![forbid(unsafe_code)]

mod builder;
mod cache;
mod client;
mod cluster;
mod command;
mod counting_plugin;
mod directory;
mod garbage_load;
mod garbage_oracle;
mod installation;
mod log;
pub mod plugins;
mod poll;
mod private_copy;
mod process;
mod quiet_moment;
mod record_checksum;
mod server_user;
mod session;
mod standby;
mod wal_copy;
pub mod wal_object;
mod worker;

pub use builder::ClusterBuilder;
pub use cache::{REGRESSION_TESTS_MAJOR, cache_directory, cached_postgresql, regression_tests};
pub use cluster::{Cluster, Mode, SUPERUSER};
pub use counting_plugin::Counted;
pub use directory::temporary_directory;
pub use garbage_load::{change_again, every_kind_of_change};
pub use garbage_oracle::{
    CREATE_GARBAGE_EXTENSIONS, assert_garbage_equal, assert_garbage_right, assert_garbage_right_and_then_known,
    garbage_differences, garbagemap_cluster, start_garbagemap, wait_until_garbage_known,
};
pub use installation::{
    COMMAND_VARIABLE, INSTALLATION_VARIABLE, Installation, NotFound, PACKAGES_VARIABLE, PG_CONFIG_VARIABLE, Version,
    walker, walker_command,
};
pub use log::LogMark;
pub use poll::poll;
pub use private_copy::install_file;
pub use process::send_signal;
pub use record_checksum::{RecordChecksum, RecordRange, assert_all_told, assert_told_up_to, record_checksum_cluster};
pub use rustix::process::Signal;
pub use session::Session;
pub use wal_copy::WalCopy;
pub use worker::StoppedWorker;
