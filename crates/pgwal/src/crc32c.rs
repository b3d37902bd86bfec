//! The checksum of a record: CRC-32C. Source: `src/include/port/pg_crc32c.h`.
//!
//! Most records are short, so what counts is the way to the first byte: where the processor has an instruction for it,
//! it is used in a loop of our own up to [`LONG`] bytes; above, and elsewhere, the crate `crc32c` is as fast or faster.
#![allow(unsafe_code)] // the one module of this crate with any: see below

use crate::record::RecordHeader;

/// From so many bytes on several streams of one record are worth it.
const LONG: usize = 512;

/// CRC-32C of a whole record: of what follows its header, then of the header up to the checksum itself. Zero if there
/// is no whole header.
#[inline]
pub(crate) fn record_checksum(record: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if record.len() < LONG && std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has SSE 4.2, which is all that the function asks for.
        if let Some(checksum) = unsafe { with_instruction(record) } {
            return checksum;
        }
    }
    let Some((header, body)) = record.split_at_checked(RecordHeader::SIZE) else { return 0 };
    crc32c::crc32c_append(crc32c::crc32c(body), header.get(..RecordHeader::CRC_OFFSET).unwrap_or_default())
}

/// In words of eight bytes without a rest: a checksum that begins with zero is the same whatever zeroes come first, so
/// the first word is filled up with zeroes in front. That the checksum begins with all ones is the same as inverting
/// the first four bytes.
///
/// `None` if there are fewer than two words.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn with_instruction(record: &[u8]) -> Option<u32> {
    use std::arch::x86_64::{_mm_crc32_u32, _mm_crc32_u64};

    let body = record.len().checked_sub(RecordHeader::SIZE)?;
    let filling = body.wrapping_neg() & 7;
    let (words, _) = record.get(RecordHeader::SIZE.saturating_sub(filling)..)?.as_chunks::<8>();
    let [first, second, words @ ..] = words else { return None };
    let filling = u32::try_from(filling).ok()?.wrapping_mul(8);
    let inverted = u128::from(u32::MAX).wrapping_shl(filling);
    let kept = u64::MAX.wrapping_shl(filling);
    // The halves of the mask.
    #[allow(clippy::cast_possible_truncation)]
    let (low, high) = (inverted as u64, (inverted >> 64) as u64);

    let mut state = _mm_crc32_u64(0, u64::from_le_bytes(*first) & kept ^ low);
    state = _mm_crc32_u64(state, u64::from_le_bytes(*second) ^ high);
    for word in words {
        state = _mm_crc32_u64(state, u64::from_le_bytes(*word));
    }
    let (words, _) = record.first_chunk::<{ RecordHeader::CRC_OFFSET }>()?.as_chunks::<4>();
    let [a, b, c, d, e] = *words else { return None };
    let pair = |low, high| u64::from(u32::from_le_bytes(low)) | u64::from(u32::from_le_bytes(high)) << 32;
    state = _mm_crc32_u64(state, pair(a, b));
    state = _mm_crc32_u64(state, pair(c, d));
    // The upper half is zero by the instruction's definition.
    #[allow(clippy::cast_possible_truncation)]
    let state = _mm_crc32_u32(state as u32, u32::from_le_bytes(e));
    Some(!state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As PostgreSQL computes it, byte after byte.
    fn expected(record: &[u8]) -> u32 {
        let (header, body) = record.split_at(RecordHeader::SIZE);
        crc32c::crc32c(&[body, &header[..RecordHeader::CRC_OFFSET]].concat())
    }

    #[test]
    fn the_check_value_of_crc_32c() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn every_short_length_agrees() {
        let bytes: Vec<u8> = (0..700u32).map(|n| (n * 151 + 7) as u8).collect();
        for length in RecordHeader::SIZE..bytes.len() {
            assert_eq!(record_checksum(&bytes[..length]), expected(&bytes[..length]), "{length}");
        }
        assert_eq!(record_checksum(&bytes[..23]), 0);
    }

    proptest! {
        #[test]
        fn any_record_agrees(bytes in proptest::collection::vec(any::<u8>(), RecordHeader::SIZE..1500)) {
            prop_assert_eq!(record_checksum(&bytes), expected(&bytes));
        }
    }
}
