//! A record that the server's reader decoded, seen as a [`pgwal::Record`].

use pgrx::pg_sys;
use pgwal::{Block, BlockFlags, BlockNumber, Fork, Image, Lsn, OriginId, Record, RelFileLocator, RmgrId, Version};

use crate::transaction_id;

/// The major version that this library was built for.
pub const SERVER_VERSION: Version = if cfg!(feature = "pg15") {
    Version::V15
} else if cfg!(feature = "pg16") {
    Version::V16
} else if cfg!(feature = "pg17") {
    Version::V17
} else {
    Version::V18
};

/// The bytes at `start`; none if `start` is null or `length` zero.
///
/// # Safety
/// `start` is null or points to `length` bytes that live as long as `'a` and are not written to.
pub unsafe fn bytes<'a>(start: *const std::ffi::c_char, length: usize) -> &'a [u8] {
    if start.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(start.cast(), length) }
}

#[cfg(feature = "pg15")]
pub(crate) fn locator(block: &pg_sys::DecodedBkpBlock) -> RelFileLocator {
    let node = &block.rnode;
    RelFileLocator::new(node.spcNode.to_u32(), node.dbNode.to_u32(), node.relNode.to_u32())
}

#[cfg(not(feature = "pg15"))]
pub(crate) fn locator(block: &pg_sys::DecodedBkpBlock) -> RelFileLocator {
    let locator = &block.rlocator;
    RelFileLocator::new(locator.spcOid.to_u32(), locator.dbOid.to_u32(), locator.relNumber.to_u32())
}

/// The blocks of the record that the reader read last, by their numbers; those that the record has not are not in use.
///
/// # Safety
/// As [`view`].
#[inline]
pub(crate) unsafe fn decoded_blocks<'a>(reader: *const pg_sys::XLogReaderState) -> &'a [pg_sys::DecodedBkpBlock] {
    // SAFETY: the caller promises a decoded record. The reader keeps max_block_id + 1 entries behind its fixed part.
    unsafe {
        let decoded = (*reader).record;
        let count = usize::try_from((*decoded).max_block_id + 1).unwrap_or_default();
        std::slice::from_raw_parts((&raw const (*decoded).blocks).cast(), count)
    }
}

/// The data of a block.
///
/// # Safety
/// It is one of [`decoded_blocks`], whose reader reads no other record as long as `'a` lives.
#[inline]
pub(crate) unsafe fn block_data<'a>(block: &pg_sys::DecodedBkpBlock) -> &'a [u8] {
    // SAFETY: it is in the reader's buffers with this length.
    if block.has_data { unsafe { bytes(block.data, usize::from(block.data_len)) } } else { &[] }
}

/// The record that the reader read last, without copying it.
///
/// Source: `src/include/access/xlogreader.h`: `DecodedXLogRecord`, `DecodedBkpBlock`.
///
/// # Safety
/// `reader` is a valid `XLogReaderState` whose last call of `XLogReadRecord` gave a record, and no other call reads
/// with it as long as `'a` lives.
#[inline]
pub unsafe fn view<'a>(reader: *const pg_sys::XLogReaderState) -> Record<'a> {
    // SAFETY: the caller promises a valid reader with a decoded record, whose parts live in the reader's buffers.
    let (reader, decoded) = unsafe { (&*reader, &*(*reader).record) };
    let header = &decoded.header;
    let view_block = |(id, block): (usize, &pg_sys::DecodedBkpBlock)| {
        // SAFETY: image and data are in the reader's buffers with these lengths.
        let (image, data) = unsafe { (bytes(block.bkp_image, usize::from(block.bimg_len)), block_data(block)) };
        Block {
            id: id as u8,
            flags: BlockFlags::from_bits_truncate(block.flags),
            relation: locator(block),
            fork: Fork::new(block.forknum as u8),
            number: BlockNumber::new(block.blkno),
            data,
            image: block
                .has_image
                .then(|| Image::new(image, block.hole_offset, block.hole_length, block.bimg_info, SERVER_VERSION)),
        }
    };
    let top_xid = transaction_id(decoded.toplevel_xid);
    let mut record = Record {
        lsn: Lsn::new(reader.ReadRecPtr),
        end: Lsn::new(reader.EndRecPtr),
        prev: Lsn::new(header.xl_prev),
        total_len: header.xl_tot_len,
        xid: transaction_id(header.xl_xid),
        top_xid: top_xid.is_valid().then_some(top_xid),
        origin: (decoded.record_origin != 0).then(|| OriginId::new(decoded.record_origin)),
        rmgr: RmgrId::new(header.xl_rmid),
        info: header.xl_info,
        version: SERVER_VERSION,
        // SAFETY: the main data is in the reader's buffers with this length.
        main_data: unsafe { bytes(decoded.main_data, decoded.main_data_len as usize) },
        blocks: Default::default(),
    };
    // Where they will stay, for they are large.
    // SAFETY: promised by the caller.
    for block in unsafe { decoded_blocks(reader) }.iter().enumerate().filter(|(_, block)| block.in_use) {
        record.blocks.push(view_block(block));
    }
    record
}
