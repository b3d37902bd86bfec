//! `walker dump` and `walker stats` over the WAL of PostgreSQL's own regression tests, against each major's pg_waldump.
//!
//! The tests are those of PostgreSQL 17, on all majors: on the others some of their statements fail, and what they
//! write into the WAL is all that matters here. The texts are hundreds of megabytes: they are compared as they come.

mod comparison;
mod differences;
mod load;

use std::env;
use std::time::Instant;

use anyhow::{Result, ensure};
use walker_testing::{Cluster, Installation, Mode, NotFound, regression_tests, walker_command};

use comparison::Comparison;

/// So many records are there at least: the load of each major has a third more.
const RECORDS: u64 = 2_000_000;

#[test]
fn the_wal_of_15_is_told_as_its_pg_waldump_tells_it() -> Result<()> {
    check(15)
}

#[test]
fn the_wal_of_16_is_told_as_its_pg_waldump_tells_it() -> Result<()> {
    check(16)
}

#[test]
fn the_wal_of_17_is_told_as_its_pg_waldump_tells_it() -> Result<()> {
    check(17)
}

#[test]
fn the_wal_of_18_is_told_as_its_pg_waldump_tells_it() -> Result<()> {
    check(18)
}

fn check(major: u32) -> Result<()> {
    let installation = match Installation::find_beside(major) {
        Err(error) if error.is::<NotFound>() => return skip(&error.to_string()),
        other => other?,
    };
    if !regression_tests()?.is_dir() {
        return skip("PostgreSQL's regression tests are not in the cache: `cargo xtask setup` gets them");
    }
    // Rather than after the load.
    walker_command()?;
    let started = Instant::now();
    let mut cluster = Cluster::builder(&installation)
        // Small segments, so that records cross from one to the next.
        .initdb_option("--wal-segsize=1")
        .settings([
            ("wal_level", "logical"),
            ("wal_keep_size", "32GB"),
            ("max_wal_size", "256MB"),
            ("max_prepared_transactions", "10"),
            ("track_commit_timestamp", "on"),
            ("wal_log_hints", "on"),
            ("allow_in_place_tablespaces", "on"),
            ("autovacuum_naptime", "5s"),
        ])
        .start()?;
    let start = cluster.flush_wal()?;
    load::run(&mut cluster)?;
    let end = cluster.flush_wal()?;
    cluster.stop(Mode::Fast)?;
    eprintln!("{}: {} MB of WAL after {:.0?}", installation.version(), end.since(start) >> 20, started.elapsed());

    let comparison = Comparison::new(&cluster, start, end)?;
    comparison.statistics(RECORDS, |resource_manager| can_occur(resource_manager, &installation))?;
    comparison.text()?;
    eprintln!("{}: compared after {:.0?}", installation.version(), started.elapsed());
    Ok(())
}

/// Generic records are written by an extension, which a server may lack.
fn can_occur(resource_manager: &str, installation: &Installation) -> bool {
    resource_manager != "Generic" || load::has_bloom(installation)
}

/// Nothing may be left out in continuous integration.
fn skip(reason: &str) -> Result<()> {
    ensure!(env::var_os("CI").is_none_or(|value| value != "true"), "{reason}");
    eprintln!("skipped: {reason}");
    Ok(())
}
