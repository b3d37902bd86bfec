//! The lock stays until the record is written.

use compile_fail::{Manager, Operation};
use pgxlog::{ExclusiveBuffer, RecordBlock, RecordBuilder};

fn change(mut buffer: ExclusiveBuffer<'_>) {
    let block = RecordBlock::new(&mut buffer);
    drop(buffer);
    let _ = RecordBuilder::<Manager>::new(Operation::Increment).commit([block], |[_page]| {});
}

fn main() {}
