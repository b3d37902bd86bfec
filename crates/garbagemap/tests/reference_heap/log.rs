//! Records as the reference writes them, and how a plugin is told.

use pgwal::{Block, BlockFlags, BlockNumber, Fork, Image, Lsn, Record, RelFileLocator, RmgrId, TransactionId, Version};
use walker_core::Plugin;

/// A record with all that it holds.
#[derive(Debug)]
pub(crate) struct WrittenRecord {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) xid: u32,
    pub(crate) top_xid: Option<u32>,
    pub(crate) rmgr: RmgrId,
    pub(crate) info: u8,
    pub(crate) version: Version,
    pub(crate) main_data: Vec<u8>,
    pub(crate) blocks: Vec<WrittenBlock>,
}

/// A block reference of it.
#[derive(Debug)]
pub(crate) struct WrittenBlock {
    pub(crate) id: u8,
    pub(crate) flags: BlockFlags,
    pub(crate) relation: RelFileLocator,
    pub(crate) fork: Fork,
    pub(crate) number: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) image: Option<WrittenImage>,
}

/// An image of it.
pub(crate) struct WrittenImage {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hole_offset: u16,
    pub(crate) hole_length: u16,
    pub(crate) apply: bool,
}

impl std::fmt::Debug for WrittenImage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.apply { "image" } else { "image to compare with" })
    }
}

impl WrittenImage {
    /// Of a page without the bytes of its hole.
    pub(crate) fn new(page: &[u8], hole: std::ops::Range<usize>, apply: bool) -> Self {
        let number = |number: usize| u16::try_from(number).unwrap();
        Self {
            bytes: [&page[..hole.start], &page[hole.end..]].concat(),
            hole_offset: number(hole.start),
            hole_length: number(hole.len()),
            apply,
        }
    }

    fn image(&self, version: Version) -> Image<'_> {
        let hole = if self.hole_length > 0 { 1 } else { 0 };
        let info = hole | if self.apply { 2 } else { 0 };
        Image::new(&self.bytes, self.hole_offset, self.hole_length, info, version)
    }
}

impl WrittenRecord {
    /// Tells a plugin.
    pub(crate) fn tell(&self, plugin: &mut impl Plugin) {
        let blocks = self.blocks.iter().map(|block| Block {
            id: block.id,
            flags: block.flags,
            relation: block.relation,
            fork: block.fork,
            number: BlockNumber::new(block.number),
            data: &block.data,
            image: block.image.as_ref().map(|image| image.image(self.version)),
        });
        let record = Record {
            lsn: Lsn::new(self.start),
            end: Lsn::new(self.end),
            prev: Lsn::INVALID,
            total_len: u32::try_from(self.end - self.start).unwrap(),
            xid: TransactionId::new(self.xid),
            top_xid: self.top_xid.map(TransactionId::new),
            origin: None,
            rmgr: self.rmgr,
            info: self.info,
            version: self.version,
            main_data: &self.main_data,
            blocks: blocks.collect(),
        };
        plugin.record(&record).unwrap();
    }
}
