//! The line of one record, as `pg_waldump` prints it.
//!
//! Mirrors `XLogDumpDisplayRecord` (`src/bin/pg_waldump/pg_waldump.c`) and `XLogRecGetBlockRefInfo`
//! (`src/backend/access/rmgrdesc/xlogdesc.c`).

use crate::DEFAULT_BLOCK_SIZE;
use crate::describe::columns::append_columns;
use crate::describe::title::Title;
use crate::descriptor;
use crate::error::{Malformed, ReadError};
use crate::ids::Fork;
use crate::image::Image;
use crate::raw_record::RawRecord;
use crate::record::{Block, Record};
use crate::text::{MostlyDigit, TextBuffer, append, pieces};
use crate::version::Version;

impl Record<'_> {
    /// Appends the line that `pg_waldump` prints, blocks and line feed included. Times are in the time zone of `text`.
    #[inline]
    pub fn append_line(&self, text: &mut TextBuffer) {
        append_beginning(self, text);
        for block in &self.blocks {
            append_block(block, text);
        }
        append!(text, "\n");
    }

    /// Appends the lines that `pg_waldump --bkp-details` prints: each block has a line of its own.
    pub fn append_line_and_blocks(&self, text: &mut TextBuffer) {
        append_beginning(self, text);
        append!(text, "\n");
        for block in &self.blocks {
            append_block_in_detail(block, self.version, text);
        }
    }
}

impl RawRecord<'_> {
    /// Decodes the record and appends its line; see [`Record::append_line`]. Faster than one by one, because a
    /// decoded record is large.
    ///
    /// # Errors
    /// If the headers inside of the record contradict each other; nothing is appended then.
    #[inline(always)]
    pub fn append_line(&self, text: &mut TextBuffer) -> Result<(), ReadError> {
        // Made where the caller has its parts in registers: a processor waits if it loads at once what it just stored in
        // parts.
        let mut record = Record::undecoded(&self.header, self.lsn, self.end, self.version);
        let appended = record.decode_and_append_line(self.bytes(), self.data_page_size, text);
        appended.map_err(|cause| ReadError { lsn: self.lsn, kind: cause.into() })
    }

    /// Decodes the record and appends its lines; see [`Record::append_line_and_blocks`].
    ///
    /// # Errors
    /// If the headers inside of the record contradict each other; nothing is appended then.
    pub fn append_line_and_blocks(&self, text: &mut TextBuffer) -> Result<(), ReadError> {
        self.decode()?.append_line_and_blocks(text);
        Ok(())
    }
}

impl<'a> Record<'a> {
    fn decode_and_append_line(
        &mut self,
        bytes: &'a [u8],
        page_size: u32,
        text: &mut TextBuffer,
    ) -> Result<(), Malformed> {
        self.decode_content(bytes, page_size)?;
        self.append_line(text);
        Ok(())
    }
}

impl Image<'_> {
    /// What `pg_waldump` shows behind a block that has this image: whether redo applies it.
    #[must_use]
    pub const fn mark(&self) -> &'static str {
        if self.apply { " FPW" } else { " FPW for WAL verification" }
    }
}

/// Everything before the blocks.
#[inline(always)]
fn append_beginning(record: &Record<'_>, text: &mut TextBuffer) {
    if !record.rmgr.is_custom() || !descriptor::append_names(record, text) {
        let unknown;
        let title = match Title::known(record) {
            Some(title) => title,
            None => {
                unknown = Title::new(record.rmgr, record.info, record.version);
                &unknown
            }
        };
        append_columns(&title.rmgr, record, &title.operation, text);
    }
    if let Err(error) = record.append_description(text) {
        append!(text, "(invalid: ", error.cause.to_string(), ")");
    }
}

#[inline(always)]
fn append_block(block: &Block<'_>, text: &mut TextBuffer) {
    let Block { id, fork, number, .. } = *block;
    let before = pieces!(", blkref #", MostlyDigit(id), ": rel ");
    if fork == Fork::MAIN {
        text.append_relation(before, &block.relation, pieces!(" blk ", number));
    } else {
        text.append_relation(before, &block.relation, pieces!(" fork ", fork, " blk ", number));
    }
    if let Some(image) = &block.image {
        append!(text, image.mark());
    }
}

fn append_block_in_detail(block: &Block<'_>, version: Version, text: &mut TextBuffer) {
    let Block { id, relation, fork, number, .. } = block;
    append!(text, "\tblkref #", id, ": rel ", relation, " fork ", fork, " blk ", number);
    if let Some(image) = &block.image {
        let purpose = if image.apply { "" } else { " for WAL verification" };
        let Image { hole_offset, hole_length, .. } = image;
        append!(text, " (FPW", purpose, "); hole: offset: ", hole_offset, ", length: ", hole_length);
        if let Some(compression) = image.compression {
            let stored = usize::from(*hole_length).saturating_add(image.bytes.len());
            let saved = (DEFAULT_BLOCK_SIZE as usize).saturating_sub(stored);
            append!(text, ", compression saved: ", saved);
            // Before 15 there was one method only.
            if version >= Version::V15 {
                append!(text, ", method: ", compression.name());
            }
        }
    }
    append!(text, "\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BlockNumber, RelFileLocator, TransactionId};
    use crate::lsn::Lsn;
    use crate::record::BlockFlags;
    use crate::rmgr::RmgrId;

    fn record(rmgr: RmgrId, info: u8, main_data: &[u8]) -> Record<'_> {
        Record {
            lsn: Lsn::new(0x150_0028),
            end: Lsn::new(0x150_0060),
            prev: Lsn::new(0x14F_FFF0),
            total_len: 54,
            xid: TransactionId::new(731),
            top_xid: None,
            origin: None,
            rmgr,
            info,
            version: Version::V15,
            main_data,
            blocks: Default::default(),
        }
    }

    fn line(record: &Record<'_>, details: bool) -> String {
        let mut text = TextBuffer::new();
        if details {
            record.append_line_and_blocks(&mut text)
        } else {
            record.append_line(&mut text)
        }
        text.to_string()
    }

    fn block(fork: Fork, image: Option<Image<'_>>) -> Block<'_> {
        let relation = RelFileLocator::new(1663, 5, 16384);
        Block { id: 0, flags: BlockFlags::empty(), relation, fork, number: BlockNumber::new(7), data: &[], image }
    }

    #[test]
    fn a_line_has_the_columns_of_pg_waldump() {
        let mut insert = record(RmgrId::HEAP, 0x00, &[3, 0, 8]);
        insert.blocks.push(block(Fork::MAIN, None));
        assert_eq!(
            line(&insert, false),
            "rmgr: Heap        len (rec/tot):     54/    54, tx:        731, lsn: 0/01500028, prev 0/014FFFF0, \
             desc: INSERT off 3 flags 0x08, blkref #0: rel 1663/5/16384 blk 7\n"
        );
        assert!(line(&insert, true).ends_with("flags 0x08\n\tblkref #0: rel 1663/5/16384 fork main blk 7\n"));
    }

    #[test]
    fn an_image_is_not_part_of_the_record_s_own_length() {
        let image = Image::new(&[0; 30], 40, 8000, 0x07, Version::V15);
        let mut insert = record(RmgrId::HEAP, 0x00, &[3, 0, 8]);
        insert.blocks.push(block(Fork::VISIBILITY_MAP, Some(image)));
        let short = line(&insert, false);
        assert!(short.contains("len (rec/tot):     24/    54"), "{short}");
        assert!(short.ends_with("blkref #0: rel 1663/5/16384 fork vm blk 7 FPW\n"), "{short}");
        let expected = "fork vm blk 7 (FPW); hole: offset: 40, length: 8000, compression saved: 162, method: pglz\n";
        assert!(line(&insert, true).ends_with(expected));
    }

    #[test]
    fn an_image_for_verification_says_so() {
        let image = Image::new(&[0; 192], 40, 8000, 0x01, Version::V15);
        let mut insert = record(RmgrId::HEAP, 0x00, &[3, 0, 8]);
        insert.blocks.push(block(Fork::MAIN, Some(image)));
        assert!(line(&insert, false).ends_with("blk 7 FPW for WAL verification\n"));
        assert!(line(&insert, true).ends_with("(FPW for WAL verification); hole: offset: 40, length: 8000\n"));
    }

    #[test]
    fn what_is_not_known_is_shown_by_its_number() {
        assert!(line(&record(RmgrId::new(128), 0x10, &[]), false).ends_with("desc: UNKNOWN (10) rmid: 128\n"));
        assert!(line(&record(RmgrId::STORAGE, 0xA0, &[]), false).contains("desc: UNKNOWN (a0) "));
        let cut = line(&record(RmgrId::HEAP, 0x00, &[3]), false);
        assert!(cut.contains("desc: INSERT (invalid: "), "{cut}");
    }
}
