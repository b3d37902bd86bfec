//! What is changed after the record was written would be in no record.

use pgxlog::{ExclusiveBuffer, GenericXLog, GenericXLogError, PageChange, Relation};

fn change(relation: Relation<'_>, mut buffer: ExclusiveBuffer<'_>) -> Result<(), GenericXLogError> {
    let change = GenericXLog::start(relation);
    let page = change.register(&mut buffer, PageChange::Delta)?;
    change.finish()?;
    page.contents_mut()[0] = 1;
    Ok(())
}

fn main() {}
