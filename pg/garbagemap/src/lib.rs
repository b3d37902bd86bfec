//! The PostgreSQL extension garbagemap.
