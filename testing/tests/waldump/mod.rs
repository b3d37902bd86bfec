//! `walker dump` beside `pg_waldump`, on directories of segments that tests put together.
#![allow(dead_code, reason = "each test that includes this uses a part of it")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use pgwal::Lsn;
use walker_testing::{Cluster, ClusterBuilder, Installation, walker};

/// The installation under test, or PostgreSQL 15.
pub(crate) fn installation() -> Result<Installation> {
    Installation::for_tests().or_else(|_| Installation::find(15))
}

/// A cluster with segments of 1 MB that keeps all of them.
pub(crate) fn small_segments() -> Result<ClusterBuilder> {
    let settings = [("autovacuum", "off"), ("wal_keep_size", "2GB"), ("wal_recycle", "off"), ("bgwriter_delay", "10s")];
    Ok(Cluster::builder(&installation()?).initdb_option("--wal-segsize=1").settings(settings))
}

/// How a program ended and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    fn new(output: Output) -> Result<Self> {
        let code = output.status.code().context("ended by a signal")?;
        ensure!(code <= 1, "exit code {code}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(Self {
            success: code == 0,
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// What was said, if the program succeeded.
    pub(crate) fn text(self) -> Result<String> {
        ensure!(self.success, "{}", self.stderr);
        Ok(self.stdout)
    }
}

/// `walker dump` of the segments in `path`.
pub(crate) fn ours(path: &Path, options: &[&str]) -> Result<Outcome> {
    Outcome::new(walker()?.arg("dump").args(options).arg("--path").arg(path).output()?)
}

/// `pg_waldump` of the segments in `path`.
pub(crate) fn theirs(path: &Path, options: &[&str]) -> Result<Outcome> {
    let mut command = Command::new(installation()?.program("pg_waldump")?);
    command.env("TZ", "UTC").env("LC_ALL", "C");
    Outcome::new(command.args(options).arg("--path").arg(path).output()?)
}

/// Compares line by line, so that a difference is shown by its first line; returns how many lines there were.
pub(crate) fn compare(ours: &str, theirs: &str) -> Result<usize> {
    for (our, their) in ours.lines().zip(theirs.lines()) {
        ensure!(our == their, "pg_waldump:\n{their}\nwalker:\n{our}");
    }
    let (our_count, their_count) = (ours.lines().count(), theirs.lines().count());
    ensure!(ours == theirs, "{our_count} lines of walker, {their_count} of pg_waldump");
    Ok(our_count)
}

/// Where the record of a line begins.
pub(crate) fn lsn_of(line: &str) -> Option<Lsn> {
    line.split("lsn: ").nth(1)?.split(',').next()?.parse().ok()
}

/// Names of the segments in a directory, in order.
pub(crate) fn segments(directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Copies all files of one directory into another, over those that are there; every user may read them.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let copy = to.join(entry.file_name());
            fs::copy(entry.path(), &copy)?;
            fs::set_permissions(&copy, Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}
