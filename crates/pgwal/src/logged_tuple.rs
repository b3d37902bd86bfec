//! A row's bytes as records hold them for logical decoding.
//!
//! Source: `src/include/access/heapam_xlog.h`: `xl_heap_header`.

use std::borrow::Cow;

use crate::cursor::Cursor;
use crate::error::Malformed;
use crate::heap_page::TupleHeader;

/// `SizeOfHeapHeader`.
const HEADER: usize = 5;
/// `HEAP_HASNULL`.
const HAS_NULLS: u16 = 0x0001;
/// `HEAP_NATTS_MASK`.
const COLUMNS: u16 = 0x07FF;
/// `MaxHeapAttributeNumber`.
const MAX_COLUMNS: u16 = 1600;
/// `MAXIMUM_ALIGNOF`.
const ALIGNMENT: u16 = 8;

/// A row, or the columns of it that tell it from others, in the form in which the records of a heap hold it: what is needed
/// of the tuple's header (`xl_heap_header`), its null bitmap, its values.
///
/// An extension's records hold rows in this form for logical decoding: see the crate `pgxlog`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedTuple<'a> {
    infomask2: u16,
    infomask: u16,
    offset: u8,
    bytes: Cow<'a, [u8]>,
}

impl<'a> LoggedTuple<'a> {
    /// The tuple in these bytes of a record. Looked at is what comes before the values; what these are only the relation's
    /// columns tell.
    ///
    /// # Errors
    /// [`Malformed`] if they are no tuple.
    pub fn parse(bytes: impl Into<Cow<'a, [u8]>>) -> Result<Self, Malformed> {
        let bytes = bytes.into();
        let mut cursor = Cursor::new(&bytes);
        let infomask2 = cursor.u16("t_infomask2")?;
        let infomask = cursor.u16("t_infomask")?;
        let offset = cursor.u8("t_hoff")?;
        let columns = infomask2 & COLUMNS;
        if columns > MAX_COLUMNS {
            return Err(Malformed::Invalid { field: "t_infomask2", value: infomask2.into() });
        }
        let bitmap = if infomask & HAS_NULLS == 0 { 0 } else { columns.div_ceil(8) };
        // Values lie where their alignment wants them, counted from there.
        let is_aligned = u16::from(offset).is_multiple_of(ALIGNMENT);
        match u16::from(offset).checked_sub(TupleHeader::SIZE) {
            Some(before) if is_aligned && before >= bitmap => cursor.skip("tuple", before.into())?,
            _ => return Err(Malformed::Invalid { field: "t_hoff", value: offset.into() }),
        }
        Ok(Self { infomask2, infomask, offset, bytes })
    }

    /// What a record holds.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many columns it has; those that the relation got later are not among them (`HeapTupleHeaderGetNatts`).
    #[must_use]
    pub fn columns(&self) -> u16 {
        self.infomask2 & COLUMNS
    }

    /// The tuple's `t_infomask2`.
    #[must_use]
    pub fn infomask2(&self) -> u16 {
        self.infomask2
    }

    /// The tuple's `t_infomask`.
    #[must_use]
    pub fn infomask(&self) -> u16 {
        self.infomask
    }

    /// Where its values begin, in bytes from the beginning of a tuple with its whole header (`t_hoff`).
    #[must_use]
    pub fn values_offset(&self) -> u8 {
        self.offset
    }

    /// The tuple behind its header: the null bitmap, if it has one, and the values.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two columns, the second null; eight bytes of values.
    const BYTES: [u8; 14] = [2, 0, 1, 0, 24, 0b01, 1, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn a_tuple_is_read_as_it_was_written() {
        let tuple = LoggedTuple::parse(&BYTES[..]).unwrap();
        assert_eq!((tuple.infomask2(), tuple.infomask(), tuple.values_offset(), tuple.columns()), (2, 1, 24, 2));
        assert_eq!(tuple.data(), &BYTES[5..]);
        assert_eq!(tuple.as_bytes(), BYTES);
    }

    #[test]
    fn bytes_without_room_for_what_comes_before_the_values_are_no_tuple() {
        for length in 0..6 {
            let error = LoggedTuple::parse(&BYTES[..length]).unwrap_err();
            assert!(matches!(error, Malformed::Truncated { .. }), "{length}: {error}");
        }
        // Without a value, as a row of nulls is.
        assert_eq!(LoggedTuple::parse(&BYTES[..6]).unwrap().data().len(), 1);
    }

    #[test]
    fn values_begin_aligned_behind_the_null_bitmap() {
        for (columns, has_nulls, offset, is_valid) in [
            (8_u16, true, 24_u8, true),
            (9, true, 24, false),
            (9, false, 24, true),
            (9, true, 32, true),
            (2, true, 0, false),
            (2, true, 16, false),
            (2, true, 25, false),
            (1600, true, 224, true),
            (1600, true, 216, false),
            (1600, false, 24, true),
            (1601, false, 24, false),
        ] {
            let mut bytes = [0; 256];
            bytes[..2].copy_from_slice(&columns.to_le_bytes());
            bytes[2] = u8::from(has_nulls);
            bytes[4] = offset;
            let parsed = LoggedTuple::parse(&bytes[..]);
            assert_eq!(parsed.is_ok(), is_valid, "{columns} {has_nulls} {offset}: {parsed:?}");
        }
    }
}
