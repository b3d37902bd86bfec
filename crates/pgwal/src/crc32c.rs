//! The checksum of a record: CRC-32C. Source: `src/include/port/pg_crc32c.h`.
//!
//! Most records are short, so what counts is the way to the first byte: where the processor has an instruction for it,
//! it is used in a loop of our own up to [`LONG`] bytes; above, and elsewhere, the crate `crc32c` is as fast or faster.
#![allow(unsafe_code)] // the one module of this crate with any: see below

/// From so many bytes on several streams of one record are worth it.
const LONG: usize = 512;

/// CRC-32C of `body` and then of `header`, as a record's checksum is computed.
#[inline]
pub(crate) fn checksum(header: &[u8], body: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if body.len() < LONG && std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has SSE 4.2, which is all that the function asks for.
        return unsafe { with_instruction(header, body) };
    }
    crc32c::crc32c_append(crc32c::crc32c(body), header)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn with_instruction(header: &[u8], body: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u32, _mm_crc32_u64};

    let mut state = u64::from(!0u32);
    for part in [body, header] {
        let (words, rest) = part.as_chunks::<8>();
        for word in words {
            state = _mm_crc32_u64(state, u64::from_le_bytes(*word));
        }
        // The upper half is zero by the instruction's definition.
        #[allow(clippy::cast_possible_truncation)]
        let mut short = state as u32;
        let rest = match rest.split_first_chunk::<4>() {
            Some((half, rest)) => {
                short = _mm_crc32_u32(short, u32::from_le_bytes(*half));
                rest
            }
            None => rest,
        };
        for byte in rest {
            short = _mm_crc32_u8(short, *byte);
        }
        state = u64::from(short);
    }
    #[allow(clippy::cast_possible_truncation)]
    let state = state as u32;
    !state
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_of_crc_32c() {
        assert_eq!(checksum(b"", b"123456789"), 0xE306_9283);
        assert_eq!(checksum(b"6789", b"12345"), 0xE306_9283);
    }

    proptest! {
        #[test]
        fn both_ways_agree(bytes in proptest::collection::vec(any::<u8>(), 0..1500), at in 0usize..1500) {
            let (body, header) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(checksum(header, body), crc32c::crc32c(&bytes));
        }
    }
}
