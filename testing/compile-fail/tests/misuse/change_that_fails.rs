//! A change within the critical section cannot fail.

use compile_fail::{Manager, Operation, increment};
use pgxlog::{ExclusiveBuffer, RecordBlock, RecordBuilder};

fn change(mut buffer: ExclusiveBuffer<'_>) {
    let block = RecordBlock::new(&mut buffer);
    let _ = RecordBuilder::<Manager>::new(Operation::Increment).commit([block], |[page]| increment(page, &[1]));
}

fn main() {}
