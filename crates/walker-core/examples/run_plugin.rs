//! Runs a plugin over a directory of WAL, such as `pg_wal` or an archive: it counts the records of rows that were inserted one by one.
//!
//! ```text
//! cargo run --example run_plugin -- $PGDATA/pg_wal
//! ```

use std::cell::Cell;
use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::rc::Rc;

use pgwal::Record;
use walker_core::{FileSource, FileSourceOptions, Plugin, PluginError, WalDirectory, Walk};

/// The count is shared, since the walk owns its plugins.
#[derive(Default)]
struct Inserts(Rc<Cell<u64>>);

impl Plugin for Inserts {
    fn name(&self) -> &str {
        "inserts"
    }

    fn heap(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        let is_insert = record.identify().is_some_and(|name| name.starts_with("INSERT"));
        self.0.set(self.0.get() + u64::from(is_insert));
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path: PathBuf = env::args_os().nth(1).ok_or("usage: run_plugin DIRECTORY")?.into();
    let source = FileSource::new(&WalDirectory::open(&path, None)?, FileSourceOptions::default());
    let inserts = Rc::new(Cell::new(0));
    let mut walk = Walk::new(source, vec![Box::new(Inserts(Rc::clone(&inserts)))]);
    walk.run()?;
    if let Some(failure) = walk.take_failures().first() {
        return Err(failure.to_string().into());
    }
    println!("{} records of inserted rows up to {}", inserts.get(), walk.position());
    Ok(())
}
