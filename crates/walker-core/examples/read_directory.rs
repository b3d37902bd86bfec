//! Counts the records of each resource manager in a directory of WAL, such as `pg_wal` or an archive: timelines,
//! compressed and partial segments are seen to.
//!
//! ```text
//! cargo run --example read_directory -- $PGDATA/pg_wal
//! ```

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::path::PathBuf;

use walker_core::{FileSource, FileSourceOptions, Source as _, WalDirectory};

fn main() -> Result<(), Box<dyn Error>> {
    let path: PathBuf = env::args_os().nth(1).ok_or("usage: read_directory DIRECTORY")?.into();
    let directory = WalDirectory::open(&path, None)?;
    let mut source = FileSource::new(&directory, FileSourceOptions::default());
    let mut counts = BTreeMap::new();
    while let Some(rmgr) = source.next_record(|record| record.rmgr)? {
        *counts.entry(rmgr).or_insert(0u64) += 1;
    }
    for (rmgr, count) in counts {
        println!("{rmgr:<20} {count:>10}");
    }
    match source.end_reason() {
        Some(reason) => println!("the log ends: {reason}"),
        None => println!("the log ends with the newest segment"),
    }
    Ok(())
}
