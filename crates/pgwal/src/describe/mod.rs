//! What a record does, in the words of `pg_waldump`. Source: `src/backend/access/rmgrdesc/*.c`.
//!
//! The words are those of the record's own major version. One file for each resource manager.

mod brin;
mod btree;
mod clog;
mod commit_ts;
mod dbase;
mod format;
mod generic;
mod gin;
mod gist;
mod hash;
mod heap;
mod heap2;
mod line;
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
mod tests;
mod title;
mod xact;
mod xlog;

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

    /// What [`Record::describe`] tells, byte for byte as it is in the record, and without new memory each time.
    ///
    /// # Errors
    /// [`RecordError`] if the record does not hold what its kind promises; nothing is appended then.
    pub fn append_description(&self, text: &mut TextBuffer) -> Result<(), RecordError> {
        let version = self.version;
        match self.rmgr {
            RmgrId::XLOG => xlog::describe(&rmgr::xlog::Xlog::parse(self)?, text),
            RmgrId::TRANSACTION => xact::describe(self, &rmgr::xact::Xact::parse(self)?, text),
            RmgrId::STORAGE => smgr::describe(self, &rmgr::smgr::Smgr::parse(self)?, text),
            RmgrId::CLOG => clog::describe(&rmgr::clog::Clog::parse(self)?, text),
            RmgrId::DATABASE => dbase::describe(&rmgr::dbase::Dbase::parse(self)?, text),
            RmgrId::TABLESPACE => tablespace::describe(&rmgr::tablespace::Tablespace::parse(self)?, text),
            RmgrId::MULTI_XACT => multixact::describe(&rmgr::multixact::MultiXact::parse(self)?, text),
            RmgrId::REL_MAP => relmap::describe(&rmgr::relmap::RelMap::parse(self)?, text),
            RmgrId::STANDBY => standby::describe(&rmgr::standby::Standby::parse(self)?, version, text),
            RmgrId::HEAP2 => heap2::describe(self, &rmgr::heap2::Heap2::parse(self)?, text),
            RmgrId::HEAP => heap::describe(&rmgr::heap::Heap::parse(self)?, version, text),
            RmgrId::BTREE => btree::describe(&rmgr::btree::Btree::parse(self)?, version, text),
            RmgrId::HASH => hash::describe(&rmgr::hash::Hash::parse(self)?, version, text),
            RmgrId::GIN => gin::describe(&rmgr::gin::Gin::parse(self)?, text),
            RmgrId::GIST => gist::describe(&rmgr::gist::Gist::parse(self)?, version, text),
            RmgrId::SEQUENCE => sequence::describe(&rmgr::sequence::Sequence::parse(self)?, text),
            RmgrId::SP_GIST => spgist::describe(&rmgr::spgist::SpGist::parse(self)?, version, text),
            RmgrId::BRIN => brin::describe(&rmgr::brin::Brin::parse(self)?, text),
            RmgrId::COMMIT_TS => commit_ts::describe(&rmgr::commit_ts::CommitTs::parse(self)?, text),
            RmgrId::REPLICATION_ORIGIN => {
                replication_origin::describe(&rmgr::replication_origin::ReplicationOrigin::parse(self)?, text)
            }
            RmgrId::GENERIC => generic::describe(&rmgr::generic::Generic::parse(self)?, text),
            RmgrId::LOGICAL_MESSAGE => {
                logical_message::describe(&rmgr::logical_message::LogicalMessage::parse(self)?, version, text)
            }
            custom => append!(text, "rmid: ", custom.get()),
        }
        Ok(())
    }
}
