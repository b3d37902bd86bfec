//! Text made of records, without the machinery of `core::fmt`: that takes most of the time where each record becomes
//! a line.
//!
//! What is appended at a time is a tuple of pieces, written `append!(text, "off: ", offset, ", flags: 0x", Hex2(flags))`.
//! Memory for all of them is seen to once. Each piece then stores chunks of fixed size, perhaps more bytes than count,
//! and says how many do: the next piece goes over the rest.

mod ids;
mod memory;
mod number;

pub(crate) use ids::{lower, upper};
pub(crate) use number::{Hex, Hex2, Hex8, LowerHex, column_of_6, fill_column_of_10, six_digits, three_digits};

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::descriptor::Descriptors;
use crate::ids::RelFileLocator;
use crate::time_zone::{TimeZone, UtcOffset};
use crate::timestamp::{LocalTime, Timestamp};
use memory::{Relations, Second};

/// Appends pieces to a [`TextBuffer`], one behind the other.
macro_rules! append {
    ($text:expr, $($piece:expr),+ $(,)?) => {
        $text.append($crate::text::pieces!($($piece),+))
    };
}

/// Pieces as nested pairs, which are one piece.
macro_rules! pieces {
    () => { () };
    ($first:expr $(, $rest:expr)*) => { ($first, $crate::text::pieces!($($rest),*)) };
}

pub(crate) use {append, pieces};

/// Text that records append to; for one line after the other it is cleared and filled again, without new memory.
///
/// Mostly UTF-8, but not always: names and prefixes in records are in the encoding of their database, and are shown
/// as they are, as `pg_waldump` does.
#[derive(Clone, Default)]
pub struct TextBuffer {
    /// Initialised to its end, so that chunks can be stored behind the text.
    bytes: Vec<u8>,
    /// How many of the bytes are text.
    length: usize,
    /// Whose clocks the times are of, if not UTC's.
    time_zone: Option<Arc<dyn TimeZone>>,
    /// The offset of the time that was written last.
    offset: UtcOffset,
    /// The second that was written last.
    second: Second,
    /// Relations that were written.
    relations: Relations,
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
        let relations = Relations::new();
        Self { bytes: Vec::new(), length: 0, time_zone, offset, second: Second::UNKNOWN, relations, descriptors: None }
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
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there is no text.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Removes the text and keeps the memory.
    pub const fn clear(&mut self) {
        self.length = 0;
    }

    /// Removes all but the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
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
            append_to(&mut self.bytes, &mut self.length, piece);
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
        let beginning = self.length;
        append!(self, LocalTime { time, offset: self.offset });
        let written = self.bytes.get(beginning..self.length).unwrap_or_default();
        self.second = Second::remember(time, written);
    }

    /// Appends `before`, a relation that is likely to come again, and `after`.
    #[inline(always)]
    pub(crate) fn append_relation(&mut self, before: impl Piece, relation: RelFileLocator, after: impl Piece) {
        let relation = self.relations.get(relation);
        append_to(&mut self.bytes, &mut self.length, pieces!(before, relation, after));
    }

    /// Appends a piece, or a tuple of them as [`append!`] makes it.
    #[inline(always)]
    pub(crate) fn append(&mut self, piece: impl Piece) {
        append_to(&mut self.bytes, &mut self.length, piece);
    }
}

/// Stores a piece behind the text.
#[inline(always)]
fn append_to(bytes: &mut Vec<u8>, length: &mut usize, piece: impl Piece) {
    let wanted = piece.room();
    if wanted > bytes.len().wrapping_sub(*length) {
        grow(bytes, length.saturating_add(wanted));
    }
    let room = bytes.get_mut(*length..).unwrap_or_default();
    *length = length.wrapping_add(Room::fill(room, piece));
}

#[cold]
#[inline(never)]
fn grow(bytes: &mut Vec<u8>, wanted: usize) {
    let size = wanted.max(bytes.len().saturating_mul(2));
    bytes.resize(size.max(512), 0);
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
        Self { bytes: text.as_bytes().to_vec(), length: text.len(), ..Self::new() }
    }
}

/// Something that can be appended.
pub(crate) trait Piece {
    /// Most bytes that [`Piece::put`] stores.
    fn room(&self) -> usize;
    /// Stores it.
    fn put(&self, room: &mut Room<'_>);
}

/// Where pieces store their bytes: there is room for as many as they said.
pub(crate) struct Room<'a> {
    bytes: &'a mut [u8],
    /// Bytes stored so far. Not `usize`, so that the end of what is stored next never overflows one.
    length: u32,
}

impl<'a> Room<'a> {
    /// Stores `piece` at the beginning of `bytes`, and says how many bytes it has.
    #[inline(always)]
    pub(crate) fn fill(bytes: &'a mut [u8], piece: impl Piece) -> usize {
        let mut room = Room { bytes, length: 0 };
        piece.put(&mut room);
        room.length as usize
    }

    /// Stores a chunk, all of which counts.
    #[inline(always)]
    pub(crate) fn put_chunk<const SIZE: usize>(&mut self, chunk: [u8; SIZE]) {
        self.put_part(chunk, SIZE as u8);
    }

    /// Stores a chunk, of which only the first `used` bytes count: the next piece goes over the rest of it.
    #[inline(always)]
    pub(crate) fn put_part<const SIZE: usize>(&mut self, chunk: [u8; SIZE], used: u8) {
        self.put_with(used, |place: &mut [u8; SIZE]| *place = chunk);
    }

    /// Stores a chunk by `fill`, of which only the first `used` bytes count. What is stored by parts need not be put
    /// together elsewhere, which costs more than it seems: a processor waits if it loads at once what it stored in parts.
    #[inline(always)]
    pub(crate) fn put_with<const SIZE: usize>(&mut self, used: u8, fill: impl FnOnce(&mut [u8; SIZE])) {
        match self.next(SIZE).and_then(|place| place.first_chunk_mut()) {
            Some(place) => fill(place),
            None => debug_assert!(false, "a piece stores more than it said"),
        }
        self.length = self.length.wrapping_add(used.into());
    }

    /// Stores bytes, all of which count.
    #[inline(always)]
    pub(crate) fn put_slice(&mut self, bytes: &[u8]) {
        match self.next(bytes.len()) {
            Some(place) => copy(place, bytes),
            None => debug_assert!(false, "a piece stores more than it said"),
        }
        // A piece of 4 GB there is not: a record has at most one.
        self.length = self.length.wrapping_add(bytes.len() as u32);
    }

    #[inline(always)]
    fn next(&mut self, size: usize) -> Option<&mut [u8]> {
        let beginning = self.length as usize;
        self.bytes.get_mut(beginning..beginning.wrapping_add(size))
    }
}

/// Copies bytes of which there are as many on both sides: mostly few, and then without a call.
#[inline(always)]
fn copy(place: &mut [u8], bytes: &[u8]) {
    match bytes.len() {
        0 => {}
        1 => copy_both_ends::<1>(place, bytes),
        2..4 => copy_both_ends::<2>(place, bytes),
        4..8 => copy_both_ends::<4>(place, bytes),
        8..16 => copy_both_ends::<8>(place, bytes),
        16..32 => copy_both_ends::<16>(place, bytes),
        _ => place.copy_from_slice(bytes),
    }
}

/// Copies the first and the last `SIZE` bytes, which may overlap.
#[inline(always)]
fn copy_both_ends<const SIZE: usize>(place: &mut [u8], bytes: &[u8]) {
    if let (Some(place), Some(bytes)) = (place.first_chunk_mut::<SIZE>(), bytes.first_chunk::<SIZE>()) {
        *place = *bytes;
    }
    if let (Some(place), Some(bytes)) = (place.last_chunk_mut::<SIZE>(), bytes.last_chunk::<SIZE>()) {
        *place = *bytes;
    }
}

impl Piece for () {
    #[inline(always)]
    fn room(&self) -> usize {
        0
    }

    #[inline(always)]
    fn put(&self, _: &mut Room<'_>) {}
}

impl<First: Piece, Rest: Piece> Piece for (First, Rest) {
    #[inline(always)]
    fn room(&self) -> usize {
        self.0.room().saturating_add(self.1.room())
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        self.0.put(room);
        self.1.put(room);
    }
}

impl<P: Piece + ?Sized> Piece for &P {
    #[inline(always)]
    fn room(&self) -> usize {
        (**self).room()
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        (**self).put(room);
    }
}

impl Piece for str {
    #[inline(always)]
    fn room(&self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_slice(self.as_bytes());
    }
}

impl Piece for String {
    fn room(&self) -> usize {
        self.len()
    }

    fn put(&self, room: &mut Room<'_>) {
        room.put_slice(self.as_bytes());
    }
}

/// Bytes as they are.
impl Piece for [u8] {
    #[inline(always)]
    fn room(&self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_slice(self);
    }
}

/// A few bytes as they are.
impl<const SIZE: usize> Piece for [u8; SIZE] {
    #[inline(always)]
    fn room(&self) -> usize {
        SIZE
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_chunk(*self);
    }
}

/// A name at the left end of a column of `WIDTH` bytes; wider if it must be.
pub(crate) struct Left<'a, const WIDTH: usize>(pub(crate) &'a str);

impl<const WIDTH: usize> Piece for Left<'_, WIDTH> {
    #[inline(always)]
    fn room(&self) -> usize {
        self.0.len().saturating_add(WIDTH)
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_slice(self.0.as_bytes());
        room.put_part([b' '; WIDTH], WIDTH.saturating_sub(self.0.len()) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(piece: impl Piece) -> String {
        let mut text = TextBuffer::new();
        append!(&mut text, "<", piece, ">");
        text.to_string()
    }

    #[test]
    fn pieces_follow_one_another() {
        let mut text = TextBuffer::from("a");
        append!(text, "b", 17u32, &b"\xC3\xA9"[..], String::from("c"));
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

    #[test]
    fn a_column_holds_names_of_any_length() {
        for name in ["", "Heap", "Transaction", "ReplicationOrigin"] {
            assert_eq!(text(Left::<11>(name)), format!("<{name:<11}>"));
        }
    }
}
