//! Names of resource managers and operations, made ready for the line of a record.
//!
//! Which kind of record follows which is hard to foresee for a processor, and so are names of different lengths: a
//! table with chunks of one size takes less time than to decide.

use std::sync::OnceLock;

use crate::record::Record;
use crate::rmgr::RmgrId;
use crate::text::{Left, LowerHex, Piece, Room, pieces};
use crate::version::Version;

/// The names of one kind of record.
pub(super) struct Title {
    /// `rmgr: ` and the name in the column of `pg_waldump`.
    pub(super) rmgr: Name<24>,
    /// With a blank behind it.
    pub(super) operation: Name<32>,
}

/// A name of at most `SIZE` bytes.
pub(super) struct Name<const SIZE: usize> {
    characters: [u8; SIZE],
    length: u8,
}

/// Those of PostgreSQL's own resource managers, 16 for each, by version.
static TITLES: [OnceLock<Vec<Title>>; Version::ALL.len()] = [const { OnceLock::new() }; Version::ALL.len()];

impl Title {
    /// Gives `use_title` the title of a record.
    #[inline(always)]
    pub(super) fn of<T>(record: &Record<'_>, use_title: impl FnOnce(&Self) -> T) -> T {
        let Record { rmgr, info, version, .. } = *record;
        // The lower bits are mostly clear; some resource managers know no operation if one is set.
        let known = TITLES.get(version as usize).filter(|_| info & 0x0F == 0).and_then(|titles| {
            let titles = titles.get_or_init(|| Self::all(version));
            titles.get(usize::from(rmgr.get()) << 4 | usize::from(info >> 4))
        });
        let unknown;
        use_title(match known {
            Some(title) => title,
            None => {
                unknown = Self::new(rmgr, info, version);
                &unknown
            }
        })
    }

    #[cold]
    fn all(version: Version) -> Vec<Self> {
        let infos = || (0..16).map(|operation| operation << 4);
        RmgrId::BUILT_IN.iter().flat_map(|rmgr| infos().map(|info| Self::new(*rmgr, info, version))).collect()
    }

    #[cold]
    #[inline(never)]
    fn new(rmgr: RmgrId, info: u8, version: Version) -> Self {
        let operation = match rmgr.identify(info, version) {
            Some(name) => Name::new(pieces!(name, " ")),
            None => Name::new(pieces!("UNKNOWN (", LowerHex(info & 0xF0), ") ")),
        };
        Self { rmgr: Name::new(pieces!("rmgr: ", Left::<11>(&rmgr.to_string()))), operation }
    }
}

impl<const SIZE: usize> Name<SIZE> {
    /// Cuts off what is too long; nothing is.
    fn new(piece: impl Piece) -> Self {
        let mut bytes = [0; 64];
        let length = Room::fill(&mut bytes, piece);
        let characters = *bytes.first_chunk().unwrap_or(&[0; SIZE]);
        Self { characters, length: length.min(SIZE) as u8 }
    }
}

impl<const SIZE: usize> Piece for Name<SIZE> {
    #[inline(always)]
    fn room(&self) -> usize {
        SIZE
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_part(self.characters, self.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{TextBuffer, append};

    #[test]
    fn each_kind_of_record_has_its_names() {
        for version in Version::ALL {
            for (rmgr, info) in (0..=u8::MAX).flat_map(|rmgr| (0..=u8::MAX).map(move |info| (RmgrId::new(rmgr), info)))
            {
                let record = crate::describe::tests::record(rmgr, info, version, &[]);
                let mut title = TextBuffer::new();
                Title::of(&record, |names| append!(title, &names.rmgr, "|", &names.operation, "|"));
                let operation = record.identify().map_or(format!("UNKNOWN ({:x})", info & 0xF0), ToOwned::to_owned);
                assert_eq!(title.to_string(), format!("rmgr: {rmgr:<11}|{operation} |"));
            }
        }
    }
}
