//! Names of resource managers and operations, made ready for the line of a record.
//!
//! Which kind of record follows which is hard to foresee for a processor, and so are names of different lengths: a
//! table with chunks of one size takes less time than to decide.

use std::sync::OnceLock;

use crate::record::Record;
use crate::rmgr::RmgrId;
use crate::text::{Left, LowerHex, Short, pieces};
use crate::version::Version;

/// The names of one kind of record.
pub(super) struct Title {
    /// `rmgr: ` and the name in the column of `pg_waldump`.
    pub(super) rmgr: Short<24>,
    /// With a blank behind it.
    pub(super) operation: Short<32>,
}

/// Those of PostgreSQL's own resource managers, 16 for each, by version.
static TITLES: [OnceLock<Vec<Title>>; Version::ALL.len()] = [const { OnceLock::new() }; Version::ALL.len()];

impl Title {
    /// The title of a record, if there is one in the table.
    #[inline(always)]
    pub(super) fn known(record: &Record<'_>) -> Option<&'static Self> {
        let Record { rmgr, info, version, .. } = *record;
        // The lower bits are mostly clear; some resource managers know no operation if one is set.
        if info & 0x0F != 0 {
            return None;
        }
        let titles = TITLES.get(version as usize)?.get_or_init(|| Self::all(version));
        titles.get(usize::from(rmgr.get()) << 4 | usize::from(info >> 4))
    }

    #[cold]
    fn all(version: Version) -> Vec<Self> {
        let infos = || (0..16).map(|operation| operation << 4);
        RmgrId::BUILT_IN.iter().flat_map(|rmgr| infos().map(|info| Self::new(*rmgr, info, version))).collect()
    }

    /// The title of any record.
    #[cold]
    #[inline(never)]
    pub(super) fn new(rmgr: RmgrId, info: u8, version: Version) -> Self {
        // Nothing is longer.
        let operation = match rmgr.identify(info, version) {
            Some(operation) => Short::of(pieces!(operation, " ")),
            None => Short::of(pieces!("UNKNOWN (", LowerHex(info & 0xF0), ") ")),
        };
        let rmgr = Short::of(pieces!("rmgr: ", Left::<11>(&rmgr.to_string())));
        Self { rmgr: rmgr.unwrap_or(Short::EMPTY), operation: operation.unwrap_or(Short::EMPTY) }
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
                let any = || Title::new(rmgr, info, version);
                let names = Title::known(&record).map_or_else(any, |known| Title { ..*known });
                append!(title, names.rmgr, "|", names.operation, "|");
                let operation = record.identify().map_or(format!("UNKNOWN ({:x})", info & 0xF0), ToOwned::to_owned);
                assert_eq!(title.to_string(), format!("rmgr: {rmgr:<11}|{operation} |"));
            }
        }
    }
}
