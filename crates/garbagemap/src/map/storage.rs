//! Creation, truncation and removal of files. Sources: `src/backend/catalog/storage.c`,
//! `src/backend/commands/dbcommands.c`.

use pgwal::rmgr::dbase::Dbase;
use pgwal::rmgr::smgr::Smgr;
use pgwal::{Fork, Record, RecordError};

use super::GarbageMap;
use crate::relation::Relation;

impl GarbageMap {
    pub(super) fn apply_smgr(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        match Smgr::parse(record)? {
            Smgr::Create { relation, fork } if fork == Fork::MAIN => {
                self.relations.insert(relation, Relation::created());
            }
            Smgr::Truncate(truncate) => {
                // Also of one that nothing is known of: its file must not be read any further.
                let relation = self.relation(truncate.relation);
                relation.truncate(truncate.block, truncate.heap(), truncate.visibility_map());
                if truncate.heap() && truncate.block.get() == 0 {
                    relation.activity.truncated();
                }
            }
            Smgr::Create { .. } | Smgr::Unknown => {}
        }
        Ok(())
    }

    pub(super) fn apply_dbase(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        if let Dbase::Drop { database, tablespaces } = Dbase::parse(record)? {
            self.relations
                .retain(|locator, _| locator.database != database || !tablespaces.contains(&locator.tablespace));
        }
        Ok(())
    }
}
