//! A record has each block once.

use compile_fail::{Manager, Operation};
use pgxlog::{ExclusiveBuffer, RecordBlock, RecordBuilder};

fn change(mut buffer: ExclusiveBuffer<'_>) {
    let blocks = [RecordBlock::new(&mut buffer), RecordBlock::new(&mut buffer)];
    let _ = RecordBuilder::<Manager>::new(Operation::Increment).commit(blocks, |[_one, _two]| {});
}

fn main() {}
