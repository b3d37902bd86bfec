//! Full-page images. Source: `src/include/access/xlogrecord.h`: `XLogRecordBlockImageHeader`,
//! `src/backend/access/transam/xlogreader.c`: `RestoreBlockImage`.

use crate::version::Version;

/// How an image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// PostgreSQL's own method.
    Pglz,
    /// LZ4, one block.
    Lz4,
    /// Zstandard, one frame.
    Zstd,
    /// A method that is not known here.
    Unknown,
}

impl Compression {
    /// Its name as in `wal_compression`; `unknown` for one that is not known here.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pglz => "pglz",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
            Self::Unknown => "unknown",
        }
    }
}

/// A copy of a page inside of a record, without the hole between its line pointers and its tuples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image<'a> {
    /// The bytes as they are in the record, compressed or not.
    pub bytes: &'a [u8],
    /// Where the hole begins, in bytes from the beginning of the page.
    pub hole_offset: u16,
    /// Length of the hole in bytes; zero without one.
    pub hole_length: u16,
    /// `bimg_info` as it is in the record.
    pub info: u8,
    /// How the bytes are compressed.
    pub compression: Option<Compression>,
    /// Whether redo restores the page from this image. If not, it is there to check redo by
    /// (`wal_consistency_checking`).
    pub apply: bool,
}

impl<'a> Image<'a> {
    /// `BKPIMAGE_HAS_HOLE`.
    pub(crate) const HAS_HOLE: u8 = 0x01;

    /// Makes sense of the image header's `info` by `version`: the bits changed with 15.
    #[must_use]
    pub fn new(bytes: &'a [u8], hole_offset: u16, hole_length: u16, info: u8, version: Version) -> Self {
        let (apply, compression) = Self::flags(info, version);
        Self { bytes, hole_offset, hole_length, info, compression, apply }
    }

    /// Whether the image is to be applied, and its compression.
    pub(crate) const fn flags(info: u8, version: Version) -> (bool, Option<Compression>) {
        if (version as u8) < (Version::V15 as u8) {
            // 14 and older: IS_COMPRESSED 2, APPLY 4.
            return (info & 0x04 != 0, if info & 0x02 != 0 { Some(Compression::Pglz) } else { None });
        }
        let compression = match info & 0x1C {
            0 => None,
            bits if bits & 0x04 != 0 => Some(Compression::Pglz),
            bits if bits & 0x08 != 0 => Some(Compression::Lz4),
            _ => Some(Compression::Zstd),
        };
        (info & 0x02 != 0, compression)
    }

    /// Writes the whole page, hole included, into `page`, whose length is the size of a data page in bytes.
    ///
    /// # Errors
    /// [`ImageError`] if the image does not decompress or does not fill the page exactly. The content of `page` is
    /// undefined then.
    pub fn restore(&self, page: &mut [u8]) -> Result<(), ImageError> {
        let page_size = page.len();
        let hole_offset = usize::from(self.hole_offset);
        let hole_length = usize::from(self.hole_length);
        let stored = page_size.checked_sub(hole_length).filter(|stored| hole_offset <= *stored);
        let stored = stored.ok_or(ImageError::Hole { offset: self.hole_offset, length: self.hole_length })?;

        // What is stored is put at the beginning of the page; what belongs behind the hole is moved there.
        let target = page.get_mut(..stored).unwrap_or_default();
        let written = match self.compression {
            None => {
                if self.bytes.len() != stored {
                    return Err(ImageError::Length { expected: stored, found: self.bytes.len() });
                }
                target.copy_from_slice(self.bytes);
                stored
            }
            #[cfg(feature = "pglz")]
            Some(Compression::Pglz) => {
                pglz::decompress_into(self.bytes, target, true).ok_or(ImageError::Compression(Compression::Pglz))?
            }
            #[cfg(feature = "lz4")]
            Some(Compression::Lz4) => lz4_flex::block::decompress_into(self.bytes, target)
                .map_err(|_| ImageError::Compression(Compression::Lz4))?,
            #[cfg(feature = "zstd")]
            Some(Compression::Zstd) => zstd::bulk::decompress_to_buffer(self.bytes, target)
                .map_err(|_| ImageError::Compression(Compression::Zstd))?,
            // Or one whose feature is switched off.
            Some(unknown) => return Err(ImageError::NotSupported(unknown)),
        };
        if written != stored {
            return Err(ImageError::Length { expected: stored, found: written });
        }
        if hole_length > 0 {
            page.copy_within(hole_offset..stored, hole_offset.saturating_add(hole_length));
            page.get_mut(hole_offset..hole_offset.saturating_add(hole_length)).unwrap_or_default().fill(0);
        }
        Ok(())
    }
}

/// An image cannot be turned into a page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The hole does not lie within the page.
    #[error("hole of {length} bytes at offset {offset} is not inside of the page")]
    Hole {
        /// Where the hole should begin.
        offset: u16,
        /// Its length.
        length: u16,
    },
    /// The bytes do not fill the page.
    #[error("image holds {found} bytes, expected {expected}")]
    Length {
        /// Bytes of the page without its hole.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// The bytes cannot be decompressed.
    #[error("could not decompress image ({})", .0.name())]
    Compression(Compression),
    /// The method is not known, or the feature of this crate that it needs is switched off.
    #[error("image is compressed with {}, which is not supported here", .0.name())]
    NotSupported(Compression),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[cfg(all(feature = "lz4", feature = "pglz", feature = "zstd"))]
    fn page(hole: std::ops::Range<usize>) -> Vec<u8> {
        (0..8192).map(|at| if hole.contains(&at) { 0 } else { (at / 7 % 251) as u8 }).collect()
    }

    #[cfg(all(feature = "lz4", feature = "pglz", feature = "zstd"))]
    fn without(page: &[u8], hole: std::ops::Range<usize>) -> Vec<u8> {
        [&page[..hole.start], &page[hole.end..]].concat()
    }

    #[cfg(all(feature = "lz4", feature = "pglz", feature = "zstd"))]
    #[test]
    fn each_compression_gives_the_page_back() {
        let hole = 100..4000;
        let page = page(hole.clone());
        let stored = without(&page, hole);
        let cases = [
            (0x03, stored.clone()),
            (0x07, pglz::compress(&stored, &pglz::Strategy::ALWAYS).unwrap()),
            (0x0B, lz4_flex::block::compress(&stored)),
            (0x13, zstd::bulk::compress(&stored, 3).unwrap()),
        ];
        for (info, bytes) in cases {
            let mut restored = vec![0xEE; 8192];
            let image = Image::new(&bytes, 100, 3900, info, Version::V15);
            image.restore(&mut restored).unwrap();
            assert!(restored == page, "info {info:02X}");
            // A byte less is an error, not a shorter page.
            let image = Image::new(&bytes[..bytes.len() - 1], 100, 3900, info, Version::V15);
            assert!(image.restore(&mut restored).is_err(), "info {info:02X}");
        }
    }

    #[test]
    fn a_method_that_is_not_there_says_so() {
        let image = Image { compression: Some(Compression::Unknown), ..Image::new(&[], 0, 0, 0, Version::V15) };
        let error = image.restore(&mut [0; 8192]).unwrap_err();
        assert_eq!(error.to_string(), "image is compressed with unknown, which is not supported here");
        let zstd = Image::new(&[1, 2, 3], 0, 0, 0x12, Version::V15).restore(&mut [0; 8192]).unwrap_err();
        let expected = if cfg!(feature = "zstd") {
            ImageError::Compression(Compression::Zstd)
        } else {
            ImageError::NotSupported(Compression::Zstd)
        };
        assert_eq!(zstd, expected);
    }

    #[test]
    fn the_bits_of_14_are_not_those_of_15() {
        assert_eq!(Image::flags(0x02, Version::V14), (false, Some(Compression::Pglz)));
        assert_eq!(Image::flags(0x02, Version::V15), (true, None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), offset: u16, length: u16, info: u8) {
            let mut page = vec![0; 8192];
            let _ = Image::new(&bytes, offset, length, info, Version::V15).restore(&mut page);
        }
    }
}
