//! PostgreSQL installations and clusters for tests.
