//! Numbers of few bits, one after the other.

/// Writes numbers into bytes, the lowest bits first.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that do not fill four bytes yet.
    rest: u64,
    rest_bits: u32,
}

impl BitWriter {
    /// Writes the lowest `width` bits of `value`, at most 32.
    pub(crate) fn write(&mut self, value: u32, width: u32) {
        self.rest |= (u64::from(value) & mask(width)) << self.rest_bits;
        self.rest_bits += width;
        if self.rest_bits >= 32 {
            self.bytes.extend((self.rest as u32).to_le_bytes());
            self.rest >>= 32;
            self.rest_bits -= 32;
        }
    }

    pub(crate) fn finish(mut self) -> Box<[u8]> {
        let bytes = self.rest.to_le_bytes();
        self.bytes.extend(&bytes[..self.rest_bits.div_ceil(8) as usize]);
        self.bytes.into_boxed_slice()
    }
}

/// Reads what [`BitWriter`] has written; behind the end there are zeroes.
#[derive(Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    rest: u64,
    rest_bits: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, rest: 0, rest_bits: 0 }
    }

    /// Reads a number of `width` bits, at most 32.
    pub(crate) fn read(&mut self, width: u32) -> u32 {
        if self.rest_bits < width {
            self.refill();
        }
        let value = self.rest & mask(width);
        self.rest >>= width;
        self.rest_bits = self.rest_bits.saturating_sub(width);
        value as u32
    }

    fn refill(&mut self) {
        if let Some((four, behind)) = self.bytes.split_first_chunk::<4>() {
            self.rest |= u64::from(u32::from_le_bytes(*four)) << self.rest_bits;
            self.rest_bits += 32;
            self.bytes = behind;
            return;
        }
        for byte in std::mem::take(&mut self.bytes) {
            self.rest |= u64::from(*byte) << self.rest_bits;
            self.rest_bits += 8;
        }
    }
}

fn mask(width: u32) -> u64 {
    (1 << width) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(numbers in proptest::collection::vec((any::<u32>(), 0u32..=32), 0..300)) {
            let mut writer = BitWriter::default();
            numbers.iter().for_each(|(number, width)| writer.write(*number, *width));
            let bytes = writer.finish();
            let bits: u32 = numbers.iter().map(|(_, width)| width).sum();
            prop_assert_eq!(bytes.len(), bits.div_ceil(8) as usize);
            let mut reader = BitReader::new(&bytes);
            for (number, width) in numbers {
                prop_assert_eq!(u64::from(reader.read(width)), u64::from(number) & mask(width));
            }
            prop_assert_eq!(reader.read(7), 0);
            prop_assert_eq!(reader.read(32), 0);
        }
    }
}
