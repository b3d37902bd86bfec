//! The bytes of one segment, whichever way they are read.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::compression::{Decompressor, FileCompression};
use super::mapped::{self, MappedSegment};
use super::segment_list::{Choice, SegmentFile};
use crate::source::SourceError;

/// How much is read at once, in bytes: enough that no record needs to be asked for twice, little enough to stay in
/// the processor's cache.
const CHUNK: usize = 256 * 1024;

/// The bytes of one segment, of which a piece is in memory at a time: [`SegmentBytes::load`] brings another.
#[derive(Debug)]
pub(super) struct SegmentBytes {
    path: PathBuf,
    way: Way,
    /// Where what is in memory begins.
    begin: u32,
    /// End of what may be read.
    limit: u32,
}

/// How they are read.
#[derive(Debug)]
enum Way {
    /// Copied by the system. Right for every plain file, whoever writes it meanwhile.
    Copied { file: File, buffer: Vec<u8> },
    /// Mapped: without a copy, but only where nobody writes.
    Mapped(MappedSegment),
    /// Decompressed on the way, forward; to go back means to begin anew.
    Decompressed { compression: FileCompression, partial: bool, stream: Decompressor, at: u32, buffer: Vec<u8> },
}

impl SegmentBytes {
    /// Opens the chosen file for the bytes before `limit`.
    pub(super) fn open(choice: &Choice, segment_size: u32, limit: u32, memory_map: bool) -> Result<Self, SourceError> {
        let SegmentFile { compression, partial, .. } = choice.file;
        let path = choice.file.path();
        let way = match compression {
            Some(compression) => {
                let stream = compression.open(&path)?;
                Way::Decompressed { compression, partial, stream, at: 0, buffer: Vec::new() }
            }
            None => {
                let io = |cause| SourceError::Io { path: path.clone(), cause };
                let file = File::open(&path).map_err(io)?;
                let length = file.metadata().map_err(io)?.len();
                if memory_map && mapped::nobody_writes(choice, length, segment_size) {
                    Way::Mapped(MappedSegment::new(file, segment_size))
                } else {
                    Way::Copied { file, buffer: Vec::new() }
                }
            }
        };
        Ok(Self { path, way, begin: 0, limit })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Offset in the segment of the first of [`SegmentBytes::bytes`].
    #[inline]
    pub(super) fn begin(&self) -> u32 {
        self.begin
    }

    /// What is in memory.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.way {
            Way::Mapped(mapped) => mapped.bytes(),
            Way::Copied { buffer, .. } | Way::Decompressed { buffer, .. } => buffer,
        }
    }

    /// Whether the bytes may be zeroes that the file never held, because it was cut under its map.
    #[inline]
    pub(super) fn shrank(&self) -> bool {
        matches!(&self.way, Way::Mapped(mapped) if mapped.shrank())
    }

    #[cfg(test)]
    pub(super) fn is_mapped(&self) -> bool {
        matches!(self.way, Way::Mapped(_))
    }

    /// Forgets what is in memory.
    pub(super) fn clear(&mut self) {
        match &mut self.way {
            Way::Mapped(mapped) => mapped.clear(),
            Way::Copied { buffer, .. } | Way::Decompressed { buffer, .. } => buffer.clear(),
        }
    }

    /// Brings the bytes from `offset` on into memory, as the file has them now. Returns how many there are from there;
    /// zero at the end of the file, or at the limit.
    pub(super) fn load(&mut self, offset: u32) -> Result<usize, SourceError> {
        let left = self.limit.saturating_sub(offset) as usize;
        if left == 0 {
            self.clear();
            return Ok(0);
        }
        self.begin = offset;
        match &mut self.way {
            Way::Copied { file, buffer } => {
                buffer.resize(CHUNK.min(left), 0);
                let read = read_at(file, buffer, u64::from(offset));
                buffer.truncate(read.map_err(|cause| SourceError::Io { path: self.path.clone(), cause })?);
                Ok(buffer.len())
            }
            Way::Mapped(mapped) => match mapped.load(offset, self.limit) {
                Ok(Some(begin)) => {
                    self.begin = begin;
                    Ok(mapped.bytes().len().saturating_sub((offset - begin) as usize))
                }
                // Copying shows what is left of it.
                Ok(None) => Err(SourceError::Shrank(self.path.clone())),
                Err(_) => {
                    // The system does not want to map it: then it is read.
                    let file = mapped.file().map_err(|cause| SourceError::Io { path: self.path.clone(), cause })?;
                    self.way = Way::Copied { file, buffer: Vec::new() };
                    self.load(offset)
                }
            },
            Way::Decompressed { compression, partial, stream, at, buffer } => {
                if offset < *at {
                    (*stream, *at) = (compression.open(&self.path)?, 0);
                }
                let skip = u64::from(offset - *at);
                let read = io::copy(&mut stream.by_ref().take(skip), &mut io::sink()).and_then(|skipped| {
                    buffer.clear();
                    let wanted = if skipped < skip { 0 } else { CHUNK.min(left) };
                    let read = stream.by_ref().take(wanted as u64).read_to_end(buffer)?;
                    // What stands behind the last byte tells whether all of them are right.
                    if read == left { stream.read(&mut [0]) } else { Ok(read) }
                });
                match read {
                    Ok(_) => {}
                    // Whoever wrote it was interrupted, as the name says: what there is counts.
                    Err(error) if *partial && error.kind() == io::ErrorKind::UnexpectedEof => {}
                    Err(cause) => {
                        buffer.clear();
                        return Err(SourceError::Compressed { path: self.path.clone(), cause });
                    }
                }
                *at = offset + u32::try_from(buffer.len()).unwrap_or(u32::MAX);
                Ok(buffer.len())
            }
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
