//! What building and testing need, and the machine may lack.

use std::cmp::Reverse;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use walker_testing::{Installation, NotFound, PG_CONFIG_VARIABLE};

use crate::apt::{self, Missing, is_on_path};
use crate::postgresql;
use crate::tools;

/// Only sets up what building and testing need.
///
/// The major versions of PostgreSQL that Debian has no packages of, and that tests read WAL of, are made in the cache:
/// 16 and 18 from packages for Python and Node.js (by pip and npm), 17 from source (by apt-get). What cannot be had is
/// named, and its tests are skipped.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Major version of PostgreSQL
    #[arg(long, default_value_t = 15, value_name = "MAJOR")]
    pg: u32,
}

/// `cargo xtask setup`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let installation = prepare(arguments.pg)?;
    postgresql::provide_all()?;
    tools::rustfmt()?;
    tools::clippy()?;
    tools::nextest()?;
    println!("{} is ready: {}", installation.version(), installation.pg_config().display());
    Ok(())
}

/// PostgreSQL of that major version, with everything that is needed to build and run WALker in it.
pub(crate) fn prepare(major: u32) -> Result<Installation> {
    let (missing, installation) = look(major)?;
    if let (true, Some(installation)) = (missing.is_empty(), installation) {
        return Ok(installation);
    }
    if missing.contains(&Missing::PostgreSql(major)) && env::var_os(PG_CONFIG_VARIABLE).is_some() {
        bail!("the PostgreSQL that {PG_CONFIG_VARIABLE} names has no server or no server headers");
    }
    let (from_origin, from_apt): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .partition(|missing| *missing == Missing::PostgreSql(major) && postgresql::has_origin(major));
    if !from_apt.is_empty() {
        apt::install(&from_apt)?;
    }
    if !from_origin.is_empty() {
        // Not looked for again: one without headers may stand before it.
        return postgresql::provide(major);
    }
    match look(major)? {
        (missing, Some(installation)) if missing.is_empty() => Ok(installation),
        (missing, _) => bail!("still missing after all packages were installed: {missing:?}"),
    }
}

/// What an installation that was named, and not looked for, must have to be built for.
pub(crate) fn check(installation: &Installation) -> Result<()> {
    let headers = installation.server_include_directory()?;
    ensure!(
        has_headers(installation)?,
        "no headers of {} in {}: install its package with headers for extensions",
        installation.version(),
        headers.display()
    );
    if libclang_directory().is_none() {
        apt::install(&[Missing::Libclang])?;
    }
    Ok(())
}

/// Directory of the libclang that reads the server's headers, for `LIBCLANG_PATH`.
pub(crate) fn libclang_directory() -> Option<PathBuf> {
    let named = env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    let mut releases: Vec<PathBuf> = subdirectories(Path::new("/usr/lib"), "llvm-");
    releases.sort_by_key(|directory| Reverse(llvm_release(directory)));
    let releases = releases.into_iter().map(|directory| directory.join("lib"));
    let machine = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    let usual = [machine.as_str(), "/usr/lib64", "/usr/lib", "/usr/local/lib"].map(PathBuf::from);
    named.into_iter().chain(releases).chain(usual).find(|directory| holds_libclang(directory))
}

fn look(major: u32) -> Result<(Vec<Missing>, Option<Installation>)> {
    let installation = match Installation::find(major) {
        Ok(installation) => Some(installation),
        Err(error) if error.is::<NotFound>() => None,
        Err(error) => return Err(error),
    };
    let is_complete = installation.as_ref().map_or(Ok(false), is_complete)?;
    let lacks = [
        (!is_complete, Missing::PostgreSql(major)),
        (libclang_directory().is_none(), Missing::Libclang),
        (env::var_os("CC").is_none() && !is_on_path("cc"), Missing::Compiler),
    ];
    let missing = lacks.into_iter().filter_map(|(lacks, what)| lacks.then_some(what)).collect();
    Ok((missing, installation))
}

fn is_complete(installation: &Installation) -> Result<bool> {
    Ok(installation.program("postgres")?.is_file() && has_headers(installation)?)
}

fn has_headers(installation: &Installation) -> Result<bool> {
    Ok(installation.server_include_directory()?.join("postgres.h").is_file())
}

fn holds_libclang(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.filter_map(|entry| entry.ok()).any(|entry| is_libclang(&entry.file_name().to_string_lossy()))
}

/// `libclang.so`, `libclang.so.1`, `libclang-14.so.1`, but not the other library `libclang-cpp.so.14`.
fn is_libclang(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else { return false };
    let rest =
        rest.trim_start_matches(|character: char| character == '-' || character.is_ascii_digit() || character == '.');
    rest == "so" || rest.starts_with("so.")
}

fn subdirectories(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().filter_map(|entry| entry.ok());
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)).map(|entry| entry.path()).collect()
}

fn llvm_release(directory: &Path) -> u32 {
    let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.strip_prefix("llvm-").and_then(|release| release.parse().ok()).unwrap_or(0)
}

/// Environment in which cargo builds what PostgreSQL loads.
pub(crate) fn server_environment(installation: &Installation) -> Result<[(&'static str, PathBuf); 2]> {
    Ok([
        ("PGRX_PG_CONFIG_PATH", installation.pg_config().to_owned()),
        ("LIBCLANG_PATH", libclang_directory().context("libclang is not installed")?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_named_libclang() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so.1", "libclang-14.so.14.0.6", "libclang.so.19.1"] {
            assert!(is_libclang(name), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclang.a", "libclang-14.a", "libclangAST.so", "libLLVM-14.so"] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
