//! A record whose header is all that was looked at. Source: `src/include/access/xlogrecord.h`.

use crate::cursor::Cursor;
use crate::error::{Malformed, ReadError};
use crate::ids::TimelineId;
use crate::image::Image;
use crate::lsn::Lsn;
use crate::record::{BlockFlags, DATA_LONG, DATA_SHORT, MAX_BLOCK_ID, ORIGIN, Record, RecordHeader, TOPLEVEL_XID};
use crate::version::Version;

/// Length of the header of a block without an image: number, flags, length of its data, locator, block number.
const BLOCK_HEADER: usize = 20;

/// A whole and verified record, not decoded: enough for those who count or choose, at a fraction of the time.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// Where it begins (`ReadRecPtr`).
    pub lsn: Lsn,
    /// Where the next one may begin (`EndRecPtr`).
    pub end: Lsn,
    /// Its fixed part.
    pub header: RecordHeader,
    /// The major version that wrote it.
    pub version: Version,
    /// The timeline of the page that it ends on.
    pub timeline: TimelineId,
    /// From its beginning on, without page headers; there may be more behind its end.
    pub(crate) from: &'a [u8],
    /// Size of a data page in bytes.
    pub(crate) data_page_size: u32,
}

impl<'a> RawRecord<'a> {
    /// All of it, without page headers.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.from.get(..usize::try_from(self.header.total_len).unwrap_or(usize::MAX)).unwrap_or(self.from)
    }

    /// Decodes it.
    ///
    /// # Errors
    /// If the headers inside of the record contradict each other.
    #[inline]
    pub fn decode(&self) -> Result<Record<'a>, ReadError> {
        match Record::decode(self.bytes(), self.lsn, self.end, self.version, self.data_page_size) {
            Ok(record) => Ok(record),
            Err(cause) => Err(ReadError { lsn: self.lsn, kind: cause.into() }),
        }
    }

    /// Bytes of full-page images in it, by the headers of its blocks alone.
    ///
    /// # Errors
    /// If these headers are cut off.
    #[inline]
    pub fn image_len(&self) -> Result<u32, ReadError> {
        // Nearly all records have no block, or one without an image. Without branches, since which of both cannot be
        // foreseen; what lies behind a shorter record does no harm, since without a block there is no image either.
        if let Some((_, [id, fork_flags, header @ ..])) = self.from.split_first_chunk::<{ RecordHeader::SIZE }>()
            && let Some(next) = header.get(BLOCK_HEADER.saturating_sub(2))
        {
            let image_or_same = BlockFlags::HAS_IMAGE.bits() | BlockFlags::SAME_RELATION.bits();
            let one_block = (*id == 0) & (fork_flags & image_or_same == 0) & (*next >= DATA_LONG);
            if one_block | (*id >= DATA_LONG) {
                return Ok(0);
            }
        }
        // By value, so that the record itself need not lie in memory.
        sum_images(self.bytes(), self.version).map_err(|cause| ReadError { lsn: self.lsn, kind: cause.into() })
    }
}

/// Bytes of images, by the headers of blocks.
#[inline(never)]
fn sum_images(record: &[u8], version: Version) -> Result<u32, Malformed> {
    /// `blkno`, and what is before it if the relation is not that of the block before.
    const NUMBER: usize = 4;
    const LOCATOR_AND_NUMBER: usize = 12 + NUMBER;

    let mut cursor = Cursor::new(record.get(RecordHeader::SIZE..).unwrap_or_default());
    let mut images = 0u32;
    // What the headers promise to follow them.
    let mut data = 0usize;
    while cursor.rest().len() > data {
        match cursor.u8("block_id")? {
            id if id <= MAX_BLOCK_ID => {
                let [fork_flags, a, b] = cursor.array("block header")?;
                let flags = BlockFlags::from_bits_retain(fork_flags);
                data = data.saturating_add(usize::from(u16::from_le_bytes([a, b])));
                if flags.contains(BlockFlags::HAS_IMAGE) {
                    let [a, b, _, _, info] = cursor.array("image header")?;
                    let length = u16::from_le_bytes([a, b]);
                    images = images.saturating_add(u32::from(length));
                    data = data.saturating_add(usize::from(length));
                    if Image::flags(info, version).1.is_some() && info & Image::HAS_HOLE != 0 {
                        cursor.skip("hole_length", 2)?;
                    }
                }
                let same = flags.contains(BlockFlags::SAME_RELATION);
                cursor.skip("blkno", if same { NUMBER } else { LOCATOR_AND_NUMBER })?;
            }
            // The main data's header is the last.
            DATA_SHORT | DATA_LONG => break,
            ORIGIN => cursor.skip("record_origin", 2)?,
            TOPLEVEL_XID => cursor.skip("toplevel_xid", 4)?,
            id => return Err(Malformed::Invalid { field: "block_id", value: u64::from(id) }),
        }
    }
    Ok(images)
}
