//! What is in the arena is freed behind the record.

use compile_fail::Counter;
use pgxlog::Redo;

fn keep(redo: &mut Redo<'_, Counter>) -> &'static mut [u8] {
    redo.arena().zeroed(8)
}

fn main() {}
