//! Safe Rust over PostgreSQL's WAL from inside the server.
