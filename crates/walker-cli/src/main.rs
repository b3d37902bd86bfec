//! The `walker` command.
fn main() {}
