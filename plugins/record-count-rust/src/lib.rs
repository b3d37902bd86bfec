//! Example plugin: counts records by resource manager.
