//! Test plugin that panics.
