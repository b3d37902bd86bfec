//! Page changes of extensions that have no resource manager of their own.
//! Source: `src/backend/access/transam/generic_xlog.c`.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::record::{Block, Record};
use crate::rmgr::parse_main;

/// A record of resource manager Generic; it knows one operation only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generic<'a> {
    /// Regions in the main data, where `generic_desc` looks for them; the server leaves it empty.
    pub regions: Vec<Region<'a>>,
}

/// Bytes that replace those at the same place of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region<'a> {
    /// Where in the page, in bytes.
    pub offset: u16,
    /// The new content.
    pub bytes: &'a [u8],
}

impl<'a> Generic<'a> {
    /// Reads a record of resource manager Generic.
    ///
    /// # Errors
    /// [`RecordError`] if a region is cut off.
    pub fn parse(record: &Record<'a>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| Ok(Self { regions: Region::list(cursor)? }))
    }

    /// What the record changes in the page of `block`, unless an image tells it.
    ///
    /// # Errors
    /// [`Malformed`] if a region is cut off.
    pub fn page_changes(block: &Block<'a>) -> Result<Vec<Region<'a>>, Malformed> {
        Region::each(block).collect()
    }
}

impl<'a> Region<'a> {
    /// As [`Generic::page_changes`], one after the other: nothing is allocated. Behind an error there is nothing more.
    pub fn each(block: &Block<'a>) -> impl Iterator<Item = Result<Self, Malformed>> + use<'a> {
        let mut cursor = Cursor::new(block.data);
        std::iter::from_fn(move || {
            let region = (!cursor.is_empty()).then(|| Self::take(&mut cursor))?;
            if region.is_err() {
                cursor = Cursor::new(&[]);
            }
            Some(region)
        })
    }

    fn list(cursor: &mut Cursor<'a>) -> Result<Vec<Self>, Malformed> {
        let mut regions = Vec::new();
        while !cursor.is_empty() {
            regions.push(Self::take(cursor)?);
        }
        Ok(regions)
    }

    fn take(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let offset = cursor.u16("offset")?;
        let length = cursor.u16("length")?;
        Ok(Self { offset, bytes: cursor.take("region", usize::from(length))? })
    }
}

/// Name of the operation as in `generic_identify`: there is only one.
#[must_use]
pub const fn identify(_info: u8) -> Option<&'static str> {
    Some("Generic")
}
