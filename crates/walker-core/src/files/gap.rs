//! Going on behind what is damaged or missing.

use std::mem;

use pgwal::{Located, Lsn, Reader, SegmentNo};

use super::FileSource;
use crate::source::SourceError;

/// A part of the log that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("lost WAL from {from} to {to}: {cause}")]
pub struct Gap {
    /// End of the last record before it.
    pub from: Lsn,
    /// Beginning of the first record behind it.
    pub to: Lsn,
    /// What is wrong, and in which file.
    pub cause: SourceError,
}

impl FileSource {
    /// The first record behind damage, if there is one; the damage is noted as a gap that begins at `from`.
    pub(super) fn skip(&mut self, from: Lsn, cause: SourceError) -> Result<Option<Located>, SourceError> {
        let begin = cause.lsn().map_or(from, |lsn| lsn.min(from));
        let behind = cause.lsn().unwrap_or_default().max(self.reader.position());
        match self.resynchronise(behind)? {
            Some(located) => {
                self.gap = Some(Gap { from: begin, to: located.start, cause });
                Ok(Some(located))
            }
            // Damaged up to the end: nothing can be told apart from what was never written.
            None => Err(cause),
        }
    }

    /// Where the log seems to end: whether there is a record behind after all.
    pub(super) fn skip_to_later(&mut self, from: Lsn) -> Result<Option<Located>, SourceError> {
        let Some(reason) = self.end_reason.clone() else { return Ok(None) };
        let cause = self.damaged(reason.clone());
        match self.skip(from, cause) {
            Err(SourceError::Damaged { cause, .. }) if cause == reason => {
                self.end_reason = Some(reason);
                Ok(None)
            }
            outcome => outcome,
        }
    }

    /// The first good record that begins on a page behind `lsn`. If there is none, the source is as before.
    fn resynchronise(&mut self, lsn: Lsn) -> Result<Option<Located>, SourceError> {
        let options = *self.reader.options();
        let page_behind = |lsn: Lsn| lsn.floor(options.block_size).advanced(u64::from(options.block_size));
        let number = |lsn| SegmentNo::of(lsn, options.segment_size);
        let mut page = page_behind(lsn);
        let before = mem::replace(&mut self.reader, Reader::seek(page, options));
        loop {
            self.reader = Reader::seek(page, options);
            let next = match self.locate_with_more(true) {
                Ok(Ok(Some(located))) => return Ok(Some(located)),
                Ok(Err(error)) => Some(page_behind(error.lsn.max(page))),
                // The rest of the segment, or all of it, is not there or cannot be read.
                Ok(Ok(None)) | Err(SourceError::MissingSegment { .. } | SourceError::Compressed { .. }) => {
                    let next = self.list.after(number(self.reader.position()));
                    next.map(|number| number.start(options.segment_size))
                }
                Err(error) => return Err(error),
            };
            match next {
                Some(next) => page = next,
                None => {
                    (self.reader, self.segment) = (before, None);
                    return Ok(None);
                }
            }
        }
    }
}
