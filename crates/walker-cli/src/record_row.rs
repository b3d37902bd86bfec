//! A record for machines: one JSON object or one row of CSV on each line.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;

use anyhow::Result;
use pgwal::{Block, Compression, Descriptors, Record, TextBuffer};
use serde::Serialize;

use crate::custom_rmgr;

/// Nobody but PostgreSQL's own resource managers.
static NONE: Descriptors = Descriptors::new();

/// What is told of a record. LSNs are texts as PostgreSQL prints them, lengths are in bytes.
#[derive(Debug, Serialize)]
pub(crate) struct RecordRow {
    lsn: String,
    /// Where the next record may begin.
    end: String,
    prev: String,
    xid: u32,
    rmgr: String,
    /// Name of the operation; none if the resource manager has no such operation, or is an extension's of which
    /// nothing is known.
    operation: Option<String>,
    /// The resource manager's part of the info byte.
    info: u8,
    /// Without images.
    record_length: u32,
    total_length: u32,
    description: String,
    blocks: Vec<BlockRow>,
}

/// A block that the record changes.
#[derive(Debug, Serialize)]
struct BlockRow {
    id: u8,
    tablespace: u32,
    database: u32,
    filenode: u32,
    fork: Cow<'static, str>,
    block: u32,
    /// The page, if the record holds it.
    image: Option<ImageRow>,
}

#[derive(Debug, Serialize)]
struct ImageRow {
    /// As it is in the record.
    length: usize,
    hole_offset: u16,
    hole_length: u16,
    compression: Option<&'static str>,
    /// Whether redo restores the page from it.
    apply: bool,
    /// The same in the text of CSV.
    #[serde(skip)]
    mark: &'static str,
}

impl RecordRow {
    /// The columns of CSV. Blocks are one column: `1663/5/16384 main 0 FPW`, separated by semicolons.
    pub(crate) const COLUMNS: [&'static str; 10] =
        ["lsn", "end", "prev", "xid", "rmgr", "operation", "record_length", "total_length", "description", "blocks"];

    /// What is told of `record`, with times as they are written into `scratch`.
    pub(crate) fn new(record: &Record<'_>, scratch: &mut TextBuffer) -> Self {
        scratch.clear();
        let described = record.append_description(scratch);
        let mut description = scratch.to_string();
        if let Err(error) = described {
            description.push_str(&format!("(invalid: {})", error.cause));
        }
        description.truncate(description.trim_end().len());
        let names = scratch.descriptors().map_or(&NONE, Arc::as_ref);
        Self {
            lsn: record.lsn.to_string(),
            end: record.end.to_string(),
            prev: record.prev.to_string(),
            xid: record.xid.get(),
            rmgr: custom_rmgr::name(names, record.rmgr),
            operation: names.identify(record.rmgr, record.info, record.version).map(ToOwned::to_owned),
            info: record.rmgr_info(),
            record_length: record.total_len.saturating_sub(record.image_len()),
            total_length: record.total_len,
            description,
            blocks: record.blocks.iter().map(BlockRow::new).collect(),
        }
    }

    /// Appends the record as one line of JSON.
    pub(crate) fn write_json(&self, text: &mut TextBuffer) -> Result<()> {
        serde_json::to_writer(&mut *text, self)?;
        Ok(text.write_all(b"\n")?)
    }

    /// Appends the record as one row of CSV.
    pub(crate) fn write_csv(&self, text: &mut TextBuffer) -> Result<()> {
        let [xid, record_length, total_length] =
            [self.xid, self.record_length, self.total_length].map(|n| n.to_string());
        let operation = self.operation.clone().unwrap_or_else(|| format!("UNKNOWN ({:x})", self.info));
        let blocks = self.blocks.iter().map(BlockRow::to_text).collect::<Vec<_>>().join("; ");
        write_csv_row(
            text,
            [
                &self.lsn,
                &self.end,
                &self.prev,
                &xid,
                &self.rmgr,
                &operation,
                &record_length,
                &total_length,
                &self.description,
                &blocks,
            ],
        )
    }
}

/// Appends one row, quoted where it must be.
pub(crate) fn write_csv_row<T: AsRef<[u8]>>(text: &mut TextBuffer, row: [T; 10]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(text);
    writer.write_record(row)?;
    Ok(writer.flush()?)
}

impl BlockRow {
    fn new(block: &Block<'_>) -> Self {
        let image = block.image.as_ref().map(|image| ImageRow {
            length: image.bytes.len(),
            hole_offset: image.hole_offset,
            hole_length: image.hole_length,
            compression: image.compression.map(Compression::name),
            apply: image.apply,
            mark: image.mark(),
        });
        Self {
            id: block.id,
            tablespace: block.relation.tablespace.get(),
            database: block.relation.database.get(),
            filenode: block.relation.relation.get(),
            fork: block.fork.name().map_or_else(|| block.fork.get().to_string().into(), Cow::Borrowed),
            block: block.number.get(),
            image,
        }
    }

    fn to_text(&self) -> String {
        let Self { tablespace, database, filenode, fork, block, image, .. } = self;
        let image = image.as_ref().map_or("", |image| image.mark);
        format!("{tablespace}/{database}/{filenode} {fork} {block}{image}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgwal::{BlockFlags, BlockNumber, Fork, Image, Lsn, RelFileLocator, RmgrId, TransactionId, Version};

    fn row(main_data: &[u8]) -> RecordRow {
        let block = Block {
            id: 0,
            flags: BlockFlags::HAS_IMAGE,
            relation: RelFileLocator::new(1663, 5, 16384),
            fork: Fork::VISIBILITY_MAP,
            number: BlockNumber::new(7),
            data: &[],
            image: Some(Image::new(&[0; 8192], 0, 0, 0x02, Version::V15)),
        };
        let record = Record {
            lsn: Lsn::new(0x150_0028),
            end: Lsn::new(0x150_2100),
            prev: Lsn::new(0x150_0000),
            total_len: 8250,
            xid: TransactionId::new(737),
            top_xid: None,
            origin: None,
            rmgr: RmgrId::XLOG,
            info: 0x70,
            version: Version::V15,
            main_data,
            blocks: [block].into_iter().collect(),
        };
        RecordRow::new(&record, &mut TextBuffer::new())
    }

    #[test]
    fn json_is_one_object_a_line() {
        let mut line = TextBuffer::new();
        row(b"\0\0\0\0\0\0\0\0a \"name\"\n\0").write_json(&mut line).unwrap();
        assert_eq!(line.as_bytes().iter().filter(|byte| **byte == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(line.as_bytes()).unwrap();
        assert_eq!(value["lsn"], "0/1500028");
        assert_eq!(value["operation"], "RESTORE_POINT");
        assert_eq!(value["description"], "a \"name\"");
        assert_eq!((&value["record_length"], &value["total_length"]), (&58.into(), &8250.into()));
        assert_eq!(value["blocks"][0]["fork"], "vm");
        assert_eq!(value["blocks"][0]["image"]["apply"], true);
    }

    #[test]
    fn csv_quotes_what_it_must() {
        let mut line = TextBuffer::new();
        row(b"\0\0\0\0\0\0\0\0a, \"name\"\0").write_csv(&mut line).unwrap();
        let expected = "0/1500028,0/1502100,0/1500000,737,XLOG,RESTORE_POINT,58,8250,\"a, \"\"name\"\"\",\
                        1663/5/16384 vm 7 FPW\n";
        assert_eq!(line.to_string(), expected);
    }
}
