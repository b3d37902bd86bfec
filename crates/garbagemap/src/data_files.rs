//! The tables' files in a data directory, read in small portions for what the log does not tell.
//!
//! Sources: `src/common/relpath.c`, `src/backend/storage/smgr/md.c`.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pgwal::{BlockNumber, HeapPage, Lsn, RelFileLocator, VisibilityMapPage};

use crate::map::{FilePage, GarbageMap, PAGE_SIZE};
use crate::relation::FileProgress;

/// Blocks of a file that is one of several (`RELSEG_SIZE`): PostgreSQL's default.
const SEGMENT_BLOCKS: u32 = 131_072;
/// Blocks of which a page of the visibility map tells.
const VISIBILITY_MAP_BLOCKS: u32 = (PAGE_SIZE as u32 - HeapPage::HEADER_SIZE as u32) * 4;
/// Blocks that are read at once: they lie in one file, and one page of the visibility map tells of them.
const PORTION: u32 = 32;
const _: () = assert!(SEGMENT_BLOCKS.is_multiple_of(PORTION) && VISIBILITY_MAP_BLOCKS.is_multiple_of(PORTION));
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
    /// The map takes about so much memory at most, in bytes.
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
    /// Those that are no tables.
    others: HashSet<RelFileLocator>,
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
    /// Of the data directory `directory`, of this major version and catalog version. `may_read` tells whether the map may
    /// read files when it is at a position: not on a standby, whose files are behind. `limits` is asked each time.
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
            paid: Instant::now(),
        }
    }

    /// How much may be read, as it is set now.
    pub(crate) fn limits(&self) -> Limits {
        (self.limits)()
    }

    /// Begins anew, for a map that does.
    pub(crate) fn forget(&mut self) {
        self.queue.clear();
        self.others.clear();
        self.listed = Lsn::INVALID;
    }

    /// Reads as much as is due by now. Returns whether more is to be read.
    ///
    /// # Errors
    /// If a file or directory cannot be read, but for files that were removed meanwhile. That file is left out
    /// until the files are listed again.
    pub(crate) fn read_some(&mut self, map: &mut GarbageMap) -> io::Result<bool> {
        let Limits { megabytes_per_second: rate, .. } = self.limits();
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
            self.paid = now;
        }
        let of_a_block = Duration::from_secs_f64(1.0 / (f64::from(rate) * BLOCKS_PER_MEGABYTE));
        self.paid = self.paid.max(now.checked_sub(LONGEST_DEBT).unwrap_or(now));
        while self.paid + of_a_block * PORTION <= now {
            if !map.has_room() {
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
                    self.queue.pop();
                    return Err(error);
                }
            };
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

/// Reads the blocks from `first` on, a multiple of [`PORTION`].
fn read_portion(file: &DataFile, first: BlockNumber, map: &mut GarbageMap) -> io::Result<Portion> {
    let (segment, begin) = (first.get() / SEGMENT_BLOCKS, first.get() % SEGMENT_BLOCKS);
    let path = if segment == 0 { file.path.clone() } else { with_suffix(&file.path, &format!(".{segment}")) };
    let pages = read_blocks(&path, begin, PORTION)?;
    let visibility_map_number = BlockNumber::new(first.get() / VISIBILITY_MAP_BLOCKS);
    let visibility_map_page = read_blocks(&with_suffix(&file.path, "_vm"), visibility_map_number.get(), 1)?;
    let visibility_map = VisibilityMapPage::new(&visibility_map_page, visibility_map_number);
    let mut blocks = 0;
    for page in pages.chunks_exact(usize::from(PAGE_SIZE)) {
        let block = BlockNumber::new(first.get() + blocks);
        if map.take_file_page(file.locator, block, page, visibility_map.bits(block)) == FilePage::Other {
            return Ok(Portion { blocks, kind: PortionKind::Other });
        }
        blocks += 1;
    }
    Ok(Portion { blocks, kind: if blocks < PORTION { PortionKind::Last } else { PortionKind::More } })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Reads so many blocks, or as many whole ones as there are; none of a file that is not there.
fn read_blocks(path: &Path, first: u32, count: u32) -> io::Result<Vec<u8>> {
    let page_size = u64::from(PAGE_SIZE);
    let mut blocks = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(u64::from(first) * page_size))?;
        file.take(u64::from(count) * page_size).read_to_end(&mut blocks)
    });
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => drop(read.map_err(|error| of_path(path, &error))?),
    }
    blocks.truncate(blocks.len() - blocks.len() % usize::from(PAGE_SIZE));
    Ok(blocks)
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

/// The relations of a database that are in the log: unlogged ones have a fork to be reset to, names of temporary ones
/// are not numbers.
fn list_database(directory: &Path, tablespace: u32, database: u32, found: &mut Vec<DataFile>) -> io::Result<()> {
    for (number, path) in numbered(directory)? {
        if !with_suffix(&path, "_init").exists() {
            found.push(DataFile { locator: RelFileLocator::new(tablespace, database, number), path });
        }
    }
    Ok(())
}

/// The entries of a directory whose names are numbers; none if it was removed.
fn numbered(directory: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| of_path(directory, &error))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| of_path(directory, &error))?;
        if let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.push((number, entry.path()));
        }
    }
    Ok(found)
}
