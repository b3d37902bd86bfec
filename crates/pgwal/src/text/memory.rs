//! Parts of lines that are likely to come again: they are kept as they were written.

use super::{Piece, Room, pieces, six_digits};
use crate::ids::RelFileLocator;
use crate::timestamp::Timestamp;

/// A second, written as in `2026-11-21 02:17:03.123456 CET` but for its microseconds.
#[derive(Debug, Clone)]
pub(super) struct Second {
    /// Since 2000-01-01 00:00:00 UTC; negative if there is none.
    number: i64,
    /// Up to the point.
    date_and_time: [u8; 20],
    /// What is behind the microseconds.
    zone: Bounded<25>,
}

impl Second {
    /// None.
    pub(super) const UNKNOWN: Self =
        Self { number: -1, date_and_time: [0; 20], zone: Bounded { bytes: [0; 25], length: 0 } };

    /// The second of `time`, which was `written`. Not all are kept: the year has four digits, and is after 1999.
    pub(super) fn remember(time: Timestamp, written: &[u8]) -> Self {
        let kept = written.split_first_chunk::<20>().zip(written.get(26..).and_then(Bounded::new));
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
pub(super) struct Relations(Vec<(RelFileLocator, Bounded<32>)>);

impl Relations {
    /// How many are kept.
    const COUNT: usize = 64;

    /// None.
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// How `relation` is written.
    #[inline(always)]
    pub(super) fn get(&mut self, relation: RelFileLocator) -> &impl Piece {
        let place = relation.relation.get() as usize % Self::COUNT;
        if self.0.get(place).is_none_or(|(kept, _)| *kept != relation) {
            self.remember(relation, place);
        }
        self.0.get(place).map_or(&Bounded::EMPTY, |(_, written)| written)
    }

    #[inline(never)]
    fn remember(&mut self, relation: RelFileLocator, place: usize) {
        let new = |relation: RelFileLocator| {
            // Three numbers of ten digits and two slashes at most; pieces store more than counts.
            let mut bytes = [0; 96];
            let length = Room::fill(&mut bytes, relation);
            (relation, bytes.get(..length).and_then(Bounded::new).unwrap_or(Bounded::EMPTY))
        };
        if self.0.is_empty() {
            self.0.resize_with(Self::COUNT, || new(RelFileLocator::new(0, 0, 0)));
        }
        if let Some(kept) = self.0.get_mut(place) {
            *kept = new(relation);
        }
    }
}

/// At most `SIZE` bytes.
#[derive(Debug, Clone)]
struct Bounded<const SIZE: usize> {
    bytes: [u8; SIZE],
    length: u8,
}

impl<const SIZE: usize> Bounded<SIZE> {
    const EMPTY: Self = Self { bytes: [0; SIZE], length: 0 };

    /// `None` if there are more.
    fn new(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; SIZE];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { bytes, length: text.len() as u8 })
    }
}

impl<const SIZE: usize> Piece for Bounded<SIZE> {
    #[inline(always)]
    fn room(&self) -> usize {
        SIZE
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_part(self.bytes, self.length);
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
                text.append_relation("<", locator, ">");
                expected.push_str(&format!("<{locator}>"));
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
