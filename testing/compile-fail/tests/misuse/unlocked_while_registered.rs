//! The lock stays until Generic WAL is finished.

use pgxlog::{ExclusiveBuffer, GenericXLog, PageChange, Relation};

fn change(relation: Relation<'_>, mut buffer: ExclusiveBuffer<'_>) {
    let change = GenericXLog::start(relation);
    let _page = change.register(&mut buffer, PageChange::Delta);
    let _pinned = buffer.unlock();
    let _ = change.finish();
}

fn main() {}
