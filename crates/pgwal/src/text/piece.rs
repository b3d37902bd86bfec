//! What text is made of, and where it is stored: a piece of which it is known at compile time how long it is at most
//! needs no check where its bytes are stored.

use super::pieces;

/// Something that can be appended.
pub(crate) trait Piece {
    /// Most bytes that it has; [`UNBOUNDED`] if any number.
    const LONGEST: usize;

    /// Stores it. What has no bound is appended by [`Piece::append_to`] instead.
    fn put(&self, room: &mut Room<'_>);

    /// Appends it.
    #[inline(always)]
    fn append_to(&self, characters: &mut Characters) {
        characters.put(self);
    }
}

/// The length of a piece that may have any.
const UNBOUNDED: usize = usize::MAX;

/// Bytes, and memory behind them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Characters {
    /// Initialised to its end, so that chunks can be stored behind the text.
    bytes: Vec<u8>,
    /// How many of the bytes are text.
    length: usize,
}

impl Characters {
    /// None, without memory yet.
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), length: 0 }
    }

    /// The text.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// Removes all but the first `length` bytes.
    pub(super) const fn truncate(&mut self, length: usize) {
        if length < self.length {
            self.length = length;
        }
    }

    /// Appends a piece that has a bound.
    #[inline(always)]
    fn put(&mut self, piece: &(impl Piece + ?Sized)) {
        loop {
            let end = self.length.wrapping_add(Room::SIZE);
            if let Some(room) = self.bytes.get_mut(self.length..end).and_then(<[u8]>::first_chunk_mut) {
                self.length = self.length.wrapping_add(Room::fill(room, piece));
                return;
            }
            self.grow(Room::SIZE);
        }
    }

    /// Appends bytes.
    #[inline(always)]
    fn extend(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        loop {
            if let Some(place) = self.bytes.get_mut(self.length..end) {
                copy(place, bytes);
                self.length = end;
                return;
            }
            self.grow(bytes.len());
        }
    }

    /// Makes room for so many bytes more.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) {
        let size = self.length.saturating_add(more).max(self.bytes.len().saturating_mul(2));
        self.bytes.resize(size.max(2 * Room::SIZE), 0);
    }
}

/// Where pieces store their bytes: chunks of fixed size, perhaps more bytes than count, and each says how many do. The
/// next piece goes over the rest.
pub(crate) struct Room<'a> {
    bytes: &'a mut [u8; Room::SIZE],
    /// Bytes stored so far. Of this type so that a chunk never ends behind the room, wherever it begins: there is nothing
    /// to check.
    length: u8,
}

impl<'a> Room<'a> {
    /// Most bytes that a piece in a room has.
    pub(super) const LONGEST: usize = u8::MAX as usize;
    /// The largest chunk.
    const LARGEST_CHUNK: usize = 64;
    /// The last chunk may begin where the text ends.
    const SIZE: usize = Self::LONGEST + Self::LARGEST_CHUNK;

    /// Stores `piece`, and says how many bytes it has.
    #[inline(always)]
    fn fill<P: Piece + ?Sized>(bytes: &'a mut [u8; Room::SIZE], piece: &P) -> usize {
        let mut room = Room { bytes, length: 0 };
        piece.put(&mut room);
        let length = usize::from(room.length);
        debug_assert!(length <= P::LONGEST, "a piece is longer than it said");
        length
    }

    /// Stores a chunk, all of which counts.
    #[inline(always)]
    pub(crate) fn put_chunk<const SIZE: usize>(&mut self, chunk: [u8; SIZE]) {
        self.put_part(chunk, SIZE as u8);
    }

    /// Stores a chunk, of which only the first `used` bytes count: the next piece goes over the rest of it.
    #[inline(always)]
    pub(crate) fn put_part<const SIZE: usize>(&mut self, chunk: [u8; SIZE], used: u8) {
        const { assert!(SIZE <= Room::LARGEST_CHUNK) };
        if let Some(place) = self.rest().first_chunk_mut() {
            *place = chunk;
        }
        self.length = self.length.wrapping_add(used);
    }

    /// Stores bytes, all of which count; none if there is no room for them.
    #[inline(always)]
    pub(crate) fn put_slice(&mut self, bytes: &[u8]) {
        if let Some(place) = self.rest().get_mut(..bytes.len()) {
            copy(place, bytes);
            self.length = self.length.wrapping_add(bytes.len() as u8);
        }
    }

    #[inline(always)]
    fn rest(&mut self) -> &mut [u8] {
        self.bytes.get_mut(usize::from(self.length)..).unwrap_or_default()
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
    const LONGEST: usize = 0;

    #[inline(always)]
    fn put(&self, _: &mut Room<'_>) {}
}

/// One behind the other: at once if there is room for both, however long they are.
impl<First: Piece, Rest: Piece> Piece for (First, Rest) {
    const LONGEST: usize = First::LONGEST.saturating_add(Rest::LONGEST);

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        self.0.put(room);
        self.1.put(room);
    }

    #[inline(always)]
    fn append_to(&self, characters: &mut Characters) {
        if Self::LONGEST <= Room::LONGEST {
            characters.put(self);
        } else {
            self.0.append_to(characters);
            self.1.append_to(characters);
        }
    }
}

impl<P: Piece + ?Sized> Piece for &P {
    const LONGEST: usize = P::LONGEST;

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        (**self).put(room);
    }

    #[inline(always)]
    fn append_to(&self, characters: &mut Characters) {
        (**self).append_to(characters);
    }
}

/// Bytes as they are.
impl Piece for [u8] {
    const LONGEST: usize = UNBOUNDED;

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_slice(self);
    }

    #[inline(always)]
    fn append_to(&self, characters: &mut Characters) {
        characters.extend(self);
    }
}

impl Piece for str {
    const LONGEST: usize = UNBOUNDED;

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        self.as_bytes().put(room);
    }

    #[inline(always)]
    fn append_to(&self, characters: &mut Characters) {
        self.as_bytes().append_to(characters);
    }
}

impl Piece for String {
    const LONGEST: usize = UNBOUNDED;

    fn put(&self, room: &mut Room<'_>) {
        self.as_bytes().put(room);
    }

    fn append_to(&self, characters: &mut Characters) {
        self.as_bytes().append_to(characters);
    }
}

/// A few bytes as they are.
impl<const SIZE: usize> Piece for [u8; SIZE] {
    const LONGEST: usize = SIZE;

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_chunk(*self);
    }
}

/// At most `SIZE` bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Short<const SIZE: usize> {
    bytes: [u8; SIZE],
    length: u8,
}

impl<const SIZE: usize> Short<SIZE> {
    /// None.
    pub(crate) const EMPTY: Self = Self { bytes: [0; SIZE], length: 0 };

    /// These bytes; `None` if there are more.
    pub(crate) const fn new(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; SIZE];
        let Some((place, _)) = bytes.split_at_mut_checked(text.len()) else { return None };
        place.copy_from_slice(text);
        Some(Self { bytes, length: text.len() as u8 })
    }

    /// A piece that has a room's length at most; `None` if it is longer than `SIZE`.
    pub(crate) fn of(piece: impl Piece) -> Option<Self> {
        let mut room = [0; Room::SIZE];
        let length = Room::fill(&mut room, &piece);
        Self::new(room.get(..length)?)
    }

    /// A text that the program itself has, in a constant: it does not compile if the text is longer.
    pub(crate) const fn constant(text: &str) -> Self {
        match Self::new(text.as_bytes()) {
            Some(short) => short,
            None => panic!("a longer text"),
        }
    }
}

impl<const SIZE: usize> Piece for Short<SIZE> {
    const LONGEST: usize = SIZE;

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_part(self.bytes, self.length);
    }
}

/// A name at the left end of a column of `WIDTH` bytes; wider if it must be.
pub(crate) struct Left<'a, const WIDTH: usize>(pub(crate) &'a str);

impl<const WIDTH: usize> Left<'_, WIDTH> {
    fn blanks(&self) -> &'static [u8] {
        const { &[b' '; WIDTH] }.get(self.0.len()..).unwrap_or_default()
    }
}

impl<const WIDTH: usize> Piece for Left<'_, WIDTH> {
    const LONGEST: usize = UNBOUNDED;

    fn put(&self, room: &mut Room<'_>) {
        pieces!(self.0, self.blanks()).put(room);
    }

    fn append_to(&self, characters: &mut Characters) {
        pieces!(self.0, self.blanks()).append_to(characters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{TextBuffer, append};

    fn text(piece: impl Piece) -> String {
        let mut text = TextBuffer::new();
        append!(&mut text, "<", piece, ">");
        text.to_string()
    }

    #[test]
    fn a_column_holds_names_of_any_length() {
        for name in ["", "Heap", "Transaction", "ReplicationOrigin"] {
            assert_eq!(text(Left::<11>(name)), format!("<{name:<11}>"));
        }
    }

    #[test]
    fn what_is_longer_than_a_room_is_appended_in_parts() {
        let part = [b'x'; 60];
        assert_eq!(text((part, (part, (part, (part, part))))), format!("<{}>", "x".repeat(300)));
        let long = "y".repeat(1000);
        assert_eq!(text(pieces!("a", long.as_str(), "b", { 17u16 })), format!("<a{long}b17>"));
    }

    #[test]
    fn a_short_text_has_no_more_than_its_bytes() {
        assert_eq!(text(Short::<4>::new(b"four").unwrap()), "<four>");
        assert!(Short::<4>::new(b"fives").is_none());
        assert!(Short::<4>::of(pieces!("fi", "ves")).is_none());
    }
}
