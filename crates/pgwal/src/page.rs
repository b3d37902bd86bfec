//! The header of a WAL page. Source: `src/include/access/xlog_internal.h`: `XLogPageHeaderData`, `XLogLongPageHeaderData`.

use crate::cursor::Cursor;
use crate::error::Malformed;
use crate::ids::TimelineId;
use crate::lsn::Lsn;

bitflags::bitflags! {
    /// Flags of a WAL page (`xlp_info`). Unknown bits are kept.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct PageFlags: u16 {
        /// The page begins with the rest of a record (`XLP_FIRST_IS_CONTRECORD`).
        const FIRST_IS_CONTINUATION = 0x0001;
        /// The header is a [`LongPageHeader`] (`XLP_LONG_HEADER`).
        const LONG_HEADER = 0x0002;
        /// Full-page images on this page may be left out by a compressor (`XLP_BKP_REMOVABLE`).
        const IMAGES_REMOVABLE = 0x0004;
        /// The record whose rest should be here was given up; another begins (`XLP_FIRST_IS_OVERWRITE_CONTRECORD`).
        const FIRST_IS_OVERWRITE = 0x0008;
        const _ = !0;
    }
}

impl PageFlags {
    /// `XLP_ALL_FLAGS`.
    const KNOWN: u16 = 0x000F;

    /// Whether there are bits that no version defines.
    #[must_use]
    pub const fn has_unknown(self) -> bool {
        self.bits() & !Self::KNOWN != 0
    }
}

/// What every WAL page begins with (24 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageHeader {
    /// Tells the major version (`xlp_magic`).
    pub magic: u16,
    /// `xlp_info`.
    pub flags: PageFlags,
    /// Timeline of the first record on the page (`xlp_tli`).
    pub timeline: TimelineId,
    /// Where the page is in the log (`xlp_pageaddr`).
    pub address: Lsn,
    /// Bytes of the record that began on an earlier page and goes on here (`xlp_rem_len`).
    pub remaining: u32,
}

impl PageHeader {
    /// Size in bytes, with C's padding.
    pub const SIZE: usize = 24;

    /// Reads one from the beginning of a page.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer than [`PageHeader::SIZE`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::parse_from(&mut Cursor::new(bytes))
    }

    fn parse_from(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let header = Self {
            magic: cursor.u16("xlp_magic")?,
            flags: PageFlags::from_bits_retain(cursor.u16("xlp_info")?),
            timeline: TimelineId::new(cursor.u32("xlp_tli")?),
            address: Lsn::new(cursor.u64("xlp_pageaddr")?),
            remaining: cursor.u32("xlp_rem_len")?,
        };
        cursor.skip("padding", 4)?;
        Ok(header)
    }

    /// Size of this page's header in bytes: 24, or 40 at the beginning of a segment.
    #[must_use]
    pub const fn size(&self) -> usize {
        if self.flags.contains(PageFlags::LONG_HEADER) { LongPageHeader::SIZE } else { Self::SIZE }
    }
}

/// What the first page of a segment begins with (40 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongPageHeader {
    /// The part that every page has.
    pub page: PageHeader,
    /// The cluster's identifier as in `pg_control` (`xlp_sysid`).
    pub system_identifier: u64,
    /// Size of a segment in bytes (`xlp_seg_size`).
    pub segment_size: u32,
    /// Size of a WAL page in bytes (`xlp_xlog_blcksz`).
    pub block_size: u32,
}

impl LongPageHeader {
    /// Size in bytes.
    pub const SIZE: usize = 40;

    /// Reads one from the beginning of a segment.
    ///
    /// # Errors
    /// [`Malformed`] if there are fewer than [`LongPageHeader::SIZE`] bytes or the page has no long header.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let page = PageHeader::parse_from(&mut cursor)?;
        if !page.flags.contains(PageFlags::LONG_HEADER) {
            return Err(Malformed::Invalid { field: "xlp_info", value: u64::from(page.flags.bits()) });
        }
        Ok(Self {
            page,
            system_identifier: cursor.u64("xlp_sysid")?,
            segment_size: cursor.u32("xlp_seg_size")?,
            block_size: cursor.u32("xlp_xlog_blcksz")?,
        })
    }

    /// Whether segment and page size are such as PostgreSQL can have (`IsValidWalSegSize`).
    #[must_use]
    pub const fn sizes_are_valid(&self) -> bool {
        let segment = self.segment_size;
        let block = self.block_size;
        segment.is_power_of_two()
            && segment >= 1024 * 1024
            && segment <= 1024 * 1024 * 1024
            && block.is_power_of_two()
            && block >= 1024
            && block <= 65536
    }
}
