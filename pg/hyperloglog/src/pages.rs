//! The index's pages, read and changed. Each change is one record, which redo applies by the same function.

use custom_rmgrs::hyperloglog::{self, Change, Changes, Histogram, Operation, Part, Precision, Sketch};
use index_access_method::{Index, IndexError};
use pgwal::{BlockNumber, DataPage, Fork, Lsn, Malformed};
use pgxlog::{ExclusiveBuffer, RecordBlock, RecordBuilder};

use crate::manager::Manager;

/// The numbers of an index's columns, from one.
pub(crate) fn columns(index: Index<'_>) -> impl Iterator<Item = u8> {
    // There are at most 32 (`INDEX_MAX_KEYS`).
    (1..=u8::MAX).take(index.columns())
}

/// The precision of all sketches of the index.
pub(crate) fn precision(index: Index<'_>) -> Result<Precision, IndexError> {
    let first = BlockNumber::new(0);
    let buffer = index.relation().read(Fork::MAIN, first).share();
    let part = hyperloglog::part(buffer.page());
    part.map(|part| part.precision).map_err(damaged(index, first))
}

/// Makes the pages of a column's sketch, behind those of the columns before.
pub(crate) fn initialize(index: Index<'_>, fork: Fork, column: u8, sketch: &Sketch) -> Result<(), IndexError> {
    for part in hyperloglog::parts(sketch.precision(), column) {
        let registers = sketch.registers().get(part.range()).unwrap_or_default();
        // Those at the end that are zero need not be told.
        let told = registers.iter().rposition(|value| *value > 0).map_or(0, |last| last + 1);
        let data = [&part.to_bytes(), registers.get(..told).unwrap_or_default()].concat();
        let mut buffer = index.relation().extend(fork);
        if buffer.block_number() != part.block() {
            let found = Malformed::Invalid { field: "block", value: u64::from(buffer.block_number().get()) };
            return Err(damaged(index, part.block())(found));
        }
        let block = RecordBlock::new(&mut buffer).init().standard().keep_data().data(&data);
        record(Operation::Initialize).commit([block], |[page]| done(hyperloglog::initialize(page, &data)))?;
    }
    Ok(())
}

/// Makes a register of a column's sketch greater, if it is not as great already.
pub(crate) fn add(index: Index<'_>, column: u8, precision: Precision, change: Change) -> Result<(), IndexError> {
    let number = Part::with(precision, column, change.register).block();
    let has = |page: &DataPage| {
        let value = hyperloglog::value(page, column, change.register).map_err(damaged(index, number))?;
        Ok::<_, IndexError>(value >= change.value)
    };
    // Most values are not new to the sketch, and those who bring them do not wait for each other.
    let buffer = index.relation().read(Fork::MAIN, number).share();
    if has(buffer.page())? {
        return Ok(());
    }
    let mut buffer = buffer.unlock().exclusive();
    if has(buffer.page())? {
        return Ok(());
    }
    set(&mut buffer, &hyperloglog::one_change(column, change)).map(drop)
}

/// Makes the registers of a column's sketch as great as these, where they are not. There are as many. Returns the end of the
/// last record, if there is one.
pub(crate) fn merge(index: Index<'_>, column: u8, sketch: &Sketch) -> Result<Option<Lsn>, IndexError> {
    let mut end = None;
    for part in hyperloglog::parts(sketch.precision(), column) {
        let mut buffer = exclusive(index, part)?;
        let before = hyperloglog::registers(buffer.page()).map_err(damaged(index, part.block()))?;
        let others = sketch.registers().get(part.range()).unwrap_or_default();
        let places = part.range().zip(before.iter().zip(others));
        let greater = places.filter(|(_, (before, other))| other > before);
        let changes: Vec<_> = greater
            .map(|(register, (_, value))| Change {
                register: u16::try_from(register).unwrap_or(u16::MAX),
                value: *value,
            })
            .collect();
        if !changes.is_empty() {
            end = set(&mut buffer, &Changes::to_bytes(column, changes))?;
        }
    }
    Ok(end)
}

/// Writes a `SET` record, whose changes fit to the page.
fn set(buffer: &mut ExclusiveBuffer<'_>, data: &[u8]) -> Result<Option<Lsn>, IndexError> {
    // Logical decoding needs the changes even where the page's image would do for redo.
    let block = RecordBlock::new(buffer).standard().keep_data().data(data);
    Ok(record(Operation::Set).commit([block], |[page]| done(hyperloglog::set(page, data)))?)
}

/// Begins a column's sketch anew, all of its pages by one record. Returns its end.
pub(crate) fn reset(index: Index<'_>, column: u8) -> Result<Option<Lsn>, IndexError> {
    let parts = hyperloglog::parts(precision(index)?, column);
    let mut pages =
        parts.map(|part| Ok((exclusive(index, part)?, part.to_bytes()))).collect::<Result<Vec<_>, IndexError>>()?;
    let data: Vec<_> = pages.iter().map(|(_, data)| *data).collect();
    let block = |(buffer, data)| RecordBlock::new(buffer).init().standard().keep_data().data(data);
    let blocks = pages.iter_mut().map(|(buffer, _)| buffer).zip(data.iter().map(<[u8; 3]>::as_slice)).map(block);
    Ok(record(Operation::Reset).commit_all(blocks.collect(), |pages| {
        pages.iter_mut().zip(&data).for_each(|(page, data)| done(hyperloglog::initialize(page, data)));
    })?)
}

/// How many registers of a column's sketch have each value.
pub(crate) fn histogram(index: Index<'_>, column: u8, precision: Precision) -> Result<Histogram, IndexError> {
    let mut histogram = Histogram::default();
    each_page(index, column, precision, |registers| histogram.add(registers))?;
    Ok(histogram)
}

/// The registers of a column's sketch.
pub(crate) fn registers(index: Index<'_>, column: u8, precision: Precision) -> Result<Vec<u8>, IndexError> {
    let mut all = Vec::with_capacity(precision.registers());
    each_page(index, column, precision, |registers| all.extend_from_slice(registers))?;
    Ok(all)
}

/// Shows the registers page by page. Others insert meanwhile.
fn each_page(
    index: Index<'_>,
    column: u8,
    precision: Precision,
    mut show: impl FnMut(&[u8]),
) -> Result<(), IndexError> {
    for part in hyperloglog::parts(precision, column) {
        let buffer = index.relation().read(Fork::MAIN, part.block()).share();
        check(buffer.page(), part).map_err(damaged(index, part.block()))?;
        show(hyperloglog::registers(buffer.page()).map_err(damaged(index, part.block()))?);
    }
    Ok(())
}

/// Locks a page.
fn exclusive<'a>(index: Index<'a>, part: Part) -> Result<ExclusiveBuffer<'a>, IndexError> {
    let buffer = index.relation().read(Fork::MAIN, part.block()).exclusive();
    check(buffer.page(), part).map_err(damaged(index, part.block()))?;
    Ok(buffer)
}

/// Whether a page holds that part.
fn check(page: &DataPage, part: Part) -> Result<(), Malformed> {
    match hyperloglog::part(page)? {
        found if found == part => Ok(()),
        found => Err(Malformed::Invalid { field: "page", value: u64::from(found.number) }),
    }
}

fn record<'d>(operation: Operation) -> RecordBuilder<'d, Manager> {
    RecordBuilder::new(operation).include_origin()
}

/// Everything was checked before the record: a change that is not done now would be missing for ever.
fn done(outcome: Result<(), Malformed>) {
    outcome.expect("a page of registers takes the change");
}

fn damaged(index: Index<'_>, block: BlockNumber) -> impl Fn(Malformed) -> IndexError {
    move |error| {
        IndexError::corrupted(format!("index \"{}\" contains corrupted page at block {block}: {error}", index.name()))
    }
}
