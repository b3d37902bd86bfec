//! `--save-fullpage`: full-page images as files. Mirrors `create_fullpage_directory` and `XLogRecordSaveFPWs`
//! (`src/bin/pg_waldump/pg_waldump.c`, 16 and later).

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, Result, bail};
use pgwal::{Block, DEFAULT_BLOCK_SIZE, Lsn, RawRecord, Record, TimelineId};

use crate::exit::system_message;
use crate::scan::VisitError;

/// A directory that images are saved to.
#[derive(Debug)]
pub(crate) struct PageFiles {
    directory: PathBuf,
    page: Vec<u8>,
}

impl PageFiles {
    /// Makes the directory, or takes one that is there and empty.
    ///
    /// # Errors
    /// If neither is possible.
    pub(crate) fn create(directory: &Path) -> Result<Self> {
        let shown = directory.display();
        match fs::read_dir(directory) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    bail!("directory \"{shown}\" exists but is not empty");
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // pg_dir_create_mode
                let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
                made.map_err(|error| {
                    Error::msg(format!("could not create directory \"{shown}\": {}", system_message(&error)))
                })?;
            }
            Err(error) => bail!("could not access directory \"{shown}\": {}", system_message(&error)),
        }
        Ok(Self { directory: directory.to_owned(), page: vec![0; DEFAULT_BLOCK_SIZE as usize] })
    }

    /// Saves the images of a record, also those that are there for verification only.
    ///
    /// # Errors
    /// If the record cannot be decoded, or an image not restored or written.
    #[cold] // By value, so that a record whose images nobody wants need not lie in memory.
    pub(crate) fn save(&mut self, record: RawRecord<'_>) -> Result<(), VisitError> {
        Ok(self.save_blocks(&record.decode()?, record.timeline)?)
    }

    fn save_blocks(&mut self, record: &Record<'_>, timeline: TimelineId) -> Result<()> {
        for block in &record.blocks {
            let Some(image) = &block.image else { continue };
            image
                .restore(&mut self.page)
                .with_context(|| format!("could not restore image at {}, block {}", record.lsn, block.id))?;
            let name = file_name(block, record.lsn, timeline)?;
            let path = self.directory.join(name);
            fs::write(&path, &self.page).map_err(|error| {
                Error::msg(format!("could not write file \"{}\": {}", path.display(), system_message(&error)))
            })?;
        }
        Ok(())
    }
}

/// `00000001-00000000-01500028.1663.5.16384.7_main`: timeline, LSN, tablespace, database, file, block, fork.
fn file_name(block: &Block<'_>, lsn: Lsn, timeline: TimelineId) -> Result<String> {
    let Block { relation, fork, number, .. } = block;
    let Some(fork) = fork.name() else { bail!("invalid fork number: {}", fork.get()) };
    let (timeline, high, low) = (timeline.get(), lsn.get() >> 32, lsn.get() & 0xFFFF_FFFF);
    let (tablespace, database, file) = (relation.tablespace, relation.database, relation.relation);
    Ok(format!("{timeline:08X}-{high:08X}-{low:08X}.{tablespace}.{database}.{file}.{number}_{fork}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgwal::{BlockFlags, BlockNumber, Fork, Image, RelFileLocator, RmgrId, TransactionId, Version};

    fn record<'a>(images: &[&'a [u8]]) -> Record<'a> {
        let block = |(id, bytes): (usize, &&'a [u8])| Block {
            id: id as u8,
            flags: BlockFlags::HAS_IMAGE,
            relation: RelFileLocator::new(1663, 5, 16384),
            fork: if id == 0 { Fork::MAIN } else { Fork::VISIBILITY_MAP },
            number: BlockNumber::new(7),
            data: &[],
            image: Some(Image::new(bytes, 100, 8192 - 100 - 50, 0x03, Version::V15)),
        };
        Record {
            lsn: Lsn::new(0x16_0150_0028),
            end: Lsn::new(0x16_0150_2100),
            prev: Lsn::INVALID,
            total_len: 300,
            xid: TransactionId::INVALID,
            top_xid: None,
            origin: None,
            rmgr: RmgrId::XLOG,
            info: 0xB0,
            version: Version::V15,
            main_data: &[],
            blocks: images.iter().enumerate().map(block).collect(),
        }
    }

    #[test]
    fn each_image_is_a_file_with_its_hole() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("new/pages");
        let mut files = PageFiles::create(&directory).unwrap();
        files.save_blocks(&record(&[&[1; 150], &[2; 150]]), TimelineId::new(26)).unwrap();
        let page = fs::read(directory.join("0000001A-00000016-01500028.1663.5.16384.7_main")).unwrap();
        assert_eq!((page.len(), page[99], page[100], page[8141], page[8142]), (8192, 1, 0, 0, 1));
        let map = fs::read(directory.join("0000001A-00000016-01500028.1663.5.16384.7_vm")).unwrap();
        assert_eq!(map[0], 2);

        let message = PageFiles::create(&directory).unwrap_err().to_string();
        assert!(message.ends_with("exists but is not empty"), "{message}");
    }

    #[test]
    fn an_image_that_does_not_fill_the_page_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = PageFiles::create(directory.path()).unwrap();
        let error = files.save_blocks(&record(&[&[1; 149]]), TimelineId::new(1)).unwrap_err();
        assert!(error.to_string().starts_with("could not restore image at 16/1500028"), "{error}");
    }
}
