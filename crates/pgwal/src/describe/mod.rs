//! What a record does, in the words of `pg_waldump`. Source: `src/backend/access/rmgrdesc/*.c`.
//!
//! The words are those of the record's own major version. One file for each resource manager.

mod brin;
mod btree;
mod clog;
pub(crate) mod columns;
mod commit_ts;
mod dbase;
mod format;
mod generic;
mod gin;
mod gist;
mod hash;
mod heap;
mod heap2;
pub(crate) mod line;
mod logical_message;
mod multixact;
mod relmap;
mod replication_origin;
mod sequence;
mod smgr;
mod spgist;
mod standby;
mod tablespace;
#[cfg(test)]
pub(crate) mod tests;
mod title;
mod xact;
mod xlog;

use crate::descriptor;
use crate::error::RecordError;
use crate::record::Record;
use crate::rmgr::{self, RmgrId};
use crate::text::{TextBuffer, append};
use crate::version::Version;

impl RmgrId {
    /// Name of the operation that `info` stands for, such as `HOT_UPDATE`; `None` if there is no such operation, and
    /// for custom resource managers, whose names only their extensions know.
    #[must_use]
    pub fn identify(self, info: u8, version: Version) -> Option<&'static str> {
        match self {
            Self::XLOG => rmgr::xlog::identify(info, version),
            Self::TRANSACTION => rmgr::xact::identify(info, version),
            Self::STORAGE => rmgr::smgr::identify(info),
            Self::CLOG => rmgr::clog::identify(info),
            Self::DATABASE => rmgr::dbase::identify(info, version),
            Self::TABLESPACE => rmgr::tablespace::identify(info),
            Self::MULTI_XACT => rmgr::multixact::identify(info),
            Self::REL_MAP => rmgr::relmap::identify(info),
            Self::STANDBY => rmgr::standby::identify(info),
            Self::HEAP2 => rmgr::heap2::identify(info, version),
            Self::HEAP => rmgr::heap::identify(info),
            Self::BTREE => rmgr::btree::identify(info),
            Self::HASH => rmgr::hash::identify(info),
            Self::GIN => rmgr::gin::identify(info),
            Self::GIST => rmgr::gist::identify(info),
            Self::SEQUENCE => rmgr::sequence::identify(info),
            Self::SP_GIST => rmgr::spgist::identify(info),
            Self::BRIN => rmgr::brin::identify(info),
            Self::COMMIT_TS => rmgr::commit_ts::identify(info),
            Self::REPLICATION_ORIGIN => rmgr::replication_origin::identify(info),
            Self::GENERIC => rmgr::generic::identify(info),
            Self::LOGICAL_MESSAGE => rmgr::logical_message::identify(info),
            _ => None,
        }
    }
}

impl Record<'_> {
    /// Name of the operation, such as `HOT_UPDATE`; see [`RmgrId::identify`].
    #[must_use]
    pub fn identify(&self) -> Option<&'static str> {
        self.rmgr.identify(self.info, self.version)
    }

    /// Appends the text that `pg_waldump` shows behind the operation's name. Times are in UTC. What is not UTF-8 is
    /// replaced.
    ///
    /// # Errors
    /// [`RecordError`] if the record does not hold what its kind promises; nothing is appended then.
    pub fn describe(&self, text: &mut String) -> Result<(), RecordError> {
        let mut description = TextBuffer::new();
        self.append_description(&mut description)?;
        text.push_str(&String::from_utf8_lossy(description.as_bytes()));
        Ok(())
    }

    /// What [`Record::describe`] tells, byte for byte as it is in the record, in the time zone of `text`, and without new
    /// memory each time.
    ///
    /// # Errors
    /// [`RecordError`] if the record does not hold what its kind promises; nothing is appended then.
    pub fn append_description(&self, text: &mut TextBuffer) -> Result<(), RecordError> {
        let version = self.version;
        match self.rmgr {
            RmgrId::XLOG => tell(&rmgr::xlog::Xlog::parse(self), |parsed| xlog::describe(parsed, text)),
            RmgrId::TRANSACTION => xact::describe(self, text),
            RmgrId::STORAGE => tell(&rmgr::smgr::Smgr::parse(self), |parsed| smgr::describe(self, parsed, text)),
            RmgrId::CLOG => tell(&rmgr::clog::Clog::parse(self), |parsed| clog::describe(parsed, text)),
            RmgrId::DATABASE => tell(&rmgr::dbase::Dbase::parse(self), |parsed| dbase::describe(parsed, text)),
            RmgrId::TABLESPACE => {
                tell(&rmgr::tablespace::Tablespace::parse(self), |parsed| tablespace::describe(parsed, text))
            }
            RmgrId::MULTI_XACT => {
                tell(&rmgr::multixact::MultiXact::parse(self), |parsed| multixact::describe(parsed, text))
            }
            RmgrId::REL_MAP => tell(&rmgr::relmap::RelMap::parse(self), |parsed| relmap::describe(parsed, text)),
            RmgrId::STANDBY => {
                tell(&rmgr::standby::Standby::parse(self), |parsed| standby::describe(parsed, version, text))
            }
            RmgrId::HEAP2 => tell(&rmgr::heap2::Heap2::parse(self), |parsed| heap2::describe(self, parsed, text)),
            RmgrId::HEAP => heap::describe(self, text),
            RmgrId::BTREE => tell(&rmgr::btree::Btree::parse(self), |parsed| btree::describe(parsed, version, text)),
            RmgrId::HASH => tell(&rmgr::hash::Hash::parse(self), |parsed| hash::describe(parsed, version, text)),
            RmgrId::GIN => tell(&rmgr::gin::Gin::parse(self), |parsed| gin::describe(parsed, text)),
            RmgrId::GIST => tell(&rmgr::gist::Gist::parse(self), |parsed| gist::describe(parsed, version, text)),
            RmgrId::SEQUENCE => tell(&rmgr::sequence::Sequence::parse(self), |parsed| sequence::describe(parsed, text)),
            RmgrId::SP_GIST => {
                tell(&rmgr::spgist::SpGist::parse(self), |parsed| spgist::describe(parsed, version, text))
            }
            RmgrId::BRIN => tell(&rmgr::brin::Brin::parse(self), |parsed| brin::describe(parsed, text)),
            RmgrId::COMMIT_TS => {
                tell(&rmgr::commit_ts::CommitTs::parse(self), |parsed| commit_ts::describe(parsed, text))
            }
            RmgrId::REPLICATION_ORIGIN => tell(&rmgr::replication_origin::ReplicationOrigin::parse(self), |parsed| {
                replication_origin::describe(parsed, text)
            }),
            RmgrId::GENERIC => tell(&rmgr::generic::Generic::parse(self), |parsed| generic::describe(parsed, text)),
            RmgrId::LOGICAL_MESSAGE => tell(&rmgr::logical_message::LogicalMessage::parse(self), |parsed| {
                logical_message::describe(parsed, version, text)
            }),
            custom => descriptor::describe(self, text).unwrap_or_else(|| {
                append!(text, "rmid: ", custom.get());
                Ok(())
            }),
        }
    }
}

/// Tells what was parsed where it is: to move it costs more time than to tell it.
#[inline(always)]
fn tell<T>(parsed: &Result<T, RecordError>, describe: impl FnOnce(&T)) -> Result<(), RecordError> {
    match parsed {
        Ok(parsed) => {
            describe(parsed);
            Ok(())
        }
        Err(error) => Err(error.clone()),
    }
}
