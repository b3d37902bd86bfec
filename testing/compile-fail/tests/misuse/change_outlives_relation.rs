//! A change is done while its relation is open.

use pgxlog::{GenericXLog, Relation};

fn start(relation: Relation<'_>) -> GenericXLog<'static> {
    GenericXLog::start(relation)
}

fn main() {}
