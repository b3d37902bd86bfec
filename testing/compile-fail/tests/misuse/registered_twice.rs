//! One page has one copy.

use pgxlog::{ExclusiveBuffer, GenericXLog, PageChange, Relation};

fn change(relation: Relation<'_>, mut buffer: ExclusiveBuffer<'_>) {
    let change = GenericXLog::start(relation);
    let _one = change.register(&mut buffer, PageChange::Delta);
    let _two = change.register(&mut buffer, PageChange::Delta);
    let _ = change.finish();
}

fn main() {}
