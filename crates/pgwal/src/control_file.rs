//! `global/pg_control`: how a server ended, and where its recovery begins.
//!
//! Source: `src/include/catalog/pg_control.h`: `ControlFileData`, `src/common/controldata_utils.c`: `get_controlfile`. What
//! is read here lies at the same places in 13 to 18.

use crc_fast::{CrcAlgorithm, checksum};

use crate::cursor::Cursor;
use crate::error::Malformed;
use crate::ids::TimelineId;
use crate::lsn::Lsn;

/// Where `ControlFileData.crc` is; from 18 on there is one more byte before it, which alignment makes four.
const CRC_OFFSETS: [(u32, usize); 3] = [(1300, 288), (1700, 288), (1800, 292)];

/// How a server ended, or that it runs (`DBState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatabaseState {
    /// `DB_STARTUP`: made by `initdb`, or being started.
    Startup,
    /// `DB_SHUTDOWNED`: nothing is to be recovered.
    ShutDown,
    /// `DB_SHUTDOWNED_IN_RECOVERY`: a standby that was stopped.
    ShutDownInRecovery,
    /// `DB_SHUTDOWNING`.
    ShuttingDown,
    /// `DB_IN_CRASH_RECOVERY`.
    CrashRecovery,
    /// `DB_IN_ARCHIVE_RECOVERY`: a standby, or a backup that is restored.
    ArchiveRecovery,
    /// `DB_IN_PRODUCTION`: it runs or has crashed.
    Production,
    /// Another number.
    Unknown(u32),
}

impl DatabaseState {
    const fn new(number: u32) -> Self {
        match number {
            0 => Self::Startup,
            1 => Self::ShutDown,
            2 => Self::ShutDownInRecovery,
            3 => Self::ShuttingDown,
            4 => Self::CrashRecovery,
            5 => Self::ArchiveRecovery,
            6 => Self::Production,
            other => Self::Unknown(other),
        }
    }
}

/// The part of `pg_control` that tells where recovery begins (`ControlFileData`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlFile {
    /// Number of the installation, which each WAL segment carries too.
    pub system_identifier: u64,
    /// Format of the file (`pg_control_version`).
    pub version: u32,
    /// How the server ended.
    pub state: DatabaseState,
    /// The last checkpoint's record (`checkPoint`).
    pub checkpoint: Lsn,
    /// Where redo from that checkpoint begins (`checkPointCopy.redo`).
    pub redo: Lsn,
    /// The checkpoint's timeline (`checkPointCopy.ThisTimeLineID`).
    pub timeline: TimelineId,
    /// What recovery must reach before the server may be used (`minRecoveryPoint`); invalid (zero) if it was not in
    /// archive recovery.
    pub min_recovery_point: Lsn,
    /// The timeline of that position (`minRecoveryPointTLI`).
    pub min_recovery_point_timeline: TimelineId,
}

impl ControlFile {
    /// Path of the file in the data directory (`XLOG_CONTROL_FILE`).
    pub const PATH: &'static str = "global/pg_control";

    /// Reads the content of the file.
    ///
    /// # Errors
    /// [`ControlFileError`] if it is too short, of a major that is not known here, or its checksum is wrong.
    pub fn parse(content: &[u8]) -> Result<Self, ControlFileError> {
        let mut cursor = Cursor::new(content);
        let system_identifier = cursor.u64("system_identifier")?;
        let version = cursor.u32("pg_control_version")?;
        let known = CRC_OFFSETS.iter().find(|(known, _)| *known == version);
        let &(_, crc_offset) = known.ok_or(ControlFileError::Version(version))?;
        cursor.take("catalog_version_no", 4)?;
        let state = DatabaseState::new(cursor.u32("state")?);
        // Alignment, and the time of the last change.
        cursor.take("time", 12)?;
        let checkpoint = Lsn::new(cursor.u64("checkPoint")?);
        let redo = Lsn::new(cursor.u64("checkPointCopy.redo")?);
        let timeline = TimelineId::new(cursor.u32("checkPointCopy.ThisTimeLineID")?);
        // The rest of `CheckPoint`, which ends at 128, and `unloggedLSN`.
        cursor.take("checkPointCopy", 84)?;
        let min_recovery_point = Lsn::new(cursor.u64("minRecoveryPoint")?);
        let min_recovery_point_timeline = TimelineId::new(cursor.u32("minRecoveryPointTLI")?);

        let mut whole = Cursor::new(content);
        let covered = whole.take("crc", crc_offset)?;
        // The algorithm has 32 bits.
        if checksum(CrcAlgorithm::Crc32Iscsi, covered) != u64::from(whole.u32("crc")?) {
            return Err(ControlFileError::Checksum);
        }
        Ok(Self {
            system_identifier,
            version,
            state,
            checkpoint,
            redo,
            timeline,
            min_recovery_point,
            min_recovery_point_timeline,
        })
    }

    /// The timeline that recovery follows unless it is told another (`InitWalRecovery`).
    #[must_use]
    pub fn recovery_timeline(&self) -> TimelineId {
        self.timeline.max(self.min_recovery_point_timeline)
    }
}

/// `pg_control` cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlFileError {
    /// It is too short.
    #[error("it is too short: {0}")]
    Short(#[from] Malformed),
    /// `pg_control_version` is not that of 13 to 18.
    #[error("its version is {0}, not one of PostgreSQL 13 to 18")]
    Version(u32),
    /// The checksum is wrong.
    #[error("its checksum is wrong")]
    Checksum,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a server writes it that crashed: only what is read is not zero.
    fn content(version: u32, crc_offset: usize) -> Vec<u8> {
        let mut content = vec![0; 8192];
        let mut put = |at: usize, bytes: &[u8]| content[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &77u64.to_le_bytes());
        put(8, &version.to_le_bytes());
        put(16, &6u32.to_le_bytes());
        put(32, &0x150u64.to_le_bytes());
        put(40, &0x140u64.to_le_bytes());
        put(48, &2u32.to_le_bytes());
        put(136, &0x180u64.to_le_bytes());
        put(144, &3u32.to_le_bytes());
        let crc = crc32c::crc32c(&content[..crc_offset]);
        content[crc_offset..crc_offset + 4].copy_from_slice(&crc.to_le_bytes());
        content
    }

    #[test]
    fn each_format_is_read() {
        for (version, crc_offset) in CRC_OFFSETS {
            let control = ControlFile::parse(&content(version, crc_offset)).unwrap();
            assert_eq!((control.system_identifier, control.state), (77, DatabaseState::Production));
            assert_eq!((control.checkpoint, control.redo), (Lsn::new(0x150), Lsn::new(0x140)));
            assert_eq!((control.timeline, control.min_recovery_point), (TimelineId::new(2), Lsn::new(0x180)));
            assert_eq!(control.recovery_timeline(), TimelineId::new(3));
        }
    }

    #[test]
    fn what_is_no_control_file_is_refused() {
        let good = content(1300, 288);
        let mut damaged = good.clone();
        damaged[40] ^= 1;
        assert_eq!(ControlFile::parse(&damaged), Err(ControlFileError::Checksum));
        assert_eq!(ControlFile::parse(&content(1201, 288)), Err(ControlFileError::Version(1201)));
        for length in [0, 8, 40, 148, 290] {
            assert!(matches!(ControlFile::parse(&good[..length]), Err(ControlFileError::Short(_))), "{length}");
        }
    }
}
