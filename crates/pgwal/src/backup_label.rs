//! `backup_label`: where the recovery of a base backup begins.
//!
//! Source: `src/backend/access/transam/xlogrecovery.c`: `read_backup_label`.

use crate::ids::TimelineId;
use crate::lsn::Lsn;
use crate::segment::SegmentName;

/// The part of `backup_label` that tells where recovery begins. While the file is there, a server goes by it and not by
/// `pg_control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupLabel {
    /// Where redo begins (`START WAL LOCATION`).
    pub start: Lsn,
    /// The timeline there, as the name of its segment tells.
    pub timeline: TimelineId,
    /// The checkpoint's record (`CHECKPOINT LOCATION`).
    pub checkpoint: Lsn,
}

impl BackupLabel {
    /// Name of the file in the data directory (`BACKUP_LABEL_FILE`).
    pub const FILE_NAME: &'static str = "backup_label";

    /// Reads the content of the file.
    ///
    /// # Errors
    /// [`BackupLabelError`] where PostgreSQL refuses the file: its first two lines must be as a server writes them.
    pub fn parse(content: &str) -> Result<Self, BackupLabelError> {
        let (first, rest) = content.split_once('\n').ok_or(BackupLabelError)?;
        let (second, _) = rest.split_once('\n').ok_or(BackupLabelError)?;
        let start = first.strip_prefix("START WAL LOCATION: ").ok_or(BackupLabelError)?;
        let (start, file) = start.split_once(" (file ").ok_or(BackupLabelError)?;
        let segment: SegmentName = file.strip_suffix(')').and_then(|name| name.parse().ok()).ok_or(BackupLabelError)?;
        let checkpoint = second.strip_prefix("CHECKPOINT LOCATION: ").ok_or(BackupLabelError)?;
        let lsn = |text: &str| text.parse().map_err(|_| BackupLabelError);
        Ok(Self { start: lsn(start)?, timeline: segment.timeline, checkpoint: lsn(checkpoint)? })
    }
}

/// `backup_label` is not as a server writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not as a server writes it")]
pub struct BackupLabelError;

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &str = "\
START WAL LOCATION: 1/2000028 (file 000000030000000100000002)
CHECKPOINT LOCATION: 1/2000060
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-01-02 03:04:05 UTC
LABEL: pg_basebackup base backup
START TIMELINE: 3
";

    #[test]
    fn the_first_two_lines_tell_where_recovery_begins() {
        let label = BackupLabel::parse(LABEL).unwrap();
        assert_eq!((label.start, label.checkpoint), (Lsn::new(0x1_0200_0028), Lsn::new(0x1_0200_0060)));
        assert_eq!(label.timeline, TimelineId::new(3));
    }

    #[test]
    fn other_files_are_refused() {
        let changed =
            [("START WAL", "Start WAL"), (" (file", ""), ("1/2000060", "x"), (")\n", "\n"), ("03000000", "0")];
        for (from, to) in changed {
            assert_eq!(BackupLabel::parse(&LABEL.replacen(from, to, 1)), Err(BackupLabelError), "{from}");
        }
        assert_eq!(BackupLabel::parse(""), Err(BackupLabelError));
        assert_eq!(BackupLabel::parse(LABEL.lines().next().unwrap()), Err(BackupLabelError));
    }
}
