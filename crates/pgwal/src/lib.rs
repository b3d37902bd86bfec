//! PostgreSQL's write-ahead log format: pages, records, block images and resource managers, without I/O.
