//! What is registered lives until the record is written.

use compile_fail::{Manager, Operation};
use pgxlog::RecordBuilder;

fn write(data: Vec<u8>) {
    let builder = RecordBuilder::<Manager>::new(Operation::Increment).data(&data[..]);
    drop(data);
    let _ = builder.commit([], |[]| {});
}

fn main() {}
