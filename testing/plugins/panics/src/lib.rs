//! A plugin for tests: panics at the tenth record of the heap.

use pgwal::Record;
use walker_core::{Plugin, PluginError};

pgrx::pg_module_magic!();

pgxlog::walker_plugin!(Panics::default());

#[derive(Debug, Default)]
struct Panics {
    seen: usize,
}

impl Plugin for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn heap(&mut self, _record: &Record<'_>) -> Result<(), PluginError> {
        self.seen += 1;
        assert!(self.seen < 10, "panics has seen {} records", self.seen);
        Ok(())
    }
}
