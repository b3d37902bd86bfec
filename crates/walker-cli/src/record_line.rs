//! The line of one record, as `pg_waldump` prints it.
//!
//! Mirrors `XLogDumpDisplayRecord` (`src/bin/pg_waldump/pg_waldump.c`) and `XLogRecGetBlockRefInfo`
//! (`src/backend/access/rmgrdesc/xlogdesc.c`).

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use pgwal::{Block, DEFAULT_BLOCK_SIZE, Fork, Image, Lsn, Record, Version};

/// The line of one record; with `details` the lines.
pub(crate) fn write_record(line: &mut String, record: &Record<'_>, details: bool) -> fmt::Result {
    let total = record.total_len;
    let without_images = total.saturating_sub(record.image_len());
    let Record { rmgr, xid, .. } = record;
    let (lsn, prev) = (Padded(record.lsn), Padded(record.prev));
    write!(line, "rmgr: {rmgr:<11} len (rec/tot): {without_images:>6}/{total:>6}, tx: {:>10}, ", xid.get())?;
    write!(line, "lsn: {lsn}, prev {prev}, desc: ")?;
    write_description(line, record)?;
    if details {
        line.push('\n');
        record.blocks.iter().try_for_each(|block| write_block_in_detail(line, block, record.version))
    } else {
        record.blocks.iter().try_for_each(|block| write_block(line, block))?;
        line.push('\n');
        Ok(())
    }
}

/// Name of the operation and what it does.
fn write_description(line: &mut String, record: &Record<'_>) -> fmt::Result {
    match record.identify() {
        Some(name) => write!(line, "{name} ")?,
        None => write!(line, "UNKNOWN ({:x}) ", record.rmgr_info())?,
    }
    match record.describe(line) {
        Ok(()) => Ok(()),
        Err(error) => write!(line, "(invalid: {})", error.cause),
    }
}

fn write_block(line: &mut String, block: &Block<'_>) -> fmt::Result {
    write!(line, ", blkref #{}: rel {}", block.id, block.relation)?;
    if block.fork != Fork::MAIN {
        write!(line, " fork {}", fork_name(block.fork))?;
    }
    write!(line, " blk {}", block.number)?;
    line.write_str(image_mark(block.image.as_ref().map(|image| image.apply)))
}

/// What is shown behind a block that has an image, by whether redo applies that.
pub(crate) const fn image_mark(apply: Option<bool>) -> &'static str {
    match apply {
        Some(true) => " FPW",
        Some(false) => " FPW for WAL verification",
        None => "",
    }
}

fn write_block_in_detail(line: &mut String, block: &Block<'_>, version: Version) -> fmt::Result {
    let Block { id, relation, number, .. } = block;
    write!(line, "\tblkref #{id}: rel {relation} fork {} blk {number}", fork_name(block.fork))?;
    if let Some(image) = &block.image {
        let purpose = if image.apply { "" } else { " for WAL verification" };
        let Image { hole_offset, hole_length, .. } = image;
        write!(line, " (FPW{purpose}); hole: offset: {hole_offset}, length: {hole_length}")?;
        if let Some(compression) = image.compression {
            let stored = usize::from(*hole_length) + image.bytes.len();
            let saved = (DEFAULT_BLOCK_SIZE as usize).saturating_sub(stored);
            write!(line, ", compression saved: {saved}")?;
            // Before 15 there was one method only.
            if version >= Version::V15 {
                write!(line, ", method: {}", compression.name())?;
            }
        }
    }
    line.push('\n');
    Ok(())
}

/// An LSN with its lower half in eight digits: `16/0374D848`.
struct Padded(Lsn);

impl fmt::Display for Padded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.get();
        write!(formatter, "{:X}/{:08X}", bytes >> 32, bytes & 0xFFFF_FFFF)
    }
}

/// A fork's name, or its number if PostgreSQL has no such fork.
pub(crate) fn fork_name(fork: Fork) -> Cow<'static, str> {
    fork.name().map_or_else(|| fork.get().to_string().into(), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgwal::{BlockFlags, BlockNumber, RelFileLocator, RmgrId, TransactionId};

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
        let mut line = String::new();
        write_record(&mut line, record, details).unwrap();
        line
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
