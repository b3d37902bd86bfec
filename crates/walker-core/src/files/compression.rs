//! Compressed files: how they are named, and reading them forward.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::source::SourceError;

/// How a file is compressed, by its ending. In the order of preference: what is faster to read comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FileCompression {
    Lz4,
    Zstd,
    Gzip,
}

impl FileCompression {
    /// The compression that an ending (without its dot) stands for.
    pub(super) fn from_ending(ending: &str) -> Option<Self> {
        match ending {
            "lz4" => Some(Self::Lz4),
            "zst" => Some(Self::Zstd),
            "gz" => Some(Self::Gzip),
            _ => None,
        }
    }

    /// Opens a file to read what it was before it was compressed, from its beginning.
    pub(super) fn open(self, path: &Path) -> Result<Decompressor, SourceError> {
        let io = |cause| SourceError::Io { path: path.to_owned(), cause };
        let file = BufReader::with_capacity(64 * 1024, File::open(path).map_err(io)?);
        Ok(match self {
            Self::Lz4 => Decompressor::Lz4(Box::new(lz4_flex::frame::FrameDecoder::new(file))),
            Self::Zstd => Decompressor::Zstd(zstd::Decoder::with_buffer(file).map_err(io)?),
            Self::Gzip => Decompressor::Gzip(Box::new(MultiGzDecoder::new(file))),
        })
    }

    /// The whole of a file that must be small.
    pub(super) fn read_small(self, path: &Path) -> Result<Vec<u8>, SourceError> {
        const LARGEST: u64 = 1024 * 1024;
        let mut content = Vec::new();
        let read = self.open(path)?.take(LARGEST).read_to_end(&mut content);
        read.map_err(|cause| SourceError::Compressed { path: path.to_owned(), cause })?;
        Ok(content)
    }
}

/// Reads a compressed file. The memory it takes does not depend on the file's size.
pub(super) enum Decompressor {
    Lz4(Box<lz4_flex::frame::FrameDecoder<BufReader<File>>>),
    Zstd(zstd::Decoder<'static, BufReader<File>>),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Lz4(_) => "Lz4",
            Self::Zstd(_) => "Zstd",
            Self::Gzip(_) => "Gzip",
        })
    }
}

impl Read for Decompressor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Zstd(decoder) => decoder.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Lz4(decoder) => loop {
                // It stops at the end of each frame, of which a file may have several.
                let read = decoder.read(buffer)?;
                if read > 0 || buffer.is_empty() || decoder.get_mut().fill_buf()?.is_empty() {
                    return Ok(read);
                }
            },
        }
    }
}
