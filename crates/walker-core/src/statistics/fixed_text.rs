//! A text in memory of fixed size.

use std::fmt;

/// Text of at most `BYTES` bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct FixedText<const BYTES: usize> {
    length: usize,
    bytes: [u8; BYTES],
}

impl<const BYTES: usize> FixedText<BYTES> {
    pub(super) const EMPTY: Self = Self { length: 0, bytes: [0; BYTES] };

    /// Takes `text`, cut behind its last whole character that fits.
    pub(super) fn set(&mut self, text: &str) {
        let text = Self::cut(text);
        self.length = text.len();
        self.bytes[..text.len()].copy_from_slice(text.as_bytes());
    }

    pub(super) fn get(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// What of `text` is kept.
    pub(super) fn cut(text: &str) -> &str {
        &text[..text.floor_char_boundary(BYTES)]
    }
}

impl<const BYTES: usize> fmt::Debug for FixedText<BYTES> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        let mut text = FixedText::<5>::EMPTY;
        for (set, expected) in [("", ""), ("abcde", "abcde"), ("abcdef", "abcde"), ("abcdé", "abcd"), ("ab€€", "ab€")]
        {
            text.set(set);
            assert_eq!(text.get(), expected);
        }
    }
}
