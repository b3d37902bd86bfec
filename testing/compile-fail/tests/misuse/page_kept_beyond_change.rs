//! A page cannot be changed behind its record.

use compile_fail::{Manager, Operation};
use pgxlog::{ExclusiveBuffer, RecordBlock, RecordBuilder};

fn change(mut buffer: ExclusiveBuffer<'_>) {
    let mut kept = None;
    let block = RecordBlock::new(&mut buffer);
    let _ = RecordBuilder::<Manager>::new(Operation::Increment).commit([block], |[page]| kept = Some(page));
    kept.into_iter().for_each(|page| page.set_lower(24));
}

fn main() {}
