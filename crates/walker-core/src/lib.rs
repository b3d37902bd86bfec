//! The walk over PostgreSQL's WAL: sources, plugins and the loop that joins them.
