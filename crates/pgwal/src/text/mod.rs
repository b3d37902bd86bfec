//! Text made of records, without the machinery of `core::fmt`: that takes most of the time where each record becomes
//! a line.
//!
//! What is appended at a time is a tuple of pieces, written `append!(text, "off: ", offset, ", flags: 0x", Hex2(flags))`.
//! Memory for all of them is seen to once.

mod ids;
mod memory;
mod number;
mod piece;

pub(crate) use ids::{lower, upper};
pub(crate) use number::{Hex, Hex2, LowerHex, MostlyDigit, Right, six_digits, three_digits};
pub(crate) use piece::{Left, Piece, Room, Short};

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::descriptor::Descriptors;
use crate::ids::RelFileLocator;
use crate::lsn::Lsn;
use crate::time_zone::{TimeZone, UtcOffset};
use crate::timestamp::{LocalTime, Timestamp};
use memory::{Neighbourhood, Relations, Second};
use piece::Characters;

/// Appends pieces to a [`TextBuffer`], one behind the other.
macro_rules! append {
    ($text:expr, $($piece:tt)+) => {
        $text.append($crate::text::pieces!($($piece)+))
    };
}

/// Pieces as nested pairs, which are one piece. A text between quotation marks becomes a chunk.
macro_rules! pieces {
    () => { () };
    ($first:literal $(, $($rest:tt)*)?) => { ($crate::text::literal!($first), $crate::text::pieces!($($($rest)*)?)) };
    ($first:expr $(, $($rest:tt)*)?) => { ($first, $crate::text::pieces!($($($rest)*)?)) };
}

/// A text that is known at compile time. A type of its own: so a processor stores it at once, as a chunk.
macro_rules! literal {
    ($text:literal) => {{
        #[derive(Clone, Copy)]
        struct Literal;

        impl $crate::text::Piece for Literal {
            const LONGEST: usize = $text.len();

            #[inline(always)]
            fn put(&self, room: &mut $crate::text::Room<'_>) {
                const { $crate::text::Short::<{ $text.len().next_power_of_two() }>::constant($text) }.put(room);
            }
        }

        Literal
    }};
}

pub(crate) use {append, literal, pieces};

/// Text that records append to; for one line after the other it is cleared and filled again, without new memory.
///
/// Mostly UTF-8, but not always: names and prefixes in records are in the encoding of their database, and are shown
/// as they are, as `pg_waldump` does.
#[derive(Clone, Default)]
pub struct TextBuffer {
    characters: Characters,
    /// Whose clocks the times are of, if not UTC's.
    time_zone: Option<Arc<dyn TimeZone>>,
    /// The offset of the time that was written last.
    offset: UtcOffset,
    /// The second that was written last.
    second: Second,
    /// Relations that were written.
    relations: Relations,
    /// Of the LSN that was written last.
    neighbourhood: Neighbourhood,
    /// Who describes records of custom resource managers.
    descriptors: Option<Arc<Descriptors>>,
}

impl TextBuffer {
    /// An empty one, without memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Self::with(None, UtcOffset::UTC)
    }

    /// An empty one, in which times are those of `time_zone`, not of UTC.
    #[must_use]
    pub const fn in_time_zone(time_zone: Arc<dyn TimeZone>) -> Self {
        Self::with(Some(time_zone), UtcOffset::UNKNOWN)
    }

    const fn with(time_zone: Option<Arc<dyn TimeZone>>, offset: UtcOffset) -> Self {
        Self {
            characters: Characters::new(),
            time_zone,
            offset,
            second: Second::UNKNOWN,
            relations: Relations::new(),
            neighbourhood: Neighbourhood::UNKNOWN,
            descriptors: None,
        }
    }

    /// The same, in which records of custom resource managers are told as their extensions tell them.
    #[must_use]
    pub fn with_descriptors(self, descriptors: Arc<Descriptors>) -> Self {
        Self { descriptors: Some(descriptors), ..self }
    }

    /// Who describes records of custom resource managers, if that was said.
    #[must_use]
    pub const fn descriptors(&self) -> Option<&Arc<Descriptors>> {
        self.descriptors.as_ref()
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.characters.as_bytes()
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.characters.len()
    }

    /// Whether there is no text.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes the text and keeps the memory.
    pub const fn clear(&mut self) {
        self.characters.truncate(0);
    }

    /// Removes all but the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.characters.truncate(length);
    }

    /// Appends bytes, in whatever encoding.
    pub fn append_bytes(&mut self, bytes: &[u8]) {
        append!(self, bytes);
    }

    /// Appends formatted text: `text.append_format(format_args!("{count} keys"))`.
    pub fn append_format(&mut self, arguments: fmt::Arguments<'_>) {
        // Appending never fails.
        let _ = io::Write::write_fmt(self, arguments);
    }

    /// Appends a time, as `pg_waldump` prints it: `2026-11-21 02:17:03.123456 UTC`.
    #[inline]
    pub fn append_time(&mut self, time: Timestamp) {
        if let Some(piece) = self.second.with_microsecond(time) {
            piece.append_to(&mut self.characters);
        } else {
            self.append_new_second(time);
        }
    }

    #[inline(never)]
    fn append_new_second(&mut self, time: Timestamp) {
        // The fraction of a second, whose sign is that of the time, does not count.
        let second = Timestamp::new((time.get() / 1_000_000).saturating_mul(1_000_000));
        if let Some(time_zone) = &self.time_zone
            && !self.offset.holds_at(second)
        {
            self.offset = time_zone.offset_at(second);
        }
        let beginning = self.len();
        append!(self, LocalTime { time, offset: self.offset });
        let written = self.as_bytes().get(beginning..).unwrap_or_default();
        self.second = Second::remember(time, written);
    }

    /// Appends `before`, a relation that is likely to come again, and `after`.
    #[inline(always)]
    pub(crate) fn append_relation(&mut self, before: impl Piece, relation: &RelFileLocator, after: impl Piece) {
        let relation = self.relations.get(relation);
        pieces!(before, relation, after).append_to(&mut self.characters);
    }

    /// Appends `before`, an LSN that is likely to be near the last one, as in `16/0374D848`, and `after`.
    #[inline(always)]
    pub(crate) fn append_lsn(&mut self, before: impl Piece, lsn: Lsn, after: impl Piece) {
        let lsn = self.neighbourhood.get(lsn);
        pieces!(before, lsn, after).append_to(&mut self.characters);
    }

    /// Appends a piece, or a tuple of them as [`append!`] makes it.
    #[inline(always)]
    pub(crate) fn append(&mut self, piece: impl Piece) {
        piece.append_to(&mut self.characters);
    }
}

impl fmt::Display for TextBuffer {
    /// What is not UTF-8 is replaced.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for TextBuffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.as_bytes()), formatter)
    }
}

/// Appends; never fails.
impl io::Write for TextBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        append!(self, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<&str> for TextBuffer {
    fn from(text: &str) -> Self {
        let mut buffer = Self::new();
        append!(buffer, text);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_one_another() {
        let mut text = TextBuffer::from("a");
        append!(text, "b", { 17u32 }, &b"\xC3\xA9"[..], String::from("c"));
        append!(&mut text, "d");
        assert_eq!(text.to_string(), "ab17\u{E9}cd");
        text.clear();
        assert!(text.is_empty());
        assert_eq!(text.as_bytes(), b"");
    }

    #[test]
    fn it_grows_with_its_text() {
        let (mut text, mut expected) = (TextBuffer::new(), String::new());
        for number in 0..10_000u32 {
            append!(text, number, " ");
            expected.push_str(&format!("{number} "));
        }
        assert!(text.as_bytes() == expected.as_bytes());
        let long = "x".repeat(100_000);
        append!(text, long.as_str());
        assert_eq!(text.len(), expected.len() + long.len());
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let mut text = TextBuffer::new();
        append!(text, &b"caf\xE9"[..]);
        assert_eq!(text.as_bytes(), b"caf\xE9");
        assert_eq!(text.to_string(), "caf\u{FFFD}");
    }
}
