//! Nobody looks at the page itself while its copy is changed.

use pgxlog::{ExclusiveBuffer, GenericXLog, PageChange, Relation};

fn change(relation: Relation<'_>, mut buffer: ExclusiveBuffer<'_>) {
    let change = GenericXLog::start(relation);
    let _page = change.register(&mut buffer, PageChange::Delta);
    let _lower = buffer.page().lower();
    let _ = change.finish();
}

fn main() {}
