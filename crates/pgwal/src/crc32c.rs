//! The checksum of a record: CRC-32C. Source: `src/include/port/pg_crc32c.h`.
//!
//! Most records are short, of lengths that change from record to record, so what counts is the way to the first byte,
//! and branches that the processor cannot foresee. Where it has an instruction for CRC-32C, that is used without any
//! up to [`LONG`] bytes; above, and elsewhere, the crate `crc-fast` is faster: by carry-less multiplication.
#![allow(unsafe_code)] // the one module of this crate with any: see below

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_mm_crc32_u32, _mm_crc32_u64};

use crc_fast::{CrcAlgorithm, Digest};

use crate::record::RecordHeader;

/// From so many bytes on the wide instructions are worth it.
#[cfg(target_arch = "x86_64")]
const LONG: usize = 512;

/// How many bytes are computed at a time.
#[cfg(target_arch = "x86_64")]
const GROUP: usize = 64;

/// CRC-32C of a whole record: of what follows its header, then of the header up to the checksum itself. Zero if there is
/// no whole header.
#[inline(never)]
pub(crate) fn record_checksum(record: &[u8]) -> u32 {
    let Some((header, body)) = record.split_at_checked(RecordHeader::SIZE) else { return 0 };
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(body);
    digest.update(header.get(..RecordHeader::CRC_OFFSET).unwrap_or_default());
    // The algorithm has 32 bits.
    #[allow(clippy::cast_possible_truncation)]
    let checksum = digest.finalize() as u32;
    checksum
}

/// The instruction for CRC-32C: there is a value of this type only where the processor has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instruction(());

impl Instruction {
    /// Looks whether the processor has it.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("sse4.2") {
            return Some(Self(()));
        }
        None
    }

    /// Does `work` as code that may use the instruction, so that [`Instruction::record_checksum`] in it is no call.
    #[inline(always)]
    pub(crate) fn run<W: Work>(self, work: W) -> W::Output {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "sse4.2")]
            #[inline]
            fn run<W: Work>(work: W) -> W::Output {
                work.run()
            }
            // SAFETY: the processor has SSE 4.2, or there would be no value of this type.
            unsafe { run(work) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        work.run()
    }

    /// As [`record_checksum`], of the record between `start` and `end` of `bytes`. It is quick if there are bytes before
    /// the record and it is not long.
    #[inline(always)]
    pub(crate) fn record_checksum(self, bytes: &[u8], start: usize, end: usize) -> u32 {
        #[cfg(target_arch = "x86_64")]
        {
            let body = end.wrapping_sub(start).wrapping_sub(RecordHeader::SIZE);
            if let Some(before_end) = bytes.get(..end)
                && let Some(header) = bytes.get(start..).and_then(|record| record.first_chunk())
            {
                // Most records are one group.
                if body.wrapping_sub(1) < GROUP
                    && let Some(group) = before_end.last_chunk()
                {
                    // SAFETY: the processor has SSE 4.2, or there would be no value of this type.
                    return unsafe { finished(first_group(group, body), header) };
                }
                if body.wrapping_sub(1) < LONG {
                    // SAFETY: as above.
                    let checksum = unsafe { several_groups(before_end, body, header) };
                    if let Some(checksum) = checksum {
                        return checksum;
                    }
                }
            }
        }
        record_checksum(bytes.get(start..end).unwrap_or_default())
    }
}

/// What [`Instruction::run`] does: a closure whose code can be demanded to be inlined.
pub(crate) trait Work {
    /// What comes of it.
    type Output;

    /// Does it. To be marked as `#[inline(always)]`.
    fn run(self) -> Self::Output;
}

/// The checksum of the first 1 to 64 bytes of the body, with which `group` ends.
///
/// A checksum that begins with zero is the same whatever zeroes come first. So what lies before the body in the group (the
/// header, the record before) is masked, and there is no branch on the length. That a checksum begins with all ones is
/// added behind, since checksums are linear.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
#[inline]
fn first_group(group: &[u8; GROUP], length: usize) -> u64 {
    // There is one for each length that there can be.
    let masks: &[u8; GROUP] = KEPT.get(length..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; GROUP]);
    let mut state = 0;
    for (word, kept) in group.as_chunks::<8>().0.iter().zip(masks.as_chunks::<8>().0) {
        state = _mm_crc32_u64(state, u64::from_le_bytes(*word) & u64::from_le_bytes(*kept));
    }
    state ^ u64::from(ALL_ONES.get(length).copied().unwrap_or_default())
}

/// The checksum of a record with a body of more than one group, with which the bytes end; `None` if there is less than a
/// group before the whole ones.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
#[inline(never)]
fn several_groups(before_end: &[u8], body: usize, header: &[u8; RecordHeader::CRC_OFFSET]) -> Option<u32> {
    // Of the body, 1 to 64 bytes are in the first group.
    let whole = body.checked_sub(1)? & !63;
    let (before_rest, rest) = before_end.split_at_checked(before_end.len().checked_sub(whole)?)?;
    let first = body.wrapping_sub(whole);
    let mut state = first_group(before_rest.last_chunk()?, first);
    for group in rest.as_chunks::<GROUP>().0 {
        for word in group.as_chunks::<8>().0 {
            state = _mm_crc32_u64(state, u64::from_le_bytes(*word));
        }
    }
    Some(finished(state, header))
}

/// Goes on with the header, which is the last.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
#[inline]
fn finished(mut state: u64, header: &[u8; RecordHeader::CRC_OFFSET]) -> u32 {
    let (words, last) = header.as_chunks::<8>();
    for word in words {
        state = _mm_crc32_u64(state, u64::from_le_bytes(*word));
    }
    let last = last.first_chunk().copied().unwrap_or_default();
    // The upper half is zero by the instruction's definition.
    #[allow(clippy::cast_possible_truncation)]
    let state = _mm_crc32_u32(state as u32, u32::from_le_bytes(last));
    !state
}

/// From the index `n` on: what is kept of a group that ends with `n` bytes of the body.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // when compiled
static KEPT: [u8; 2 * GROUP] = {
    let mut table = [0; 2 * GROUP];
    let (_, behind) = table.split_at_mut(GROUP);
    let mut index = 0;
    while index < behind.len() {
        behind[index] = 0xFF;
        index += 1;
    }
    table
};

/// At the index `n`: what becomes of a checksum of all ones with `n` zeroes.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // when compiled
static ALL_ONES: [u32; GROUP + 1] = {
    /// The polynomial, its lowest power in the highest bit.
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    let mut table = [u32::MAX; GROUP + 1];
    let mut index = 1;
    while index < table.len() {
        let mut state = table[index - 1];
        let mut bit = 0;
        while bit < 8 {
            state = (state >> 1) ^ (POLYNOMIAL * (state & 1));
            bit += 1;
        }
        table[index] = state;
        index += 1;
    }
    table
};

/// Asks the processor for the next `length` bytes of memory, which will be read soon: it does not look ahead by itself
/// from one page of memory to the next.
#[inline]
pub(crate) fn prefetch(bytes: &[u8], length: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.get(..length).unwrap_or_default().as_chunks::<64>().0 {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the address is valid; the instruction changes nothing but the cache.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use proptest::prelude::*;

    /// In both ways.
    fn checksum(bytes: &[u8], place: Range<usize>) -> u32 {
        let checksum = record_checksum(bytes.get(place.clone()).unwrap_or_default());
        if let Some(instruction) = Instruction::detect() {
            assert_eq!(instruction.record_checksum(bytes, place.start, place.end), checksum);
        }
        checksum
    }

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
    fn every_short_record_at_every_place_agrees() {
        let bytes: Vec<u8> = (0..900u32).map(|n| (n * 151 + 7) as u8).collect();
        for start in 0..80 {
            for end in start + RecordHeader::SIZE..bytes.len() {
                assert_eq!(checksum(&bytes, start..end), expected(&bytes[start..end]), "{start}..{end}");
            }
            assert_eq!(checksum(&bytes, start..start + 23), 0);
        }
    }

    #[test]
    fn bytes_that_are_not_there_are_not_read() {
        assert_eq!(checksum(&[1; 100], 90..140), 0);
        assert_eq!(checksum(&[1; 100], 110..140), 0);
    }

    proptest! {
        #[test]
        fn any_record_agrees(
            before in 0usize..200,
            bytes in proptest::collection::vec(any::<u8>(), 200 + RecordHeader::SIZE..1500),
        ) {
            prop_assert_eq!(checksum(&bytes, before..bytes.len()), expected(&bytes[before..]));
        }
    }
}
