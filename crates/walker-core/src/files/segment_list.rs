//! The files of a directory that hold parts of the log, and which of them to read for each part.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgwal::{Lsn, SegmentName, SegmentNo, TimelineHistory, TimelineId};

use super::compression::FileCompression;
use crate::source::SourceError;

/// A file with the name of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentFile {
    pub(super) name: SegmentName,
    /// It was not filled to the end: a server of an older timeline, or `pg_receivewal`, left it so.
    pub(super) partial: bool,
    pub(super) compression: Option<FileCompression>,
    /// With its endings.
    pub(super) file_name: String,
    /// Where it is.
    pub(super) directory: Arc<Path>,
    /// How many directories come before that one.
    directory_rank: usize,
}

impl SegmentFile {
    /// `000000010000000000000005`, and that with `.partial` and the ending of a compression, in either order:
    /// `pg_receivewal` writes `.gz.partial`, and an archive command may compress a `.partial`.
    pub(super) fn parse(file_name: &str, directory: &Arc<Path>, directory_rank: usize) -> Option<Self> {
        let (name, mut endings) = file_name.split_at_checked(SegmentName::LENGTH)?;
        let (mut partial, mut compression) = (false, None);
        while let Some(rest) = endings.strip_prefix('.') {
            let (ending, others) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
            match FileCompression::from_ending(ending) {
                Some(found) if compression.is_none() => compression = Some(found),
                None if ending == "partial" && !partial => partial = true,
                _ => return None,
            }
            endings = others;
        }
        let name = name.parse().ok().filter(|_| endings.is_empty())?;
        let (file_name, directory) = (file_name.to_owned(), Arc::clone(directory));
        Some(Self { name, partial, compression, file_name, directory, directory_rank })
    }

    /// The file with its directory.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(&self.file_name)
    }

    /// Of several files of one segment the smallest is read: whole before partial, in an earlier directory before a later
    /// one, plain before compressed.
    fn rank(&self) -> (bool, usize, Option<FileCompression>) {
        (self.partial, self.directory_rank, self.compression)
    }
}

/// All files of some directories that matter.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) segments: Vec<SegmentFile>,
    /// Names of history files, plain ones first, and where they are.
    histories: Vec<(String, Arc<Path>)>,
}

impl Listing {
    pub(super) fn read(directories: &[Arc<Path>]) -> Result<Self, SourceError> {
        let mut listing = Self::default();
        for (rank, directory) in directories.iter().enumerate() {
            let io = |cause| SourceError::Io { path: directory.to_path_buf(), cause };
            for entry in fs::read_dir(directory).map_err(io)? {
                let Ok(file_name) = entry.map_err(io)?.file_name().into_string() else { continue };
                if let Some(segment) = SegmentFile::parse(&file_name, directory, rank) {
                    listing.segments.push(segment);
                } else if file_name.contains(".history") {
                    listing.histories.push((file_name, Arc::clone(directory)));
                }
            }
        }
        // Both sorts are stable: of the same name, the one in the earlier directory is the first.
        listing.segments.sort_by(|one, other| one.file_name.cmp(&other.file_name));
        listing.histories.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(listing)
    }

    /// The history of `timeline`, if one of the directories has it.
    fn history(&self, timeline: TimelineId) -> Result<Option<TimelineHistory>, SourceError> {
        let plain = TimelineHistory::file_name(timeline);
        let found = self.histories.iter().find_map(|(file_name, directory)| {
            let path = || directory.join(file_name);
            let endings = file_name.strip_prefix(&plain)?;
            match endings.strip_prefix('.') {
                Some(ending) => FileCompression::from_ending(ending).map(|compression| (path(), Some(compression))),
                None => endings.is_empty().then(|| (path(), None)),
            }
        });
        let Some((path, compression)) = found else { return Ok(None) };
        let content = match compression {
            Some(compression) => compression.read_small(&path)?,
            None => fs::read(&path).map_err(|cause| SourceError::Io { path: path.clone(), cause })?,
        };
        let history = TimelineHistory::parse(timeline, &content);
        history.map(Some).map_err(|cause| SourceError::TimelineHistory { path, cause })
    }
}

/// What is to be read of the file of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) file: SegmentFile,
    /// Where its timeline was left: what follows in the file is another log.
    pub(super) end: Option<Lsn>,
    /// Whether there is no later segment: then a server may be writing it.
    pub(super) newest: bool,
}

/// The segments of some directories at one moment.
#[derive(Debug)]
pub(super) struct SegmentList {
    segment_size: u32,
    /// Of each segment and timeline the best file; only those that can be chosen.
    files: BTreeMap<(SegmentNo, TimelineId), SegmentFile>,
    /// The way to the timeline that is read, if that is known.
    history: Option<TimelineHistory>,
}

impl SegmentList {
    /// Chooses what leads to `timeline`, or to the highest timeline there is.
    pub(super) fn new(listing: Listing, timeline: Option<TimelineId>, segment_size: u32) -> Result<Self, SourceError> {
        let highest = listing.segments.iter().map(|file| file.name.timeline).max();
        let history = match timeline.or(highest) {
            Some(target) => listing.history(target)?,
            None => None,
        };
        let mut files: BTreeMap<(SegmentNo, TimelineId), SegmentFile> = BTreeMap::new();
        for file in listing.segments {
            let (number, on) = (file.name.number(segment_size), file.name.timeline);
            let wanted = match &history {
                Some(history) => {
                    history.entries().iter().any(|entry| entry.timeline == on && entry.covers(number, segment_size))
                }
                None => timeline.is_none_or(|timeline| timeline == on),
            };
            // A name that no segment of this size has is none.
            if !wanted || SegmentName::new(on, number, segment_size) != file.name {
                continue;
            }
            match files.get(&(number, on)) {
                Some(known) if known.rank() <= file.rank() => {}
                _ => {
                    files.insert((number, on), file);
                }
            }
        }
        Ok(Self { segment_size, files, history })
    }

    /// The file to read for segment `number`: on the newest timeline of the history that has one, as
    /// `src/backend/access/transam/xlogrecovery.c`: `XLogFileReadAnyTLI` does. Without a history, on the highest
    /// timeline, and none lower than the one that the log has come to.
    pub(super) fn find(&self, number: SegmentNo, reached: Option<TimelineId>) -> Option<Choice> {
        let lowest = reached.filter(|_| self.history.is_none()).unwrap_or_default();
        let ((_, timeline), file) =
            self.files.range((number, lowest)..=(number, TimelineId::new(u32::MAX))).next_back()?;
        let end = self.history.as_ref().and_then(|history| history.switch_point(*timeline));
        Some(Choice { file: file.clone(), end, newest: !self.has_later(number) })
    }

    /// Beginning of the oldest segment.
    pub(super) fn start(&self) -> Option<Lsn> {
        self.files.keys().next().map(|(number, _)| number.start(self.segment_size))
    }

    /// End of the newest segment, were it full.
    pub(super) fn end(&self) -> Option<Lsn> {
        self.files.keys().next_back().map(|(number, _)| number.next().start(self.segment_size))
    }

    /// Number of the first segment behind `number`.
    pub(super) fn after(&self, number: SegmentNo) -> Option<SegmentNo> {
        let behind = (Bound::Excluded((number, TimelineId::new(u32::MAX))), Bound::Unbounded);
        self.files.range(behind).next().map(|((number, _), _)| *number)
    }

    /// Whether there is a segment behind `number`.
    pub(super) fn has_later(&self, number: SegmentNo) -> bool {
        self.after(number).is_some()
    }

    /// The timeline on which segment `number` should be, if that is known.
    pub(super) fn timeline_of(&self, number: SegmentNo) -> Option<TimelineId> {
        let entries = self.history.as_ref()?.entries();
        entries.iter().rev().find(|entry| entry.covers(number, self.segment_size)).map(|entry| entry.timeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u32 = 1024 * 1024;

    fn parse(file_name: &str) -> Option<SegmentFile> {
        SegmentFile::parse(file_name, &Path::new("").into(), 0)
    }

    fn list(timeline: Option<u32>, files: &[&str], histories: &[(&str, &str)]) -> SegmentList {
        let directory = tempfile::tempdir().unwrap();
        for name in files {
            fs::write(directory.path().join(name), "").unwrap();
        }
        for (name, content) in histories {
            fs::write(directory.path().join(name), content).unwrap();
        }
        let listing = Listing::read(&[directory.path().into()]).unwrap();
        SegmentList::new(listing, timeline.map(TimelineId::new), SIZE).unwrap()
    }

    fn chosen(list: &SegmentList, number: u64) -> Option<String> {
        list.find(SegmentNo::new(number), None).map(|choice| choice.file.file_name)
    }

    #[test]
    fn endings_are_known_in_either_order() {
        let name = "000000010000000000000005";
        for (ending, partial, compressed) in [
            ("", false, false),
            (".partial", true, false),
            (".gz", false, true),
            (".lz4.partial", true, true),
            (".partial.zst", true, true),
        ] {
            let file = parse(&format!("{name}{ending}")).unwrap();
            assert_eq!((file.partial, file.compression.is_some()), (partial, compressed), "{ending}");
        }
        for other in [".tmp", ".backup", ".00000028.backup", ".gz.zst", ".partial.partial", "0", "."] {
            assert_eq!(parse(&format!("{name}{other}")), None, "{other}");
        }
        assert_eq!(parse("00000002.history"), None);
    }

    #[test]
    fn whole_wins_over_partial_and_plain_over_compressed() {
        let name = "000000010000000000000005";
        let mut files = [".partial.gz", ".partial", ".gz", ""].map(|ending| format!("{name}{ending}")).to_vec();
        while let Some(best) = files.last().cloned() {
            let names: Vec<_> = files.iter().map(String::as_str).collect();
            assert_eq!(chosen(&list(None, &names, &[]), 5), Some(best));
            files.pop();
        }
    }

    #[test]
    fn of_branches_the_history_chooses() {
        let files = [
            "000000010000000000000001",
            "000000010000000000000002",
            "000000010000000000000003",
            "000000010000000000000004",
            "000000020000000000000002",
            "000000020000000000000003",
            "000000030000000000000003",
            "000000030000000000000004",
        ];
        let histories = [("00000002.history", "1\t0/2500000\tx\n"), ("00000003.history", "1\t0/380000\tx\n")];
        let on = |timeline| {
            let list = list(timeline, &files, &histories);
            (1..=5).filter_map(|number| chosen(&list, number)).map(|name| name[7..8].to_owned()).collect::<String>()
        };
        assert_eq!(on(None), "1133");
        assert_eq!(on(Some(3)), "1133");
        assert_eq!(on(Some(1)), "1111");
    }

    #[test]
    fn an_old_timeline_ends_where_it_was_left() {
        let files = ["000000010000000000000001", "000000010000000000000002", "000000020000000000000003"];
        let list = list(None, &files, &[("00000002.history", "1\t0/280000\tx\n")]);
        let choice = list.find(SegmentNo::new(2), None).unwrap();
        assert_eq!((choice.end, choice.newest), (Some(Lsn::new(0x28_0000)), false));
        assert_eq!(list.find(SegmentNo::new(3), None).unwrap().end, None);
        assert_eq!(list.after(SegmentNo::new(1)), Some(SegmentNo::new(2)));
    }

    #[test]
    fn several_directories_are_as_one_whose_first_has_precedence() {
        let (archive, wal) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two, three) = ("000000010000000000000001", "000000010000000000000002", "000000020000000000000003");
        for name in [format!("{one}.gz"), format!("{two}.partial")] {
            fs::write(archive.path().join(name), "").unwrap();
        }
        for name in [one, two, three] {
            fs::write(wal.path().join(name), "").unwrap();
        }
        fs::write(archive.path().join("00000002.history"), "1\t0/280000\tx\n").unwrap();
        let listing = Listing::read(&[archive.path().into(), wal.path().into()]).unwrap();
        let list = SegmentList::new(listing, None, SIZE).unwrap();
        let path = |number| list.find(SegmentNo::new(number), None).unwrap().file.path();
        assert_eq!(path(1), archive.path().join(format!("{one}.gz")));
        assert_eq!((path(2), path(3)), (wal.path().join(two), wal.path().join(three)));
        assert_eq!(list.find(SegmentNo::new(2), None).unwrap().end, Some(Lsn::new(0x28_0000)));
    }

    #[test]
    fn without_histories_the_log_does_not_return_to_a_lower_timeline() {
        let files = ["000000010000000000000001", "000000020000000000000001", "000000010000000000000002"];
        let list = list(None, &files, &[]);
        assert_eq!(chosen(&list, 1).as_deref(), Some(files[1]));
        assert_eq!(list.find(SegmentNo::new(2), Some(TimelineId::new(2))), None);
        assert_eq!(chosen(&list, 2).as_deref(), Some(files[2]));
    }
}
