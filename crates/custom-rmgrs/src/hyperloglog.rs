//! Indexes that count distinct values: their records, their pages, and the arithmetic of a sketch.
//!
//! A sketch has 2^precision registers of one byte. Those of one column lie one after the other on as many pages as they
//! need, and behind them those of the next column.

mod page;
mod records;
mod sketch;

use std::ffi::CStr;
use std::fmt;

use pgwal::{Block, Cursor, CustomRmgr, CustomRmgrId, Malformed, Record, TextBuffer};

pub use page::{Part, REGISTERS_PER_PAGE, initialize, mask, part, registers, set, value};
pub use records::{Change, Changes, changes, one_change, parts};
pub use sketch::{Histogram, Precision, Sketch};

pgwal::operations! {
    /// What its records do.
    pub enum Operation {
        /// A page of a new index is made, with registers as the table has them.
        Initialize = 0 => c"INITIALIZE",
        /// Registers of a page become greater.
        Set = 1 => c"SET",
        /// All pages of a sketch begin anew.
        Reset = 2 => c"RESET",
    }
}

/// The resource manager.
#[derive(Debug)]
pub struct Hyperloglog;

impl CustomRmgr for Hyperloglog {
    const ID: CustomRmgrId = CustomRmgrId::new(222);
    const NAME: &'static CStr = c"hyperloglog";
    type Operation = Operation;

    fn describe(operation: Operation, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed> {
        text.append_format(format_args!("{}", description(operation, record)?));
        Ok(())
    }
}

/// What a record does, to be shown.
///
/// # Errors
/// [`Malformed`] if the record does not hold what its operation promises.
pub fn description<'a>(operation: Operation, record: &Record<'a>) -> Result<impl fmt::Display + use<'a>, Malformed> {
    let block = first_block(record)?;
    // So that nothing fails while it is shown.
    Ok(match operation {
        Operation::Initialize | Operation::Reset => {
            let (part, registers) = Part::parse(block.data)?;
            Description::Page {
                part,
                pages: record.blocks.len(),
                is_new: operation == Operation::Initialize,
                registers,
            }
        }
        Operation::Set => Description::Set(changes(block.data)?),
    })
}

/// The block that all records have.
///
/// # Errors
/// [`Malformed::NoBlock`] if this one has not.
pub fn first_block<'r, 'a>(record: &'r Record<'a>) -> Result<&'r Block<'a>, Malformed> {
    record.blocks.first().filter(|block| block.id == 0).ok_or(Malformed::NoBlock(0))
}

enum Description<'a> {
    Page { part: Part, pages: usize, is_new: bool, registers: &'a [u8] },
    Set(Changes<'a>),
}

impl fmt::Display for Description<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page { part, is_new: false, pages, .. } => {
                write!(formatter, "column {}, precision {}, pages {pages}", part.column, part.precision.get())
            }
            Self::Page { part, registers, .. } => {
                let set = registers.iter().filter(|register| **register > 0).count();
                let Part { column, precision, number } = part;
                write!(formatter, "column {column}, precision {}, page {number}, registers set {set}", precision.get())
            }
            Self::Set(changes) => {
                write!(formatter, "column {}", changes.column())?;
                changes
                    .iter()
                    .try_for_each(|Change { register, value }| write!(formatter, ", register {register} value {value}"))
            }
        }
    }
}

/// A byte that may be one of some.
fn checked<T>(cursor: &mut Cursor<'_>, field: &'static str, make: impl Fn(u8) -> Option<T>) -> Result<T, Malformed> {
    let value = cursor.u8(field)?;
    make(value).ok_or(Malformed::Invalid { field, value: u64::from(value) })
}

#[cfg(test)]
mod tests;
