//! What `cargo xtask setup` keeps from run to run, and where tests find it.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Where downloads, tools and, in continuous integration, build artefacts are kept: `$XDG_CACHE_HOME/walker`, or else
/// `~/.cache/walker`.
///
/// # Errors
/// If there is neither that variable nor a home directory.
pub fn cache_directory() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache")));
    Ok(cache.context("no home directory: set HOME")?.join("walker"))
}

/// Where the cache has PostgreSQL of that major version, whether it has one or not.
///
/// # Errors
/// As [`cache_directory`].
pub fn cached_postgresql(major: u32) -> Result<PathBuf> {
    Ok(cache_directory()?.join("postgresql").join(major.to_string()))
}

/// Where the cache has PostgreSQL's own regression tests, whether it has them or not: what `src/test/regress` has of
/// them, with the built `regress.so`.
///
/// # Errors
/// As [`cache_directory`].
pub fn regression_tests() -> Result<PathBuf> {
    Ok(cached_postgresql(REGRESSION_TESTS_MAJOR)?.join("regress"))
}

/// The major version whose regression tests are kept: the one that is built from source.
pub const REGRESSION_TESTS_MAJOR: u32 = 17;
