//! The PostgreSQL extension walker.
