//! A page of registers: they begin behind the header, and `pd_lower` is behind the last. The special space says which
//! they are.

use std::ops::Range;

use pgwal::{BlockNumber, Cursor, DataPage, Malformed};

use super::checked;
use super::records::{Change, changes};
use super::sketch::Precision;

/// Bytes of the special space: precision, column, page, three of zero, and the mark.
const SPECIAL: usize = 8;
/// By which programs that look at pages know whose one is, in the last two bytes.
const PAGE_ID: u16 = 0xFF8C;

/// Registers that a page has room for.
pub const REGISTERS_PER_PAGE: usize = DataPage::SIZE - DataPage::HEADER_SIZE - SPECIAL;

/// Which registers a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The sketch's precision.
    pub precision: Precision,
    /// Whose sketch it is: the column's number in the index, from one.
    pub column: u8,
    /// Which of the sketch's pages it is, from zero.
    pub number: u8,
}

impl Part {
    pub(super) fn checked_column(column: u8) -> Option<u8> {
        (column > 0).then_some(column)
    }

    /// The part with a register.
    #[must_use]
    pub fn with(precision: Precision, column: u8, register: u16) -> Self {
        // At most 65,535 / 8,160.
        #[allow(clippy::cast_possible_truncation)]
        let number = (usize::from(register) / REGISTERS_PER_PAGE) as u8;
        Self { precision, column, number }
    }

    /// Its block.
    #[must_use]
    pub fn block(self) -> BlockNumber {
        let before = u32::from(self.column.saturating_sub(1)) * u32::from(self.precision.pages());
        BlockNumber::new(before + u32::from(self.number))
    }

    /// Which of the sketch's registers it holds.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        let first = usize::from(self.number) * REGISTERS_PER_PAGE;
        first..(first + REGISTERS_PER_PAGE).min(self.precision.registers())
    }

    /// Where on the page a register is, behind the header.
    fn place(self, register: u16) -> Option<usize> {
        self.range().contains(&usize::from(register)).then(|| usize::from(register) - self.range().start)
    }

    /// Whether these can be its registers, or the first of them.
    pub(super) fn check(self, registers: &[u8]) -> Result<(), Malformed> {
        let most = self.range().len();
        if registers.len() > most {
            return Err(Malformed::Invalid { field: "registers", value: registers.len() as u64 });
        }
        let wrong = registers.iter().find(|value| **value > self.precision.max_value());
        wrong.map_or(Ok(()), |value| Err(Malformed::Invalid { field: "value", value: u64::from(*value) }))
    }
}

/// Which registers a page holds.
///
/// # Errors
/// [`Malformed`] if it is not a page of registers.
pub fn part(page: &DataPage) -> Result<Part, Malformed> {
    let mut cursor = Cursor::new(page.special());
    let precision = checked(&mut cursor, "precision", Precision::new)?;
    let column = checked(&mut cursor, "column", Part::checked_column)?;
    let number = checked(&mut cursor, "page", |number| (number < precision.pages()).then_some(number))?;
    cursor.skip("zero", 3)?;
    let id = cursor.u16("page_id")?;
    if id != PAGE_ID || !cursor.is_empty() {
        return Err(Malformed::Invalid { field: "page_id", value: u64::from(id) });
    }
    Ok(Part { precision, column, number })
}

/// A page's registers.
///
/// # Errors
/// [`Malformed`] if it is not a page of registers.
pub fn registers(page: &DataPage) -> Result<&[u8], Malformed> {
    let length = part(page)?.range().len();
    Cursor::new(page.contents()).take("registers", length)
}

/// The value of a register of a column's sketch, which is on this page.
///
/// # Errors
/// [`Malformed`] if it is not, or this is not a page of registers.
pub fn value(page: &DataPage, column: u8, register: u16) -> Result<u8, Malformed> {
    let part = part(page)?;
    if column != part.column {
        return Err(Malformed::Invalid { field: "column", value: u64::from(part.column) });
    }
    let value = part.place(register).and_then(|place| page.contents().get(place).copied());
    value.ok_or(Malformed::Invalid { field: "register", value: u64::from(register) })
}

/// Makes a page what the data of a block of an `INITIALIZE` or `RESET` record says, whatever it was.
///
/// # Errors
/// [`Malformed`] if the data is wrong. The page is as before then.
pub fn initialize(page: &mut DataPage, data: &[u8]) -> Result<(), Malformed> {
    let (part, registers) = Part::parse(data)?;
    page.init::<SPECIAL>();
    let [low, high] = PAGE_ID.to_le_bytes();
    page.special_mut().copy_from_slice(&[part.precision.get(), part.column, part.number, 0, 0, 0, low, high]);
    // At most 8192.
    #[allow(clippy::cast_possible_truncation)]
    page.set_lower((DataPage::HEADER_SIZE + part.range().len()) as u16);
    page.contents_mut().iter_mut().zip(registers).for_each(|(place, value)| *place = *value);
    Ok(())
}

/// Changes a page as the data of a `SET` record's block says.
///
/// # Errors
/// [`Malformed`] if the data is wrong, or not of this page. The page is as before then.
pub fn set(page: &mut DataPage, data: &[u8]) -> Result<(), Malformed> {
    let (changes, part) = (changes(data)?, part(page)?);
    if changes.column() != part.column {
        return Err(Malformed::Invalid { field: "column", value: u64::from(changes.column()) });
    }
    let place = |Change { register, value }: Change| {
        if value > part.precision.max_value() {
            return Err(Malformed::Invalid { field: "value", value: u64::from(value) });
        }
        part.place(register).ok_or(Malformed::Invalid { field: "register", value: u64::from(register) })
    };
    changes.iter().try_for_each(|change| place(change).map(drop))?;
    let contents = page.contents_mut();
    for change in changes.iter() {
        if let Some(register) = contents.get_mut(place(change)?) {
            *register = change.value;
        }
    }
    Ok(())
}

/// Makes equal what may differ between two copies of a page.
pub fn mask(page: &mut DataPage, _: BlockNumber) {
    page.mask_lsn_and_checksum();
    page.mask_hint_bits();
    // If the header is wrong, it is to be seen in both.
    let _ = page.mask_unused_space();
}
