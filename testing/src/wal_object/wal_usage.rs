//! How much WAL something writes, and limits for that.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use pgwal::{Lsn, RelFileLocator, RmgrId};

use super::wal_range::for_each_record;
use crate::cluster::Cluster;
use crate::session::Session;

/// The records that were written while something was done.
///
/// All sessions' records are among them, also those of the server's own processes: [`WalUsage::of_rmgr`] and
/// [`WalUsage::of_relation`] choose.
///
/// A record that changes a page for the first time after a checkpoint holds an image of the page. Images are counted apart,
/// since they tell about checkpoints, not about the object; run `CHECKPOINT` and touch the pages before, or switch
/// `full_page_writes` off, where the other records are to be seen alone.
#[derive(Debug, Clone)]
pub struct WalUsage {
    records: Vec<WrittenRecord>,
}

#[derive(Debug, Clone)]
struct WrittenRecord {
    rmgr: RmgrId,
    /// Length in bytes, without images.
    bytes: u64,
    images: u64,
    image_bytes: u64,
    relations: Vec<RelFileLocator>,
}

/// So much WAL, in bytes of its records: what pages of the WAL and alignment add, less than one percent and seven
/// bytes a record, is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WalVolume {
    /// How many records.
    pub records: u64,
    /// Their bytes without those of the images in them.
    pub bytes: u64,
    /// How many full-page images they hold.
    pub images: u64,
    /// Bytes of these images as they are in the records: without holes, maybe compressed.
    pub image_bytes: u64,
}

impl WalUsage {
    /// Lets `done` work in a session, and reads what was written to the WAL meanwhile.
    ///
    /// # Errors
    /// What `done` fails with; if the WAL cannot be read.
    pub fn measure(server: &Cluster, database: &str, done: impl FnOnce(&mut Session) -> Result<()>) -> Result<Self> {
        let mut session = server.session(database)?;
        let start = server.flush_wal()?;
        done(&mut session)?;
        let end = server.flush_wal()?;
        Self::between(server, start, end)
    }

    /// Reads the records that begin at `start` or behind it, and before `end`: positions of the server's WAL that is flushed,
    /// and not removed.
    ///
    /// # Errors
    /// If the WAL cannot be read.
    pub fn between(server: &Cluster, start: Lsn, end: Lsn) -> Result<Self> {
        let mut records = Vec::new();
        for_each_record(server, start, end, |record| {
            let image_bytes = u64::from(record.image_len());
            let mut relations: Vec<_> = record.blocks.iter().map(|block| block.relation).collect();
            relations.dedup();
            records.push(WrittenRecord {
                rmgr: record.rmgr,
                bytes: u64::from(record.total_len) - image_bytes,
                images: record.blocks.iter().filter(|block| block.image.is_some()).count() as u64,
                image_bytes,
                relations,
            });
        })?;
        Ok(Self { records })
    }

    /// Only the records of this resource manager.
    #[must_use]
    pub fn of_rmgr(&self, rmgr: RmgrId) -> Self {
        self.filter(|record| record.rmgr == rmgr)
    }

    /// Only the records that change a block of this relation, of whatever fork; [`Cluster::relation_files`] tells where
    /// its files are. A record that changes another relation too is counted as a whole.
    #[must_use]
    pub fn of_relation(&self, relation: RelFileLocator) -> Self {
        self.filter(|record| record.relations.contains(&relation))
    }

    /// All of these records together.
    #[must_use]
    pub fn volume(&self) -> WalVolume {
        self.records.iter().fold(WalVolume::default(), |sum, record| WalVolume {
            records: sum.records + 1,
            bytes: sum.bytes + record.bytes,
            images: sum.images + record.images,
            image_bytes: sum.image_bytes + record.image_bytes,
        })
    }

    fn filter(&self, wanted: impl Fn(&&WrittenRecord) -> bool) -> Self {
        Self { records: self.records.iter().filter(wanted).cloned().collect() }
    }
}

impl WalVolume {
    /// An error if `operations` have written more than `bytes_each` bytes each, without images, or nothing at all: then it was
    /// something else that was measured.
    ///
    /// # Errors
    /// With what they have written.
    pub fn require_at_most(&self, bytes_each: u64, operations: u64) -> Result<()> {
        ensure!(self.records > 0, "nothing of this was written to the WAL: there is nothing to be limited");
        ensure!(
            self.bytes <= bytes_each * operations,
            "{:.1} bytes of WAL for each of {operations} operations are more than {bytes_each}: {self}",
            self.bytes as f64 / operations as f64
        );
        Ok(())
    }
}

impl fmt::Display for WalVolume {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, bytes, images, image_bytes } = self;
        write!(formatter, "{records} records of {bytes} bytes, and {images} images of {image_bytes} bytes in them")
    }
}

impl Cluster {
    /// Where the files of a relation are: `name` as in SQL, maybe with its schema.
    ///
    /// # Errors
    /// If there is no such relation, or it has no files.
    pub fn relation_files(&self, database: &str, name: &str) -> Result<RelFileLocator> {
        let name = name.replace('\'', "''");
        // The catalogs leave out the database's own tablespace, and know no database for shared relations.
        let locator = format!(
            "SELECT concat_ws('/', coalesce(nullif(reltablespace, 0), dattablespace),
                 CASE WHEN relisshared THEN 0 ELSE pg_database.oid END, pg_relation_filenode(pg_class.oid))
             FROM pg_class, pg_database WHERE pg_class.oid = '{name}'::regclass AND datname = current_database()"
        );
        let locator = self.psql(database, &locator)?;
        locator.parse().with_context(|| format!("\"{name}\" has no files: {locator}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_limit_is_an_error_that_tells_how_much() {
        let volume = WalVolume { records: 10, bytes: 1_005, images: 1, image_bytes: 8_000 };
        assert!(volume.require_at_most(101, 10).is_ok());
        let error = volume.require_at_most(100, 10).unwrap_err().to_string();
        assert_eq!(
            error,
            "100.5 bytes of WAL for each of 10 operations are more than 100: 10 records of 1005 bytes, and 1 images of 8000 \
             bytes in them"
        );
        assert!(WalVolume::default().require_at_most(100, 10).is_err());
    }
}
