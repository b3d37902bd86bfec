//! A buffer is released before its relation is closed.

use pgwal::{BlockNumber, Fork};
use pgxlog::{PinnedBuffer, Relation};

fn read(relation: Relation<'_>) -> PinnedBuffer<'static> {
    relation.read(Fork::MAIN, BlockNumber::new(0))
}

fn main() {}
