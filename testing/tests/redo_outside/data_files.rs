//! Rebuilt pages beside those of the data files.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use anyhow::{Context as _, Result, ensure};
use pgwal::{BlockNumber, DataPage, Fork, Lsn, RelFileLocator};
use walker_testing::Cluster;

use crate::rebuilt::Rebuilt;
use crate::unlogged::{AccessMethod, mask};

/// So many differences are told.
const SHOWN: usize = 20;

/// The relations that there are, and who writes their pages.
pub(crate) type Relations = BTreeMap<RelFileLocator, AccessMethod>;

/// How many pages of the data files are what.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// All of an index whose every change is in the log: all bytes are equal.
    pub(crate) equal: u64,
    /// Of other relations: equal but for what is changed without a record.
    pub(crate) equal_but_hints: u64,
    /// Of other relations: changed since their last image by records that are not known here.
    pub(crate) not_known: u64,
    /// Not in the log: from `initdb`, or written without it.
    pub(crate) not_logged: u64,
}

/// Relations of the databases, while the server runs.
pub(crate) fn relations(cluster: &Cluster, databases: &[&str]) -> Result<Relations> {
    let mut relations = Relations::new();
    for database in databases {
        let query = "
            SELECT coalesce(nullif(c.reltablespace, 0), d.dattablespace), CASE WHEN relisshared THEN 0 ELSE d.oid END,
                pg_relation_filenode(c.oid), CASE relkind WHEN 'S' THEN 'sequence' ELSE amname END
            FROM pg_class c LEFT JOIN pg_am a ON a.oid = relam JOIN pg_database d ON datname = current_database()
            WHERE pg_relation_filenode(c.oid) IS NOT NULL";
        for row in cluster.psql_rows(database, query)? {
            let [tablespace, database, relation, access_method] = &row[..] else { continue };
            let locator = RelFileLocator::new(tablespace.parse()?, database.parse()?, relation.parse()?);
            relations.insert(locator, access_method.parse()?);
        }
    }
    Ok(relations)
}

/// Compares main and init forks of all relations of a stopped server. The other forks are changed without records: the
/// free space map always, the visibility map by records that do not name its pages.
pub(crate) fn compare(
    cluster: &Cluster,
    relations: &Relations,
    rebuilt: &Rebuilt,
    checksums: bool,
) -> Result<Comparison> {
    let (mut comparison, mut differences) = (Comparison::default(), Vec::new());
    for (locator, access_method) in relations {
        for fork in [Fork::MAIN, Fork::INIT] {
            let place = || format!("{access_method:?} {locator}, fork {fork}");
            let is_logged = match fork {
                Fork::MAIN => !exists(cluster, *locator, Fork::INIT)?,
                // From 16 on bloom writes its init fork by Generic WAL, which writes no record for an unlogged relation.
                _ => *access_method != AccessMethod::Bloom || cluster.installation().version().major < 16,
            };
            if !is_logged {
                continue;
            }
            let file = read(cluster, *locator, fork)?;
            let (pages, []) = file.as_chunks::<{ DataPage::SIZE }>() else { anyhow::bail!("{}: a torn page", place()) };
            for (number, page) in (0..).map(BlockNumber::new).zip(pages) {
                let known = rebuilt.pages.get(&(*locator, fork, number));
                let added =
                    comparison.add(*access_method, (fork, number), known, DataPage::from_bytes(page), checksums);
                if let Err(error) = added {
                    differences.push(format!("{}, block {number}: {error}", place()));
                }
            }
        }
    }
    let shown = &differences[..differences.len().min(SHOWN)];
    ensure!(shown.is_empty(), "{} of {comparison:?} differ:\n{}", differences.len(), shown.join("\n"));
    Ok(comparison)
}

impl Comparison {
    fn add(
        &mut self,
        access_method: AccessMethod,
        (fork, number): (Fork, BlockNumber),
        rebuilt: Option<&Option<Box<DataPage>>>,
        file: &DataPage,
        checksums: bool,
    ) -> Result<()> {
        if checksums && !file.is_new() {
            ensure!(file.checksum() == file.compute_checksum(number), "not the server's checksum");
        }
        let Some(Some(rebuilt)) = rebuilt else {
            ensure!(access_method != AccessMethod::Bloom, "not rebuilt");
            match rebuilt {
                Some(_) => self.not_known += 1,
                None => self.not_logged += 1,
            }
            return Ok(());
        };
        let (mut rebuilt, mut file) = (rebuilt.clone(), file.clone());
        if fork == Fork::INIT && file.lsn() == Lsn::new(0) {
            // 15 writes it before its record. After recovery it has its LSN.
            rebuilt.set_lsn(Lsn::new(0));
        }
        if access_method == AccessMethod::Bloom {
            // An image brings the checksum that the page had when it was last read.
            if checksums {
                rebuilt.set_checksum(number);
            }
            ensure!(*rebuilt == file, "{}", first_difference(&rebuilt, &file));
            self.equal += 1;
        } else {
            for page in [&mut *rebuilt, &mut file] {
                mask(page, access_method, number);
            }
            ensure!(*rebuilt == file, "{}", first_difference(&rebuilt, &file));
            self.equal_but_hints += 1;
        }
        Ok(())
    }
}

fn first_difference(rebuilt: &DataPage, file: &DataPage) -> String {
    let differs = |place: &usize| rebuilt.as_bytes()[*place] != file.as_bytes()[*place];
    let places: Vec<_> = (0..DataPage::SIZE).filter(differs).collect();
    format!("{} bytes differ, from offset {} on; rebuilt {rebuilt:?}, in the file {file:?}", places.len(), places[0])
}

fn exists(cluster: &Cluster, locator: RelFileLocator, fork: Fork) -> Result<bool> {
    let major = u16::try_from(cluster.installation().version().major)?;
    Ok(cluster.data_directory().join(locator.path(fork, major)).exists())
}

/// A fork's file, which is shorter than a gigabyte; empty if there is none.
fn read(cluster: &Cluster, locator: RelFileLocator, fork: Fork) -> Result<Vec<u8>> {
    let major = u16::try_from(cluster.installation().version().major)?;
    let path = cluster.data_directory().join(locator.path(fork, major));
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.with_context(|| format!("cannot read {}", path.display())),
    }
}
