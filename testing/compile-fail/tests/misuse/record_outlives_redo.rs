//! What a record holds is overwritten by the next one.

use compile_fail::Counter;
use pgxlog::Redo;

fn keep(redo: &mut Redo<'_, Counter>) -> &'static [u8] {
    redo.record().main_data
}

fn main() {}
