//! Parts of lines that are likely to come again: they are kept as they were written.

use std::array;

use super::{Hex, Hex2, Piece, Short, lower, pieces, six_digits, upper};
use crate::ids::RelFileLocator;
use crate::lsn::Lsn;
use crate::timestamp::Timestamp;

/// A second, written as in `2026-11-21 02:17:03.123456 CET` but for its microseconds.
#[derive(Debug, Clone)]
pub(super) struct Second {
    /// Since 2000-01-01 00:00:00 UTC; negative if there is none.
    number: i64,
    /// Up to the point.
    date_and_time: [u8; 20],
    /// What is behind the microseconds.
    zone: Short<25>,
}

impl Second {
    /// None.
    pub(super) const UNKNOWN: Self = Self { number: -1, date_and_time: [0; 20], zone: Short::EMPTY };

    /// The second of `time`, which was `written`. Not all are kept: the year has four digits, and is after 1999.
    pub(super) fn remember(time: Timestamp, written: &[u8]) -> Self {
        let kept = written.split_first_chunk::<20>().zip(written.get(26..).and_then(Short::new));
        match kept {
            Some(((date_and_time @ [.., b'.'], _), zone)) if time.get() >= 0 => {
                Self { number: time.get() / MICROSECONDS, date_and_time: *date_and_time, zone }
            }
            _ => Self::UNKNOWN,
        }
    }

    /// How `time` is written, if it is within this second.
    #[inline(always)]
    pub(super) fn with_microsecond(&self, time: Timestamp) -> Option<impl Piece> {
        let microsecond = time.get().wrapping_sub(self.number.wrapping_mul(MICROSECONDS));
        let is_within = self.number >= 0 && (0..MICROSECONDS).contains(&microsecond);
        is_within.then(|| pieces!(&self.date_and_time, six_digits(microsecond), &self.zone))
    }
}

/// In a second.
const MICROSECONDS: i64 = 1_000_000;

impl Default for Second {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

/// Relations as they were written, each at a place that its number tells.
#[derive(Debug, Clone, Default)]
pub(super) struct Relations(Option<Box<[WrittenRelation; Relations::COUNT]>>);

#[derive(Debug, Clone)]
struct WrittenRelation {
    relation: RelFileLocator,
    written: Short<32>,
}

impl Relations {
    /// How many are kept.
    const COUNT: usize = 64;

    /// None.
    pub(super) const fn new() -> Self {
        Self(None)
    }

    /// How `relation` is written.
    #[inline(always)]
    pub(super) fn get(&mut self, relation: &RelFileLocator) -> &impl Piece {
        let all = self.0.get_or_insert_with(Self::any);
        let Some(kept) = all.get_mut(relation.relation.get() as usize % Self::COUNT) else { return &Short::EMPTY };
        if kept.relation != *relation {
            kept.remember(relation);
        }
        &kept.written
    }

    #[cold]
    fn any() -> Box<[WrittenRelation; Self::COUNT]> {
        Box::new(array::from_fn(|_| WrittenRelation::new(&RelFileLocator::new(0, 0, 0))))
    }
}

impl WrittenRelation {
    fn new(relation: &RelFileLocator) -> Self {
        // Three numbers of ten digits and two slashes at most.
        Self { relation: *relation, written: Short::of(relation).unwrap_or(Short::EMPTY) }
    }

    #[inline(never)]
    fn remember(&mut self, relation: &RelFileLocator) {
        *self = Self::new(relation);
    }
}

/// LSNs near one another are written alike but for their last four digits.
#[derive(Debug, Clone)]
pub(super) struct Neighbourhood {
    /// An LSN without these digits.
    upper: u64,
    /// The digits before them.
    written: Short<16>,
}

impl Neighbourhood {
    /// That of no LSN.
    pub(super) const UNKNOWN: Self = Self { upper: u64::MAX, written: Short::EMPTY };

    /// How `lsn` is written with its lower half in eight digits: `16/0374D848`.
    #[inline(always)]
    pub(super) fn get(&mut self, lsn: Lsn) -> impl Piece {
        if self.upper != lsn.get() >> 16 {
            self.remember(lsn);
        }
        let [.., third, fourth] = lower(lsn).to_be_bytes();
        pieces!(&self.written, Hex2(third), Hex2(fourth))
    }

    #[inline(never)]
    fn remember(&mut self, lsn: Lsn) {
        let [first, second, ..] = lower(lsn).to_be_bytes();
        let written = Short::of(pieces!(Hex(upper(lsn)), "/", Hex2(first), Hex2(second)));
        *self = Self { upper: lsn.get() >> 16, written: written.unwrap_or(Short::EMPTY) };
    }
}

impl Default for Neighbourhood {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{TextBuffer, append};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn relations_are_written_as_they_print(numbers: Vec<(u32, u32, u32)>, small: bool) {
            let mut text = TextBuffer::new();
            let mut expected = String::new();
            for (tablespace, database, relation) in numbers {
                let limit = if small { 3 } else { u32::MAX };
                let locator = RelFileLocator::new(tablespace % limit, database % limit, relation % limit);
                text.append_relation("<", &locator, ">");
                expected.push_str(&format!("<{locator}>"));
            }
            prop_assert_eq!(text.to_string(), expected);
        }

        #[test]
        fn lsns_are_written_in_full_wherever_they_are(lsns: Vec<(u64, u8)>) {
            let mut text = TextBuffer::new();
            let mut expected = String::new();
            for (lsn, bits) in lsns {
                let lsn = lsn >> (bits % 64);
                for lsn in [lsn, lsn ^ 1, lsn ^ 0x1_0000] {
                    text.append_lsn("<", Lsn::new(lsn), ">");
                    expected.push_str(&format!("<{:X}/{:08X}>", lsn >> 32, lsn & 0xFFFF_FFFF));
                }
            }
            prop_assert_eq!(text.to_string(), expected);
        }

        #[test]
        fn a_second_that_comes_again_is_written_alike(times: Vec<(i64, u8)>) {
            let mut text = TextBuffer::new();
            let mut expected = String::new();
            for (time, bits) in times {
                let time = Timestamp::new(time >> (bits % 64));
                text.append_time(time);
                append!(text, "|");
                expected.push_str(&format!("{time}|"));
            }
            prop_assert_eq!(text.to_string(), expected);
        }
    }

    #[test]
    fn the_ends_of_a_second_are_its_own() {
        let mut text = TextBuffer::new();
        for time in [-1, 0, 999_999, 1_000_000, 999_999, -1, i64::MAX, i64::MIN] {
            text.clear();
            text.append_time(Timestamp::new(time));
            assert_eq!(text.to_string(), Timestamp::new(time).to_string());
        }
    }
}
