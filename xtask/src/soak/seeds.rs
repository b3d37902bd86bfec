//! What fuzzing begins with: else it takes long to find out what a record looks like.
//!
//! One input for each kind of record there is, and on request pieces of real logs.

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use pgwal::{
    Compression, Image, LongPageHeader, RawRecord, Reader, ReaderOptions, Record, RmgrId, SegmentName, Version,
};

/// Most seeds for each kind of record or of compression.
const OF_A_KIND: u32 = 3;
/// Pages of a real log in one seed, in bytes.
const PAGES: usize = 2 * 8192;

/// A corpus that is filled.
pub(super) struct Seeds {
    /// A directory for each target is in it.
    directory: PathBuf,
    /// How many there are of each kind, by target and what makes the kind.
    taken: HashMap<(&'static str, u32), u32>,
    written: u32,
}

impl Seeds {
    /// Those that need nothing else, added to the corpus in `directory`.
    pub(super) fn plant(directory: &Path) -> Result<Self> {
        let mut seeds = Self { directory: directory.to_owned(), taken: HashMap::new(), written: 0 };
        for (number, version) in (0u8..).zip(Version::ALL) {
            for rmgr in RmgrId::BUILT_IN {
                let infos = (0..=15u8).map(|operation| operation << 4);
                for info in infos.filter(|info| rmgr.identify(*info, version).is_some()) {
                    // One block; as much main data as data of the block.
                    let mut seed = vec![number, rmgr.get(), info, 1, 64, 0];
                    seed.resize(seed.len() + 128, 1);
                    let name = format!("kind-{version}-{}-{info:02x}", rmgr.get());
                    seeds.write("describe", &name, &seed)?;
                }
            }
        }
        // An initialised page of an earlier LSN, and a region of four bytes behind its header.
        let header = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0xF0, 0x1F, 0xF0, 0x1F, 4, 0x20, 0, 0, 0, 0];
        let region = [24, 0, 4, 0, 1, 2, 3, 4];
        seeds.write("redo", "region", &[&[1, 0, 0, 0, 0, 0], &header[..], &region].concat())?;
        // The same page as an image, whole and with a hole.
        seeds.write("redo", "image", &[&[1 | 2 | 4, 0, 0, 0, 0, 2], &header[..], &[7; 8192]].concat())?;
        seeds.write("redo", "hole", &[&[1 | 2, 0, 0, 200, 0, 3], &header[..], &[7; 8092]].concat())?;
        seeds.write("timeline_history", "two", b"1\t0/3000158\tno recovery target specified\n2\t0/5000000\t\n")?;
        Ok(seeds)
    }

    /// Those from the segments in `logs`, which are read and left as they are.
    pub(super) fn take_from(&mut self, logs: &Path) -> Result<u32> {
        let before = self.written;
        for entry in fs::read_dir(logs).with_context(|| format!("cannot list {}", logs.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.parse::<SegmentName>().is_ok()) {
                let path = entry.path();
                let segment = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                self.take_from_segment(&segment)?;
            }
        }
        ensure!(self.written > before, "there is no WAL in {}", logs.display());
        Ok(self.written - before)
    }

    fn take_from_segment(&mut self, segment: &[u8]) -> Result<()> {
        let Ok(header) = LongPageHeader::parse(segment) else { return Ok(()) };
        let mut reader = Reader::seek(header.page.address, ReaderOptions::from_segment(&header));
        let mut failure = Ok(());
        // How the log ends does not matter here.
        let _ = reader.for_each(None, segment, &mut |record: &RawRecord<'_>| {
            failure = self.take_record(record);
            if failure.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        failure?;
        let version = reader.version().and_then(number_of).unwrap_or_default();
        for (number, pages) in segment.chunks_exact(PAGES).enumerate().step_by(37).skip(1).take(4) {
            // From the first record of pages of 8 kB on, checksums verified or not, in pieces of 999 bytes.
            for switches in [1 | 2 | 4, 1 | 4] {
                let seed = [&[switches, 0, version, 0xE7, 3], pages].concat();
                self.write("reader", &format!("{}-{number}-{switches}", header.page.address.get()), &seed)?;
            }
        }
        Ok(())
    }

    fn take_record(&mut self, raw: &RawRecord<'_>) -> Result<()> {
        // Large ones teach nothing that small ones do not.
        if raw.bytes().len() > 10_000 {
            return Ok(());
        }
        let Ok(record) = raw.decode() else { return Ok(()) };
        let kind = u32::from(record.rmgr.get()) << 8 | u32::from(record.rmgr_info());
        if self.is_wanted("record", kind) {
            self.write("record", &format!("wal-{}", record.lsn.get()), raw.bytes())?;
            self.write("describe", &format!("wal-{}", record.lsn.get()), &describe_seed(&record))?;
        }
        for image in record.blocks.iter().filter_map(|block| block.image.as_ref()) {
            let compression = match image.compression {
                None => 0,
                Some(Compression::Pglz) => 1,
                Some(Compression::Lz4) => 2,
                Some(_) => 3,
            };
            if self.is_wanted("image", compression) {
                self.write("image", &format!("wal-{}", record.lsn.get()), &image_seed(image))?;
            }
        }
        Ok(())
    }

    fn is_wanted(&mut self, target: &'static str, kind: u32) -> bool {
        let taken = self.taken.entry((target, kind)).or_default();
        *taken += 1;
        *taken <= OF_A_KIND
    }

    fn write(&mut self, target: &str, name: &str, seed: &[u8]) -> Result<()> {
        let directory = self.directory.join(target);
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let path = directory.join(format!("seed-{name}"));
        self.written += 1;
        fs::write(&path, seed).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A record as the target `describe` takes it.
fn describe_seed(record: &Record<'_>) -> Vec<u8> {
    let blocks = record.blocks.len().min(3) as u8;
    let images = (0u8..).zip(record.blocks.iter().take(3)).filter(|(_, block)| block.image.is_some());
    let images = images.fold(0, |images, (number, _)| images | 4 << number);
    let [low, high] = (record.main_data.len().min(u16::MAX.into()) as u16).to_le_bytes();
    let version = number_of(record.version).unwrap_or_default();
    let mut seed = vec![version, record.rmgr.get(), record.info, blocks | images, low, high];
    seed.extend(record.main_data);
    // The target gives each block as much as any other.
    let longest = record.blocks.iter().take(3).map(|block| block.data.len()).max().unwrap_or_default();
    for block in record.blocks.iter().take(3) {
        seed.extend(block.data);
        seed.resize(seed.len() + longest - block.data.len(), 0);
    }
    seed
}

/// An image as the target `image` takes it.
fn image_seed(image: &Image<'_>) -> Vec<u8> {
    let (offset, length) = (image.hole_offset.to_le_bytes(), image.hole_length.to_le_bytes());
    [&offset[..], &length, &[image.info], image.bytes].concat()
}

/// Which of all versions it is.
fn number_of(version: Version) -> Option<u8> {
    (0u8..).zip(Version::ALL).find(|(_, of_all)| *of_all == version).map(|(number, _)| number)
}
