//! One WAL record. Source: `src/include/access/xlogrecord.h`, `src/backend/access/transam/xlogreader.c`:
//! `DecodeXLogRecord`.

use smallvec::SmallVec;

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::ids::{BlockNumber, Fork, OriginId, RelFileLocator, TransactionId};
use crate::image::Image;
use crate::lsn::Lsn;
use crate::rmgr::RmgrId;
use crate::version::Version;

/// The fixed part at the beginning of each record (`XLogRecord`, 24 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// Length of the whole record in bytes (`xl_tot_len`).
    pub total_len: u32,
    /// The transaction (`xl_xid`).
    pub xid: TransactionId,
    /// Beginning of the record before (`xl_prev`).
    pub prev: Lsn,
    /// Kind of record: the upper four bits belong to the resource manager (`xl_info`).
    pub info: u8,
    /// The resource manager (`xl_rmid`).
    pub rmgr: RmgrId,
    /// CRC-32C of the rest of the record, then of this header up to here (`xl_crc`).
    pub crc: u32,
}

impl RecordHeader {
    /// Size in bytes (`SizeOfXLogRecord`).
    pub const SIZE: usize = 24;
    /// Offset of `xl_crc`: the bytes before it are part of the checksum.
    pub(crate) const CRC_OFFSET: usize = 20;

    /// Reads one from the beginning of a record.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer than [`RecordHeader::SIZE`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let header: [u8; Self::SIZE] = Cursor::new(bytes).array("XLogRecord")?;
        Ok(Self::from_bytes(&header))
    }

    /// The resource manager's part of the info byte (`~XLR_INFO_MASK`).
    #[must_use]
    pub const fn rmgr_info(&self) -> u8 {
        self.info & 0xF0
    }

    /// Takes one apart.
    #[inline]
    pub(crate) fn from_bytes(header: &[u8; Self::SIZE]) -> Self {
        let [l0, l1, l2, l3, x0, x1, x2, x3, p0, p1, p2, p3, p4, p5, p6, p7, info, rmgr, _, _, c0, c1, c2, c3] =
            *header;
        Self {
            total_len: u32::from_le_bytes([l0, l1, l2, l3]),
            xid: TransactionId::new(u32::from_le_bytes([x0, x1, x2, x3])),
            prev: Lsn::new(u64::from_le_bytes([p0, p1, p2, p3, p4, p5, p6, p7])),
            info,
            rmgr: RmgrId::new(rmgr),
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
        }
    }
}

bitflags::bitflags! {
    /// Flags of a block reference: the upper half of `fork_flags`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct BlockFlags: u8 {
        /// `BKPBLOCK_HAS_IMAGE`.
        const HAS_IMAGE = 0x10;
        /// `BKPBLOCK_HAS_DATA`.
        const HAS_DATA = 0x20;
        /// Redo makes the page anew (`BKPBLOCK_WILL_INIT`).
        const WILL_INIT = 0x40;
        /// The relation is that of the block reference before (`BKPBLOCK_SAME_REL`).
        const SAME_RELATION = 0x80;
    }
}

/// A block that a record changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// Its number within the record, 0 to 32.
    pub id: u8,
    /// `BKPBLOCK_*`.
    pub flags: BlockFlags,
    /// The relation's files.
    pub relation: RelFileLocator,
    /// Which of its forks.
    pub fork: Fork,
    /// Which block of the fork.
    pub number: BlockNumber,
    /// What the resource manager stored for this block; empty if nothing, and mostly if there is an image.
    pub data: &'a [u8],
    /// The page after the record, if the record holds it.
    pub image: Option<Image<'a>>,
}

impl<'a> Block<'a> {
    /// Highest possible [`Block::id`] (`XLR_MAX_BLOCK_ID`).
    pub const MAX_ID: u8 = MAX_BLOCK_ID;

    /// The image that redo takes as the page's new content, if there is one.
    #[must_use]
    pub fn applied_image(&self) -> Option<&Image<'a>> {
        self.image.as_ref().filter(|image| image.apply)
    }

    /// Whether redo makes the page anew (`BKPBLOCK_WILL_INIT`).
    #[must_use]
    pub const fn will_init(&self) -> bool {
        self.flags.contains(BlockFlags::WILL_INIT)
    }
}

/// One record of the write-ahead log, borrowed from where it was read.
///
/// The same type serves in the server, where it is a view of what PostgreSQL's own reader decoded, and outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins (`ReadRecPtr`).
    pub lsn: Lsn,
    /// Where the next one may begin (`EndRecPtr`): the LSN of the pages it changed.
    pub end: Lsn,
    /// Where the one before begins (`xl_prev`).
    pub prev: Lsn,
    /// Its length in bytes (`xl_tot_len`).
    pub total_len: u32,
    /// The transaction that wrote it, a subtransaction's own number; invalid if none.
    pub xid: TransactionId,
    /// The top transaction, where `wal_level = logical` stored it.
    pub top_xid: Option<TransactionId>,
    /// Where a replicated change came from.
    pub origin: Option<OriginId>,
    /// The resource manager.
    pub rmgr: RmgrId,
    /// Kind of record: the upper four bits belong to the resource manager (`xl_info`).
    pub info: u8,
    /// The major version that wrote it.
    pub version: Version,
    /// What the resource manager stored beside the blocks.
    pub main_data: &'a [u8],
    /// The blocks it changes, by ascending [`Block::id`].
    pub blocks: SmallVec<[Block<'a>; 3]>,
}

/// `XLR_BLOCK_ID_DATA_SHORT`, `_LONG`, `_ORIGIN`, `_TOPLEVEL_XID`.
pub(crate) const DATA_SHORT: u8 = 255;
pub(crate) const DATA_LONG: u8 = 254;
pub(crate) const ORIGIN: u8 = 253;
pub(crate) const TOPLEVEL_XID: u8 = 252;
/// `XLR_MAX_BLOCK_ID`.
pub(crate) const MAX_BLOCK_ID: u8 = 32;

impl<'a> Record<'a> {
    /// Decodes the headers inside of a whole record. Its checksum is not looked at here.
    ///
    /// `bytes` is the record without page headers, `page_size` the size of a data page in bytes.
    ///
    /// # Errors
    /// [`Malformed`] if the headers contradict each other or the length.
    #[inline]
    pub fn decode(bytes: &'a [u8], lsn: Lsn, end: Lsn, version: Version, page_size: u32) -> Result<Self, Malformed> {
        let mut record = Self::undecoded(&RecordHeader::parse(bytes)?, lsn, end, version);
        // Where it will stay, for it is large.
        record.decode_content(bytes, page_size)?;
        Ok(record)
    }

    /// What the fixed part tells.
    #[inline]
    pub(crate) fn undecoded(header: &RecordHeader, lsn: Lsn, end: Lsn, version: Version) -> Self {
        Self {
            lsn,
            end,
            prev: header.prev,
            total_len: header.total_len,
            xid: header.xid,
            top_xid: None,
            origin: None,
            rmgr: header.rmgr,
            info: header.info,
            version,
            main_data: &[],
            blocks: SmallVec::new(),
        }
    }

    /// Decodes what is behind the fixed part: first all headers, then the data in the same order; the main data's
    /// header is the last.
    #[inline(always)]
    pub(crate) fn decode_content(&mut self, bytes: &'a [u8], page_size: u32) -> Result<(), Malformed> {
        match self.decode_plain_content(bytes) {
            Some(()) => Ok(()),
            None => {
                self.blocks.clear();
                self.decode_any_content(bytes, page_size)
            }
        }
    }

    /// What most records hold behind the fixed part: blocks without images, and main data of less than 256 bytes.
    /// `None` if there is anything else or anything wrong.
    #[inline(always)]
    fn decode_plain_content(&mut self, bytes: &'a [u8]) -> Option<()> {
        let mut rest = bytes.get(RecordHeader::SIZE..)?;
        let mut relation = None;
        let mut next_id = 0;
        while let [id @ 0..=MAX_BLOCK_ID, fork_flags, l0, l1, tail @ ..] = rest {
            let flags = BlockFlags::from_bits_truncate(*fork_flags);
            let data_len = usize::from(u16::from_le_bytes([*l0, *l1]));
            let is_plain = !flags.contains(BlockFlags::HAS_IMAGE)
                && flags.contains(BlockFlags::HAS_DATA) == (data_len != 0)
                && *id >= next_id;
            if !is_plain {
                return None;
            }
            next_id = id.saturating_add(1);
            let (same_or_new, tail) = match flags.contains(BlockFlags::SAME_RELATION) {
                true => (relation?, tail),
                false => split_locator(tail)?,
            };
            relation = Some(same_or_new);
            let (number, tail) = tail.split_first_chunk()?;
            self.blocks.push(Block {
                id: *id,
                flags,
                relation: same_or_new,
                fork: Fork::new(fork_flags & 0x0F),
                number: BlockNumber::new(u32::from_le_bytes(*number)),
                // As long as it will be: where it is, is known behind the last header.
                data: bytes.get(..data_len)?,
                image: None,
            });
            rest = tail;
        }
        let [DATA_SHORT, main_data_len, data @ ..] = rest else { return None };
        let mut rest = data;
        for block in &mut self.blocks {
            (block.data, rest) = rest.split_at_checked(block.data.len())?;
        }
        self.main_data = rest;
        (rest.len() == usize::from(*main_data_len)).then_some(())
    }

    #[inline(never)]
    fn decode_any_content(&mut self, bytes: &'a [u8], page_size: u32) -> Result<(), Malformed> {
        let mut cursor = Cursor::new(bytes.get(RecordHeader::SIZE..).unwrap_or_default());
        let mut main_data_len = 0usize;
        let mut data_total = 0usize;
        while cursor.rest().len() > data_total {
            match cursor.u8("block_id")? {
                DATA_SHORT => {
                    main_data_len = usize::from(cursor.u8("data_length")?);
                    data_total = data_total.saturating_add(main_data_len);
                    break;
                }
                DATA_LONG => {
                    let length = cursor.u32("data_length")?;
                    main_data_len = usize::try_from(length).unwrap_or(usize::MAX);
                    data_total = data_total.saturating_add(main_data_len);
                    break;
                }
                ORIGIN => self.origin = Some(OriginId::new(cursor.u16("record_origin")?)),
                TOPLEVEL_XID => self.top_xid = Some(TransactionId::new(cursor.u32("toplevel_xid")?)),
                id if id <= Block::MAX_ID => {
                    let previous = self.blocks.last();
                    if previous.is_some_and(|previous| id <= previous.id) {
                        return Err(Malformed::Invalid { field: "block_id", value: u64::from(id) });
                    }
                    let header = BlockHeader::parse(&mut cursor, id, previous, self.version, page_size)?;
                    data_total = data_total.saturating_add(header.data_len()).saturating_add(header.image_len());
                    match header.with_placeholders(bytes, self.version) {
                        Some(block) => self.blocks.push(block),
                        // More than the whole record: what is wrong is told below.
                        None => break,
                    }
                }
                id => return Err(Malformed::Invalid { field: "block_id", value: u64::from(id) }),
            }
        }
        if cursor.rest().len() != data_total {
            let available = cursor.rest().len();
            return Err(Malformed::Truncated { field: "xl_tot_len", wanted: data_total, available });
        }
        for block in &mut self.blocks {
            if let Some(image) = &mut block.image {
                image.bytes = cursor.take("block image", image.bytes.len())?;
            }
            block.data = cursor.take("block data", block.data.len())?;
        }
        self.main_data = cursor.take("main data", main_data_len)?;
        Ok(())
    }

    /// The block reference of this id.
    #[must_use]
    pub fn block(&self, id: u8) -> Option<&Block<'a>> {
        self.blocks.iter().find(|block| block.id == id)
    }

    /// The resource manager's part of the info byte (`~XLR_INFO_MASK`).
    #[must_use]
    pub const fn rmgr_info(&self) -> u8 {
        self.info & 0xF0
    }

    /// Bytes of full-page images in it.
    #[must_use]
    #[inline]
    pub fn image_len(&self) -> u32 {
        // Mostly there is none, which is soon seen.
        if self.blocks.iter().all(|block| block.image.is_none()) {
            return 0;
        }
        let lengths = self.blocks.iter().filter_map(|block| block.image.as_ref()).map(|image| image.bytes.len());
        u32::try_from(lengths.sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// Says where `cause` was found.
    #[must_use]
    pub const fn error(&self, cause: Malformed) -> RecordError {
        RecordError { lsn: self.lsn, rmgr: self.rmgr, info: self.info, xid: self.xid, cause }
    }
}

/// Takes a relation from the beginning.
#[inline(always)]
fn split_locator(bytes: &[u8]) -> Option<(RelFileLocator, &[u8])> {
    let (locator, rest) = bytes.split_first_chunk::<12>()?;
    let ([tablespace, database, relation], []) = locator.as_chunks() else { return None };
    let number = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
    Some((RelFileLocator::new(number(tablespace), number(database), number(relation)), rest))
}

/// A block's header (`XLogRecordBlockHeader` and what follows it). Data and image come behind all headers.
struct BlockHeader {
    id: u8,
    flags: BlockFlags,
    relation: RelFileLocator,
    fork: Fork,
    number: BlockNumber,
    data_len: u16,
    image: Option<ImageHeader>,
}

/// `XLogRecordBlockImageHeader`, and `XLogRecordBlockCompressHeader` where it follows.
struct ImageHeader {
    length: u16,
    hole_offset: u16,
    hole_length: u16,
    info: u8,
}

impl BlockHeader {
    #[inline]
    fn parse(
        cursor: &mut Cursor<'_>,
        id: u8,
        previous: Option<&Block<'_>>,
        version: Version,
        page_size: u32,
    ) -> Result<Self, Malformed> {
        let fork_flags = cursor.u8("fork_flags")?;
        let flags = BlockFlags::from_bits_truncate(fork_flags);
        let data_len = cursor.u16("data_length")?;
        if flags.contains(BlockFlags::HAS_DATA) != (data_len != 0) {
            return Err(Malformed::Invalid { field: "BKPBLOCK_HAS_DATA", value: u64::from(data_len) });
        }
        let image = if flags.contains(BlockFlags::HAS_IMAGE) {
            Some(ImageHeader::parse(cursor, version, page_size)?)
        } else {
            None
        };
        let relation = if flags.contains(BlockFlags::SAME_RELATION) {
            let previous = previous.ok_or(Malformed::Invalid { field: "BKPBLOCK_SAME_REL", value: u64::from(id) })?;
            previous.relation
        } else {
            let tablespace = cursor.u32("spcOid")?;
            let database = cursor.u32("dbOid")?;
            RelFileLocator::new(tablespace, database, cursor.u32("relNumber")?)
        };
        let number = BlockNumber::new(cursor.u32("blkno")?);
        Ok(Self { id, flags, relation, fork: Fork::new(fork_flags & 0x0F), number, data_len, image })
    }

    fn data_len(&self) -> usize {
        usize::from(self.data_len)
    }

    fn image_len(&self) -> usize {
        self.image.as_ref().map_or(0, |image| usize::from(image.length))
    }

    /// The block, its data and image as long as they will be, but taken from the beginning of the record: where they
    /// are is known behind the last header. `None` if the record is not that long.
    #[inline]
    fn with_placeholders<'a>(&self, bytes: &'a [u8], version: Version) -> Option<Block<'a>> {
        let image = match &self.image {
            None => None,
            Some(image) => {
                let stored = bytes.get(..usize::from(image.length))?;
                Some(Image::new(stored, image.hole_offset, image.hole_length, image.info, version))
            }
        };
        let data = bytes.get(..self.data_len())?;
        let Self { id, flags, relation, fork, number, .. } = *self;
        Some(Block { id, flags, relation, fork, number, data, image })
    }
}

impl ImageHeader {
    fn parse(cursor: &mut Cursor<'_>, version: Version, page_size: u32) -> Result<Self, Malformed> {
        let length = cursor.u16("bimg_len")?;
        let hole_offset = cursor.u16("hole_offset")?;
        let info = cursor.u8("bimg_info")?;
        let has_hole = info & Image::HAS_HOLE != 0;
        let compressed = Image::flags(info, version).1.is_some();
        let hole_length = match (compressed, has_hole) {
            (true, true) => cursor.u16("hole_length")?,
            (true, false) => 0,
            (false, _) => u16::try_from(page_size.saturating_sub(u32::from(length))).unwrap_or(u16::MAX),
        };
        // The same cross-checks as in DecodeXLogRecord.
        let whole = u32::from(length) == page_size;
        let consistent = if has_hole {
            hole_offset != 0 && hole_length != 0 && !whole
        } else {
            hole_offset == 0 && hole_length == 0
        };
        if !consistent || (compressed && whole) || (!has_hole && !compressed && !whole) {
            return Err(Malformed::Invalid { field: "bimg_info", value: u64::from(info) });
        }
        Ok(Self { length, hole_offset, hole_length, info })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::Index;

    /// A record of blocks without images: how far each id is from the one before, whether the relation is the same, data.
    fn record(blocks: &[(u8, bool, Vec<u8>)], main_data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; RecordHeader::SIZE];
        let mut id = 0;
        for (number, (step, same, data)) in blocks.iter().enumerate() {
            id += step;
            let same = *same && number > 0;
            let flags = u8::from(!data.is_empty()) << 5 | u8::from(same) << 7;
            bytes.extend([id, flags, data.len() as u8, 0]);
            bytes.extend([number as u8 + 1; 16].iter().skip(if same { 12 } else { 0 }));
            id += 1;
        }
        bytes.extend([DATA_SHORT, main_data.len() as u8]);
        blocks.iter().for_each(|(_, _, data)| bytes.extend(data));
        bytes.extend(main_data);
        bytes
    }

    proptest! {
        #[test]
        fn plain_content_is_decoded_as_any_content_is(
            blocks in prop::collection::vec((0..3u8, any::<bool>(), prop::collection::vec(any::<u8>(), 0..5)), 0..6),
            main_data in prop::collection::vec(any::<u8>(), 0..9),
            damage: Option<(Index, u8)>,
        ) {
            let mut bytes = record(&blocks, &main_data);
            if let Some((place, byte)) = damage {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let header = RecordHeader::parse(&bytes).unwrap();
            let undecoded = || Record::undecoded(&header, Lsn::new(8), Lsn::new(16), Version::V15);
            let (mut plain, mut any) = (undecoded(), undecoded());
            let is_plain = plain.decode_plain_content(&bytes).is_some();
            let decoded = any.decode_any_content(&bytes, 8192);
            prop_assert!(is_plain || damage.is_some());
            if is_plain {
                prop_assert_eq!(decoded, Ok(()));
                prop_assert_eq!(plain, any);
            }
        }
    }
}
