//! The one way in which this crate looks at bytes: each step is checked, none can run past the end.

use crate::error::Malformed;

/// A position in a slice of little-endian fields. Each method takes the next field and names it for the error.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Cursor<'a> {
    /// Begins at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, length: bytes.len() }
    }

    /// The bytes that were not taken yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes were taken.
    #[must_use]
    pub const fn taken(&self) -> usize {
        self.length.saturating_sub(self.rest.len())
    }

    /// Whether all was taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub fn take(&mut self, field: &'static str, length: usize) -> Result<&'a [u8], Malformed> {
        match self.rest.split_at_checked(length) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(Malformed::Truncated { field, wanted: length, available: self.rest.len() }),
        }
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(*head)
            }
            None => Err(Malformed::Truncated { field, wanted: N, available: self.rest.len() }),
        }
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] at the end.
    #[inline]
    pub fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    /// A `bool` of C: any value but zero is true.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] at the end.
    #[inline]
    pub fn bool(&mut self, field: &'static str) -> Result<bool, Malformed> {
        Ok(self.u8(field)? != 0)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub fn u16(&mut self, field: &'static str) -> Result<u16, Malformed> {
        self.array(field).map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.array(field).map(u32::from_le_bytes)
    }

    /// Four bytes, signed.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub fn i32(&mut self, field: &'static str) -> Result<i32, Malformed> {
        self.array(field).map(i32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub fn u64(&mut self, field: &'static str) -> Result<u64, Malformed> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// Eight bytes, signed.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub fn i64(&mut self, field: &'static str) -> Result<i64, Malformed> {
        self.array(field).map(i64::from_le_bytes)
    }

    /// Eight bytes as a `double` of C.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    #[inline]
    pub fn f64(&mut self, field: &'static str) -> Result<f64, Malformed> {
        self.array(field).map(f64::from_le_bytes)
    }

    /// Leaves out padding.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer bytes.
    #[inline]
    pub fn skip(&mut self, field: &'static str, length: usize) -> Result<(), Malformed> {
        self.take(field, length).map(|_| ())
    }

    /// A count that C keeps in an `int`, followed later by so many items of `item_size` bytes: never negative, and
    /// never more items than the rest can hold, so that nothing is reserved for what is not there.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] or [`Malformed::Invalid`].
    pub fn count(&mut self, field: &'static str, item_size: usize) -> Result<usize, Malformed> {
        let raw = self.i32(field)?;
        let count =
            usize::try_from(raw).map_err(|_| Malformed::Invalid { field, value: u64::from(raw.cast_unsigned()) })?;
        match count.checked_mul(item_size) {
            Some(wanted) if wanted <= self.rest.len() => Ok(count),
            _ => {
                Err(Malformed::Truncated { field, wanted: count.saturating_mul(item_size), available: self.rest.len() })
            }
        }
    }

    /// Takes `count` items of `SIZE` bytes and gives them one by one through `item`.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    pub fn items<const SIZE: usize, T>(
        &mut self,
        field: &'static str,
        count: usize,
        item: impl Fn([u8; SIZE]) -> T,
    ) -> Result<Vec<T>, Malformed> {
        let wanted = count.saturating_mul(SIZE);
        let bytes = self.take(field, wanted)?;
        Ok(bytes.as_chunks::<SIZE>().0.iter().map(|chunk| item(*chunk)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_little_endian_and_in_order() {
        let mut cursor = Cursor::new(&[1, 2, 0, 3, 0, 0, 0, 9]);
        assert_eq!(cursor.u8("a").unwrap(), 1);
        assert_eq!(cursor.u16("b").unwrap(), 2);
        assert_eq!(cursor.u32("c").unwrap(), 3);
        assert_eq!((cursor.taken(), cursor.rest()), (7, &[9][..]));
    }

    #[test]
    fn the_error_names_the_field() {
        let error = Cursor::new(&[1]).u32("xl_tot_len").unwrap_err();
        assert_eq!(error.to_string(), "xl_tot_len: wanted 4 bytes, 1 left");
    }

    #[test]
    fn a_count_larger_than_the_rest_is_refused_before_anything_is_reserved() {
        assert!(Cursor::new(&[255, 255, 255, 127, 0]).count("nrels", 12).is_err());
        assert!(Cursor::new(&[255, 255, 255, 255, 0]).count("nrels", 0).is_err());
        assert_eq!(Cursor::new(&[1, 0, 0, 0, 7]).count("nrels", 1).unwrap(), 1);
    }
}
