//! The tables' files in a data directory, read in small portions for what the log does not tell.
//!
//! Sources: `src/common/relpath.c`, `src/backend/storage/smgr/md.c`.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pgwal::{BlockNumber, Lsn, Oid, RelFileLocator, VisibilityMapPage};

use crate::map::{FilePage, GarbageMap, PAGE_SIZE};
use crate::relation::FileProgress;

/// Blocks of a file that is one of several (`RELSEG_SIZE`): PostgreSQL's default.
const SEGMENT_BLOCKS: u32 = 131_072;
/// Blocks that are read at once.
const PORTION: u32 = 32;
/// About how many bytes the map takes for a block.
const BLOCK_MEMORY: u64 = 24;
/// So much time may be made up for at once, if nobody came.
const LONGEST_DEBT: Duration = Duration::from_millis(500);
/// Blocks of a megabyte.
const BLOCKS_PER_MEGABYTE: f64 = 128.0;

/// `pg_default` and `pg_global` (`src/include/catalog/pg_tablespace.dat`).
const DEFAULT_TABLESPACE: u32 = 1663;
const GLOBAL_TABLESPACE: u32 = 1664;

/// Whether the map may read files when it is at this position.
type MayRead = Box<dyn Fn(Lsn) -> bool>;
/// How much may be read, as it is set now.
type CurrentLimits = Box<dyn Fn() -> Limits>;

/// How much may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// So much in a second, in megabytes; zero for nothing.
    pub megabytes_per_second: u32,
    /// Until the map takes so much memory, in bytes. What is not read then stays unknown.
    pub max_memory: u64,
}

/// The files of a data directory.
pub struct DataFiles {
    directory: PathBuf,
    /// Name of this version's directory in each tablespace (`TABLESPACE_VERSION_DIRECTORY`): others may be there after
    /// pg_upgrade, with relations of the same numbers.
    version_directory: String,
    may_read: MayRead,
    limits: CurrentLimits,
    /// What is to be read, the next one last.
    queue: Vec<DataFile>,
    /// For this position of the map's the files were listed last.
    listed: Lsn,
    /// Those that are no tables, or cannot be read.
    others: HashSet<RelFileLocator>,
    /// About how many blocks the map knows.
    known_blocks: u64,
    /// Until then all was read that was to be.
    paid: Instant,
}

impl fmt::Debug for DataFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directory, queue, listed, .. } = self;
        let queued = queue.len();
        let mut debug = formatter.debug_struct("DataFiles");
        debug.field("directory", directory).field("queued", &queued).field("listed", listed).finish_non_exhaustive()
    }
}

/// A relation and the first of its files.
#[derive(Debug)]
struct DataFile {
    locator: RelFileLocator,
    path: PathBuf,
}

impl DataFiles {
    /// Of the data directory `directory`, of this major version and catalog version. `may_read` tells whether the map may read files when it is at a position: not on
    /// a standby, whose files are behind. `limits` is asked each time.
    pub fn new(
        directory: impl Into<PathBuf>,
        (major, catalog_version): (u32, u32),
        may_read: impl Fn(Lsn) -> bool + 'static,
        limits: impl Fn() -> Limits + 'static,
    ) -> Self {
        Self {
            directory: directory.into(),
            version_directory: format!("PG_{major}_{catalog_version}"),
            may_read: Box::new(may_read),
            limits: Box::new(limits),
            queue: Vec::new(),
            listed: Lsn::INVALID,
            others: HashSet::new(),
            known_blocks: 0,
            paid: Instant::now(),
        }
    }

    /// Begins anew, for a map that does.
    pub(crate) fn forget(&mut self) {
        self.queue.clear();
        self.listed = Lsn::INVALID;
    }

    /// Reads as much as is due by now. Returns whether more is to be read.
    ///
    /// # Errors
    /// If a file or directory cannot be read, but for files that were removed meanwhile. That file is left out from then on.
    pub(crate) fn read_some(&mut self, map: &mut GarbageMap) -> io::Result<bool> {
        let Limits { megabytes_per_second: rate, max_memory } = (self.limits)();
        let now = Instant::now();
        if rate == 0 || !map.can_use_files() || !(self.may_read)(map.position()) {
            self.paid = now;
            return Ok(false);
        }
        if self.queue.is_empty() {
            if self.listed == map.flushed() {
                return Ok(false);
            }
            self.listed = map.flushed();
            self.list(map)?;
            self.known_blocks = map.known_blocks();
            self.paid = now;
        }
        let of_a_block = Duration::from_secs_f64(1.0 / (f64::from(rate) * BLOCKS_PER_MEGABYTE));
        self.paid = self.paid.max(now.checked_sub(LONGEST_DEBT).unwrap_or(now));
        while self.paid + of_a_block * PORTION <= now {
            if self.known_blocks * BLOCK_MEMORY >= max_memory {
                return Ok(false);
            }
            let Some(file) = self.queue.last() else { break };
            let Some(first) = map.file_progress(file.locator) else {
                self.queue.pop();
                continue;
            };
            let Portion { blocks, kind } = match read_portion(file, first, map) {
                Ok(portion) => portion,
                Err(error) => {
                    self.others.insert(file.locator);
                    self.queue.pop();
                    return Err(error);
                }
            };
            self.known_blocks += u64::from(blocks);
            // To open a file is not for nothing either.
            self.paid += of_a_block * blocks.max(1);
            match kind {
                PortionKind::More => {
                    map.set_file_progress(file.locator, FileProgress::Blocks(first.get() + blocks));
                }
                PortionKind::Last => {
                    // Of a file that was removed, or is empty, there is nothing to remember.
                    if first.get() + blocks > 0 {
                        map.set_file_progress(file.locator, FileProgress::All);
                    }
                    self.queue.pop();
                }
                PortionKind::Other => {
                    self.others.insert(file.locator);
                    self.queue.pop();
                }
            }
        }
        Ok(!self.queue.is_empty())
    }

    /// Lists the files that are to be read.
    fn list(&mut self, map: &GarbageMap) -> io::Result<()> {
        let mut found = Vec::new();
        list_database(&self.directory.join("global"), GLOBAL_TABLESPACE, 0, &mut found)?;
        list_tablespace(&self.directory.join("base"), DEFAULT_TABLESPACE, &mut found)?;
        for (tablespace, directory) in numbered(&self.directory.join("pg_tblspc"))? {
            list_tablespace(&directory.join(&self.version_directory), tablespace, &mut found)?;
        }
        found.retain(|file| !self.others.contains(&file.locator) && map.file_progress(file.locator).is_some());
        // Whoever asks wants to know of large tables, but those take longest: the catalogs come first as they are.
        found.sort_by_key(|file| std::cmp::Reverse(file.locator));
        self.queue = found;
        Ok(())
    }
}

/// What was read of a file.
struct Portion {
    blocks: u32,
    kind: PortionKind,
}

enum PortionKind {
    /// There is more behind.
    More,
    /// Up to the end.
    Last,
    /// It is not a table's.
    Other,
}

fn read_portion(file: &DataFile, first: BlockNumber, map: &mut GarbageMap) -> io::Result<Portion> {
    let (segment, begin) = (first.get() / SEGMENT_BLOCKS, first.get() % SEGMENT_BLOCKS);
    let path = if segment == 0 { file.path.clone() } else { with_suffix(&file.path, &format!(".{segment}")) };
    let page_size = usize::from(PAGE_SIZE);
    let wanted = PORTION.min(SEGMENT_BLOCKS - begin);
    let mut pages = vec![0; wanted as usize * page_size];
    let read = read_at(&path, &mut pages, u64::from(begin) * u64::from(PAGE_SIZE))?;
    let visibility_map = VisibilityMap::read(&file.path, first)?;
    let mut blocks = 0;
    for page in pages[..read].chunks_exact(page_size) {
        let block = BlockNumber::new(first.get() + blocks);
        if map.take_file_page(file.locator, block, page, visibility_map.bits(block)) == FilePage::Other {
            return Ok(Portion { blocks, kind: PortionKind::Other });
        }
        blocks += 1;
    }
    Ok(Portion { blocks, kind: if blocks < wanted { PortionKind::Last } else { PortionKind::More } })
}

/// The page of a visibility map that speaks of the blocks from one on, and the next.
struct VisibilityMap(Vec<(BlockNumber, Vec<u8>)>);

impl VisibilityMap {
    fn read(table: &Path, first: BlockNumber) -> io::Result<Self> {
        let pages = (0..2u32).map(|next| -> io::Result<_> {
            let mut page = vec![0; usize::from(PAGE_SIZE)];
            let covers = VisibilityMapPage::new(&page, BlockNumber::new(0)).blocks().end;
            let number = u32::try_from(u64::from(first.get()) / covers).unwrap_or(u32::MAX).saturating_add(next);
            let read = read_at(&with_suffix(table, "_vm"), &mut page, u64::from(number) * u64::from(PAGE_SIZE))?;
            page.truncate(if read < usize::from(PAGE_SIZE) { 0 } else { read });
            Ok((BlockNumber::new(number), page))
        });
        pages.collect::<io::Result<_>>().map(Self)
    }

    fn bits(&self, block: BlockNumber) -> u8 {
        self.0
            .iter()
            .map(|(number, page)| VisibilityMapPage::new(page, *number).bits(block))
            .fold(0, |all, bits| all | bits)
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Reads until the buffer is full or the file ends; nothing of a file that is not there.
fn read_at(path: &Path, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        opened => opened.map_err(|error| of_path(path, &error))?,
    };
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(of_path(path, &error)),
        }
    }
    Ok(done)
}

fn of_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("could not read \"{}\": {error}", path.display()))
}

/// The databases of a tablespace.
fn list_tablespace(directory: &Path, tablespace: u32, found: &mut Vec<DataFile>) -> io::Result<()> {
    for (database, directory) in numbered(directory)? {
        list_database(&directory, tablespace, database, found)?;
    }
    Ok(())
}

/// The relations of a database that are in the log: unlogged ones have a fork to be reset to, names of temporary ones are
/// not numbers.
fn list_database(directory: &Path, tablespace: u32, database: u32, found: &mut Vec<DataFile>) -> io::Result<()> {
    for (number, path) in numbered(directory)? {
        if !with_suffix(&path, "_init").exists() {
            let [tablespace, database, relation] = [tablespace, database, number].map(Oid::new);
            found.push(DataFile { locator: RelFileLocator { tablespace, database, relation }, path });
        }
    }
    Ok(())
}

/// What is in a directory; nothing if it was removed.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| of_path(directory, &error))?,
    };
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(|error| of_path(directory, &error))).collect()
}

/// The entries of a directory whose names are numbers.
fn numbered(directory: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse().ok();
    Ok(entries(directory)?.into_iter().filter_map(|path| Some((number(&path)?, path))).collect())
}
