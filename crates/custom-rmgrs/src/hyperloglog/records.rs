//! What the records hold.
//!
//! | operation | block | data of each block |
//! |---|---|---|
//! | `INITIALIZE` | one, made anew | which [`Part`] of which sketch, 3 bytes; then registers, of which those that are missing are zero |
//! | `SET` | one | column; then register, 2 bytes, and its new value for each change |
//! | `RESET` | all of a sketch, made anew | as `INITIALIZE`, without registers |

use pgwal::{Cursor, Malformed};

use super::checked;
use super::page::Part;
use super::sketch::Precision;

/// Bytes of a change.
const CHANGE: usize = 3;

/// A register's new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Its place in the sketch.
    pub register: u16,
    /// What it becomes.
    pub value: u8,
}

impl Change {
    const fn to_bytes(self) -> [u8; CHANGE] {
        let [low, high] = self.register.to_le_bytes();
        [low, high, self.value]
    }
}

/// What a `SET` record does to its page.
#[derive(Debug, Clone, Copy)]
pub struct Changes<'a> {
    column: u8,
    changes: &'a [[u8; CHANGE]],
}

impl<'a> Changes<'a> {
    /// Whose sketch it is: the column's number in the index, from one.
    #[must_use]
    pub const fn column(&self) -> u8 {
        self.column
    }

    /// The changes.
    pub fn iter(&self) -> impl Iterator<Item = Change> + use<'a> {
        self.changes
            .iter()
            .map(|[low, high, value]| Change { register: u16::from_le_bytes([*low, *high]), value: *value })
    }
}

/// Reads the data of a `SET` record's block.
///
/// # Errors
/// [`Malformed`] if it is cut off.
pub fn changes(data: &[u8]) -> Result<Changes<'_>, Malformed> {
    let mut cursor = Cursor::new(data);
    let column = checked(&mut cursor, "column", Part::checked_column)?;
    let (changes, rest) = cursor.rest().as_chunks::<CHANGE>();
    if changes.is_empty() || !rest.is_empty() {
        return Err(Malformed::Truncated { field: "change", wanted: CHANGE, available: rest.len() });
    }
    Ok(Changes { column, changes })
}

/// The data of a `SET` record with one change, as most have.
#[must_use]
pub const fn one_change(column: u8, change: Change) -> [u8; 1 + CHANGE] {
    let [low, high, value] = change.to_bytes();
    [column, low, high, value]
}

impl Changes<'_> {
    /// The data of a `SET` record.
    #[must_use]
    pub fn to_bytes(column: u8, changes: impl IntoIterator<Item = Change>) -> Vec<u8> {
        std::iter::once(column).chain(changes.into_iter().flat_map(Change::to_bytes)).collect()
    }
}

impl Part {
    /// Reads the data of an `INITIALIZE` or `RESET` record's block: which part it makes, and its registers.
    ///
    /// # Errors
    /// [`Malformed`] if it is cut off, or there is no such part.
    pub fn parse(data: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut cursor = Cursor::new(data);
        let precision = checked(&mut cursor, "precision", Precision::new)?;
        let column = checked(&mut cursor, "column", Self::checked_column)?;
        let number = checked(&mut cursor, "page", |number| (number < precision.pages()).then_some(number))?;
        let part = Self { precision, column, number };
        let registers = cursor.rest();
        part.check(registers)?;
        Ok((part, registers))
    }

    /// The data of an `INITIALIZE` record's block behind which its registers come, or of a `RESET` record's block.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 3] {
        [self.precision.get(), self.column, self.number]
    }
}

/// All parts of a column's sketch.
pub fn parts(precision: Precision, column: u8) -> impl Iterator<Item = Part> {
    (0..precision.pages()).map(move |number| Part { precision, column, number })
}
