//! The pages of a cluster, rebuilt from its log alone.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use pgwal::rmgr::btree::Btree;
use pgwal::rmgr::dbase::Dbase;
use pgwal::rmgr::smgr::Smgr;
use pgwal::{
    Block, BlockNumber, DataPage, Fork, Lsn, OffsetNumber, Oid, Record, RedoError, Redone, RelFileLocator, RmgrId,
    redo_block,
};
use walker_core::{FileSource, FileSourceOptions, Source as _, WalDirectory};
use walker_testing::Cluster;

/// A block of a cluster.
pub(crate) type Place = (RelFileLocator, Fork, BlockNumber);

/// All blocks that the log tells of, and what was done to get there.
#[derive(Debug, Default)]
pub(crate) struct Rebuilt {
    /// What each holds; `None` if it was changed by something that is not known here.
    pub(crate) pages: BTreeMap<Place, Option<Box<DataPage>>>,
    /// Changes of Generic WAL that were applied.
    pub(crate) applied: u64,
    /// Those of them whose record holds an image to check by (`wal_consistency_checking`), which was equal.
    pub(crate) checked: u64,
    /// Images restored.
    pub(crate) restored: u64,
    /// Removals of a B-tree's items, done here too and compared with the image: of one or two items, and of more.
    pub(crate) removals: [u64; 2],
}

impl Rebuilt {
    /// Reads a stopped server's log from `start` on.
    pub(crate) fn from_log(cluster: &Cluster, start: Lsn) -> Result<Self> {
        let mut rebuilt = Self::default();
        let directory = WalDirectory::open(&cluster.wal_directory(), None)?;
        let mut source = FileSource::new(&directory, FileSourceOptions { start: Some(start), ..Default::default() });
        while let Some(outcome) = source.next_record(|record| rebuilt.redo(record))? {
            outcome?;
        }
        Ok(rebuilt)
    }

    fn redo(&mut self, record: &Record<'_>) -> Result<()> {
        for block in &record.blocks {
            self.redo_block(record, block).with_context(|| format!("record at {}, block {block:?}", record.lsn))?;
        }
        match record.rmgr {
            RmgrId::STORAGE => {
                if let Smgr::Truncate(truncate) = Smgr::parse(record)? {
                    // The other forks are cut off elsewhere; they are not compared.
                    self.pages.retain(|(relation, fork, number), _| {
                        *relation != truncate.relation || (*fork == Fork::MAIN && *number < truncate.block)
                    });
                }
            }
            RmgrId::DATABASE => {
                if let Dbase::CreateFileCopy { database, tablespace, source_database, source_tablespace } =
                    Dbase::parse(record)?
                {
                    self.copy_database((source_tablespace, source_database), (tablespace, database));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn redo_block(&mut self, record: &Record<'_>, block: &Block<'_>) -> Result<()> {
        let known = self.pages.entry((block.relation, block.fork, block.number)).or_default();
        // Of a page that is not known nothing is known either if it is new.
        let mut page = known.take().unwrap_or_else(|| Box::new(DataPage::zeroed()));
        let check = block.image.as_ref().filter(|image| !image.apply);
        let check = check.map(|image| -> Result<_> {
            let mut page = Box::new(DataPage::zeroed());
            image.restore(page.as_bytes_mut())?;
            Ok(page)
        });
        let check = check.transpose()?;
        let redone: Result<Redone, RedoError> = redo_block(record, block, &mut page);
        *known = match redone? {
            Redone::Applied => {
                self.applied += 1;
                if let Some(check) = check {
                    ensure!(*check == with_lsn(&page, check.lsn()), "not as the image to check by");
                    self.checked += 1;
                }
                Some(page)
            }
            Redone::Restored => {
                self.restored += 1;
                Some(page)
            }
            Redone::Done => Some(page),
            Redone::NeedsRedo | Redone::NotFound => match check {
                Some(check) => {
                    if let Some(removed) = btree_removal(record, &page, &check)? {
                        self.removals[usize::from(removed > 2)] += 1;
                    }
                    Some(Box::new(with_lsn(&check, record.end)))
                }
                None => None,
            },
        };
        Ok(())
    }

    fn copy_database(&mut self, from: (Oid, Oid), to: (Oid, Oid)) {
        let of_source = |(relation, ..): &&Place| (relation.tablespace, relation.database) == from;
        let places: Vec<_> = self.pages.keys().filter(of_source).copied().collect();
        for (relation, fork, number) in places {
            let page = self.pages.get(&(relation, fork, number)).cloned().flatten();
            let (tablespace, database) = to;
            self.pages.insert((RelFileLocator { tablespace, database, ..relation }, fork, number), page);
        }
    }
}

/// The page, last changed elsewhere.
fn with_lsn(page: &DataPage, lsn: Lsn) -> DataPage {
    let mut page = page.clone();
    page.set_lsn(lsn);
    page
}

/// How many items of a B-tree's page a record removed, if it did nothing else. Then `DataPage::remove_items` must make of
/// the page before what PostgreSQL made of it, but for hints.
fn btree_removal(record: &Record<'_>, before: &DataPage, after: &DataPage) -> Result<Option<usize>> {
    if record.rmgr != RmgrId::BTREE || before.is_new() {
        return Ok(None);
    }
    let (changes, updated) = match Btree::parse(record)? {
        Btree::Delete(delete) => (delete.changes, delete.updated_count),
        Btree::Vacuum(vacuum) => (vacuum.changes, vacuum.updated_count),
        _ => return Ok(None),
    };
    let Some(changes) = changes.filter(|_| updated == 0) else { return Ok(None) };
    let numbers: Vec<OffsetNumber> = changes.deleted.iter().collect();
    let mut page = before.clone();
    page.remove_items(&numbers)?;
    let mut after = after.clone();
    for page in [&mut page, &mut after] {
        page.mask_lsn_and_checksum();
        page.mask_hint_bits();
        page.mask_unused_space()?;
        page.mask_line_pointer_flags();
        // Flags and cycle of VACUUM.
        page.special_mut().get_mut(12..).unwrap_or_default().fill(0);
    }
    ensure!(page == after, "not as PostgreSQL removed {numbers:?}");
    Ok(Some(numbers.len()))
}
