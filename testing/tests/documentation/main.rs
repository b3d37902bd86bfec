//! What the documentation says is so: against the sources, against a server, and against itself.
//!
//! What it says of the command's options is compared in `crates/walker-cli/src/book.rs`.

mod chapters;
mod exit_codes;
mod links;
mod messages;
mod quotes;
mod server;
