//! Temporary directories that the server's user may enter.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// A socket's path may have 107 bytes: what is put behind this directory is `walker-XXXXXX/socket/.s.PGSQL.5432`.
const LONGEST_PARENT: usize = 60;

/// A fresh directory that every user may enter, removed when it is dropped.
///
/// It is made in the system's temporary directory or, where that one has a long path or is closed to other users, in
/// `/tmp` or `/var/tmp`.
///
/// # Errors
/// If none of these can be written to.
pub fn temporary_directory() -> Result<TempDir> {
    let candidates = [env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    let parent = candidates
        .iter()
        .find(|parent| parent.as_os_str().len() <= LONGEST_PARENT && is_open(parent))
        .context("no temporary directory that every user may enter: tried TMPDIR, /tmp and /var/tmp")?;
    let directory = tempfile::Builder::new()
        .prefix("walker-")
        .tempdir_in(parent)
        .with_context(|| format!("cannot make a directory in {}", parent.display()))?;
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755))
        .with_context(|| format!("cannot open {} to the server's user", directory.path().display()))?;
    Ok(directory)
}

/// Whether every user may enter this directory and all above it.
pub(crate) fn is_open(directory: &Path) -> bool {
    let Ok(directory) = directory.canonicalize() else { return false };
    directory.ancestors().all(|ancestor| {
        fs::metadata(ancestor).is_ok_and(|metadata| metadata.is_dir() && metadata.permissions().mode() & 0o001 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_may_enter() {
        let directory = temporary_directory().unwrap();
        assert!(is_open(directory.path()));
        let inside = directory.path().join("inside");
        fs::create_dir(&inside).unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
        assert!(!is_open(directory.path()));
        assert!(!is_open(&inside));
    }
}
