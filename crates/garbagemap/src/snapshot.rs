//! The file in which a map is kept over a restart.
//!
//! ```text
//! 0   "WALKGMAP"
//! 8   format            u32, little endian as all that follow
//! 12  system identifier u64
//! 20  timeline          u32
//! 24  position          u64
//! 32  the map, as postcard writes it
//! -4  CRC-32C of all before
//! ```

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, Digest};
use pgwal::{Lsn, TimelineId};
use walker_core::LogPosition;

use crate::map::GarbageMap;

const MAGIC: [u8; 8] = *b"WALKGMAP";
/// Grows with each change of what is written.
const FORMAT: u32 = 2;
const HEADER: usize = 32;
const CHECKSUM: u64 = 4;

/// A map could not be written, or not be read back.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The system could not do something with the file.
    #[error("could not {what} file \"{}\": {cause}", path.display())]
    Io {
        /// What.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file is not what was written.
    #[error("file \"{}\" is damaged: {cause}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The file was written by another version.
    #[error("file \"{}\" has format {found}, and this version reads format {FORMAT}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The map cannot be written.
    #[error("could not write file \"{}\": {cause}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: postcard::Error,
    },
}

/// Writes the map as it is at `position` to `path`: what was there stays until the new file is safe on disk.
///
/// # Errors
/// [`SnapshotError::Io`] or [`SnapshotError::Encode`]; then what was there still is.
pub fn write(path: &Path, position: &LogPosition, map: &GarbageMap) -> Result<(), SnapshotError> {
    let io = |what| move |cause| SnapshotError::Io { what, path: path.to_owned(), cause };
    let temporary = path.with_extension("tmp");
    let written = write_to(&temporary, path, position, map);
    let renamed = written.and_then(|()| fs::rename(&temporary, path).map_err(io("rename to")));
    if let Err(error) = renamed {
        // It may fill a disk that is full; if it cannot be removed, the next one takes its place.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    // The new name, too, must be on disk.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io("fsync the directory of"))
}

fn write_to(temporary: &Path, path: &Path, position: &LogPosition, map: &GarbageMap) -> Result<(), SnapshotError> {
    let io = |what| move |cause| SnapshotError::Io { what, path: temporary.to_owned(), cause };
    let file = File::create(temporary).map_err(io("create"))?;
    let mut summing = Summing { digest: Digest::new(CrcAlgorithm::Crc32Iscsi), inner: file };
    let mut output = BufWriter::with_capacity(256 * 1024, &mut summing);
    output.write_all(&header(position)).map_err(io("write"))?;
    let output =
        postcard::to_io(map, output).map_err(|cause| SnapshotError::Encode { path: path.to_owned(), cause })?;
    output.into_inner().map_err(|error| io("write")(error.into_error()))?;
    let Summing { digest, inner: mut file } = summing;
    file.write_all(&checksum(&digest)).map_err(io("write"))?;
    file.sync_all().map_err(io("fsync"))
}

/// Reads what [`write()`] has written; `None` if there is no file.
///
/// # Errors
/// [`SnapshotError::Io`], [`SnapshotError::Damaged`] or [`SnapshotError::Format`].
pub fn read(path: &Path) -> Result<Option<(LogPosition, GarbageMap)>, SnapshotError> {
    let io = |cause| SnapshotError::Io { what: "read", path: path.to_owned(), cause };
    let damaged = |cause: String| SnapshotError::Damaged { path: path.to_owned(), cause };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let length = file.metadata().map_err(io)?.len();
    let Some(body) = length.checked_sub(HEADER as u64 + CHECKSUM) else {
        return Err(damaged(format!("it has only {length} bytes")));
    };
    verify(&file, length).map_err(io)?.map_err(damaged)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(io)?;
    let position = parse_header(&header, path)?;
    let mut input = BufReader::with_capacity(256 * 1024, file).take(body);
    let (map, (rest, _)) = postcard::from_io((&mut input, &mut [0; 16]))
        .map_err(|error| damaged(format!("its content cannot be decoded: {error}")))?;
    if rest.limit() > 0 {
        return Err(damaged(format!("{} bytes follow its content", rest.limit())));
    }
    Ok(Some((position, map)))
}

/// Whether the last bytes are the checksum of all others; if not, why.
fn verify(file: &File, length: u64) -> io::Result<Result<(), String>> {
    let mut input = BufReader::with_capacity(256 * 1024, file);
    let mut summing = Summing { digest: Digest::new(CrcAlgorithm::Crc32Iscsi), inner: io::sink() };
    io::copy(&mut input.by_ref().take(length - CHECKSUM), &mut summing)?;
    let mut expected = [0; CHECKSUM as usize];
    input.read_exact(&mut expected)?;
    let same = checksum(&summing.digest) == expected;
    Ok(if same { Ok(()) } else { Err("its checksum does not match its content".to_owned()) })
}

fn checksum(digest: &Digest) -> [u8; CHECKSUM as usize] {
    // The algorithm has 32 bits.
    #[allow(clippy::cast_possible_truncation)]
    (digest.finalize() as u32).to_le_bytes()
}

fn header(position: &LogPosition) -> Vec<u8> {
    let LogPosition { system_identifier, timeline, lsn } = position;
    let mut header = Vec::with_capacity(HEADER);
    header.extend(MAGIC);
    header.extend(FORMAT.to_le_bytes());
    header.extend(system_identifier.to_le_bytes());
    header.extend(timeline.get().to_le_bytes());
    header.extend(lsn.get().to_le_bytes());
    header
}

fn parse_header(header: &[u8; HEADER], path: &Path) -> Result<LogPosition, SnapshotError> {
    let four = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|place| header[at + place]));
    let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
    if header[..8] != MAGIC {
        let cause = "it does not begin as a garbage map does".to_owned();
        return Err(SnapshotError::Damaged { path: path.to_owned(), cause });
    }
    match four(8) {
        FORMAT => {}
        found => return Err(SnapshotError::Format { path: path.to_owned(), found }),
    }
    let timeline = TimelineId::new(four(20));
    Ok(LogPosition { system_identifier: eight(12), timeline, lsn: Lsn::new(eight(24)) })
}

/// Sums up what is written through it.
struct Summing<W> {
    digest: Digest,
    inner: W,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: LogPosition = LogPosition {
        system_identifier: 0x1234_5678_9ABC_DEF0,
        timeline: TimelineId::new(7),
        lsn: Lsn::new(0x1_2345_6789),
    };

    fn read_error(path: &Path) -> String {
        read(path).unwrap_err().to_string()
    }

    #[test]
    fn what_was_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("map.snapshot");
        assert!(read(&path).unwrap().is_none());
        let mut map = GarbageMap::new();
        map.set_wal_level_minimal(true);
        write(&path, &POSITION, &map).unwrap();
        let (position, read_back) = read(&path).unwrap().unwrap();
        assert_eq!(position, POSITION);
        assert_eq!(format!("{read_back:?}"), format!("{map:?}"));
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["map.snapshot"]);
    }

    #[test]
    fn each_changed_byte_and_each_cut_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("map.snapshot");
        write(&path, &POSITION, &GarbageMap::new()).unwrap();
        let whole = fs::read(&path).unwrap();
        for index in 0..whole.len() {
            let mut changed = whole.clone();
            changed[index] ^= 0x20;
            fs::write(&path, &changed).unwrap();
            assert!(read_error(&path).contains("checksum does not match"), "byte {index}");
            fs::write(&path, &whole[..index]).unwrap();
            assert!(read_error(&path).contains("is damaged"), "cut at {index}");
        }
    }

    #[test]
    fn another_format_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("map.snapshot");
        write(&path, &POSITION, &GarbageMap::new()).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[8] = 9;
        let end = bytes.len() - 4;
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&bytes[..end]);
        bytes[end..].copy_from_slice(&checksum(&digest));
        fs::write(&path, &bytes).unwrap();
        assert!(read_error(&path).contains("has format 9, and this version reads format 2"));
    }

    #[test]
    fn if_it_cannot_be_written_what_was_there_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("map.snapshot");
        write(&path, &POSITION, &GarbageMap::new()).unwrap();
        // The temporary file cannot be made.
        fs::create_dir(path.with_extension("tmp")).unwrap();
        let later = LogPosition { lsn: Lsn::new(9 << 32), ..POSITION };
        assert!(write(&path, &later, &GarbageMap::new()).unwrap_err().to_string().starts_with("could not create file"));
        assert_eq!(read(&path).unwrap().unwrap().0, POSITION);
    }
}
