//! An installation of PostgreSQL with WALker as it is released, and what is asked of its servers.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use pgwal::Lsn;
use walker_testing::{Cluster, Installation};

use crate::libraries;
use crate::workspace::{Package, Profile, Workspace};

pub(super) const DATABASE: &str = "postgres";
/// How long a reader of the log may need to come to its end.
pub(super) const TIMEOUT: Duration = Duration::from_secs(600);

/// Builds WALker for release and puts it into a private copy of the installation.
pub(super) fn install(workspace: &Workspace, original: &Installation, directory: &Path) -> Result<Installation> {
    eprintln!("==> building WALker for {}", original.version());
    let packages = workspace.released_packages(original.version().major, false);
    install_packages(workspace, original, &packages, directory)
}

/// As [`install`], with the extension whose records are measured instead of WALker.
pub(super) fn install_bench_records(
    workspace: &Workspace,
    original: &Installation,
    directory: &Path,
) -> Result<Installation> {
    eprintln!("==> building bench_records for {}", original.version());
    let mut packages = workspace.server_packages(original.version().major);
    packages.retain(|package| package.name == "bench_records_rust");
    install_packages(workspace, original, &packages, directory)
}

fn install_packages(
    workspace: &Workspace,
    original: &Installation,
    packages: &[&Package],
    directory: &Path,
) -> Result<Installation> {
    let libraries = libraries::build(workspace, original, packages, Profile::Release)?;
    libraries::install_all(workspace, original, &libraries, directory)
}

/// Settings of all servers: nothing happens in them that was not asked for.
pub(super) const SETTINGS: [(&str, &str); 4] =
    [("autovacuum", "off"), ("checkpoint_timeout", "1h"), ("max_wal_size", "4GB"), ("wal_keep_size", "2GB")];

/// Waits until everything that was written is flushed, and the SQL expression `position` has come there.
pub(super) fn wait_until_read(cluster: &Cluster, position: &str) -> Result<Lsn> {
    let end = cluster.flush_wal()?;
    cluster.wait_for_lsn(position, end, TIMEOUT)?;
    Ok(end)
}
