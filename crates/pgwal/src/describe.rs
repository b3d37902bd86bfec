//! What a record does, in the words of `pg_waldump`. Source: `src/backend/access/rmgrdesc/*.c`.
//!
//! Texts are those of PostgreSQL 15; where a resource manager is not typed yet, a record has no name and no text.

use std::fmt::{self, Write};

use crate::error::RecordError;
use crate::ids::{Fork, Oid, RelFileLocator, TransactionId};
use crate::lsn::Lsn;
use crate::record::Record;
use crate::rmgr::heap::{Heap, InfoBits, Update};
use crate::rmgr::heap2::Heap2;
use crate::rmgr::smgr::Smgr;
use crate::rmgr::standby::{Invalidation, Standby};
use crate::rmgr::xact::{End, EndFlags, Prepare, StatisticsItem, Xact};
use crate::rmgr::xlog::{Checkpoint, Xlog, wal_level_name};
use crate::rmgr::{RmgrId, heap, heap2, smgr, standby, xact, xlog};
use crate::timestamp::Timestamp;
use crate::version::Version;

impl RmgrId {
    /// Whether records of this resource manager are typed: then they have names and descriptions.
    #[must_use]
    pub const fn is_decoded(self) -> bool {
        matches!(self, Self::XLOG | Self::TRANSACTION | Self::STORAGE | Self::STANDBY | Self::HEAP2 | Self::HEAP)
    }

    /// Name of the operation that `info` stands for, such as `HOT_UPDATE`; `None` if there is no such operation or
    /// the resource manager is not decoded.
    #[must_use]
    pub fn identify(self, info: u8, version: Version) -> Option<&'static str> {
        match self {
            Self::XLOG => xlog::identify(info, version),
            Self::TRANSACTION => xact::identify(info),
            Self::STORAGE => smgr::identify(info),
            Self::STANDBY => standby::identify(info),
            Self::HEAP2 => heap2::identify(info, version),
            Self::HEAP => heap::identify(info),
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

    /// Appends the text that `pg_waldump` shows behind the operation's name; nothing if the resource manager is not
    /// decoded. Times are in UTC.
    ///
    /// # Errors
    /// [`RecordError`] if the record does not hold what its kind promises; part of the text may be there then.
    pub fn describe(&self, text: &mut String) -> Result<(), RecordError> {
        // Writing to a String does not fail.
        let _ = match self.rmgr {
            RmgrId::XLOG => describe_xlog(&Xlog::parse(self)?, text),
            RmgrId::TRANSACTION => describe_xact(self, &Xact::parse(self)?, text),
            RmgrId::STORAGE => describe_smgr(self, &Smgr::parse(self)?, text),
            RmgrId::STANDBY => describe_standby(&Standby::parse(self)?, text),
            RmgrId::HEAP2 => describe_heap2(&Heap2::parse(self)?, text),
            RmgrId::HEAP => describe_heap(&Heap::parse(self)?, text),
            _ => Ok(()),
        };
        Ok(())
    }
}

fn describe_xlog(xlog: &Xlog<'_>, text: &mut String) -> fmt::Result {
    match xlog {
        Xlog::CheckpointShutdown(checkpoint) => describe_checkpoint(checkpoint, "shutdown", text),
        Xlog::CheckpointOnline(checkpoint) => describe_checkpoint(checkpoint, "online", text),
        Xlog::NextOid(oid) => write!(text, "{oid}"),
        Xlog::RestorePoint(_, name) => write!(text, "{}", String::from_utf8_lossy(name)),
        Xlog::BackupEnd(start) => write!(text, "{start}"),
        Xlog::ParameterChange(change) => write!(
            text,
            "max_connections={} max_worker_processes={} max_wal_senders={} max_prepared_xacts={} \
             max_locks_per_xact={} wal_level={} wal_log_hints={} track_commit_timestamp={}",
            change.max_connections,
            change.max_worker_processes,
            change.max_wal_senders,
            change.max_prepared_transactions,
            change.max_locks_per_transaction,
            wal_level_name(change.wal_level),
            if change.wal_log_hints { "on" } else { "off" },
            if change.track_commit_timestamp { "on" } else { "off" },
        ),
        Xlog::FullPageWrites(on) => write!(text, "{on}"),
        Xlog::EndOfRecovery(end) => {
            write!(text, "tli {}; prev tli {}; time {}", end.timeline, end.previous_timeline, end.time)
        }
        Xlog::OverwriteContrecord(lsn, time) => write!(text, "lsn {lsn}; time {time}"),
        Xlog::Noop | Xlog::Switch | Xlog::ImageForHint | Xlog::Image | Xlog::CheckpointRedo | Xlog::Unknown => Ok(()),
    }
}

fn describe_checkpoint(checkpoint: &Checkpoint, kind: &str, text: &mut String) -> fmt::Result {
    write!(
        text,
        "redo {}; tli {}; prev tli {}; fpw {}; xid {}:{}; oid {}; multi {}; offset {}; \
         oldest xid {} in DB {}; oldest multi {} in DB {}; oldest/newest commit timestamp xid: {}/{}; \
         oldest running xid {}; {kind}",
        checkpoint.redo,
        checkpoint.timeline,
        checkpoint.previous_timeline,
        checkpoint.full_page_writes,
        checkpoint.epoch(),
        checkpoint.next_xid(),
        checkpoint.next_oid,
        checkpoint.next_multi,
        checkpoint.next_multi_offset,
        checkpoint.oldest_xid,
        checkpoint.oldest_xid_database,
        checkpoint.oldest_multi,
        checkpoint.oldest_multi_database,
        checkpoint.oldest_commit_timestamp_xid,
        checkpoint.newest_commit_timestamp_xid,
        checkpoint.oldest_active_xid,
    )
}

fn describe_xact(record: &Record<'_>, xact: &Xact, text: &mut String) -> fmt::Result {
    match xact {
        Xact::Commit(end) => {
            describe_end(record, end, text)?;
            describe_statistics(&end.dropped_statistics, "", text)?;
            let init_file = end.flags.contains(EndFlags::RELCACHE_FILE_INVALIDATION);
            describe_invalidations(&end.invalidations, end.database, end.tablespace, init_file, text)?;
            if end.flags.contains(EndFlags::APPLY_FEEDBACK) {
                text.write_str("; apply_feedback")?;
            }
            if end.flags.contains(EndFlags::FORCE_SYNC) {
                text.write_str("; sync")?;
            }
            describe_origin(record, end.origin, text)
        }
        Xact::Abort(end) => {
            describe_end(record, end, text)?;
            describe_origin(record, end.origin, text)?;
            describe_statistics(&end.dropped_statistics, "", text)
        }
        Xact::Prepare(prepare) => describe_prepare(record, prepare, text),
        Xact::Assignment { top, subtransactions } => {
            write!(text, "xtop {top}: subxacts:")?;
            subtransactions.iter().try_for_each(|xid| write!(text, " {xid}"))
        }
        Xact::Invalidations(messages) => describe_invalidations(messages, Oid::default(), Oid::default(), false, text),
        Xact::Unknown => Ok(()),
    }
}

fn describe_end(record: &Record<'_>, end: &End, text: &mut String) -> fmt::Result {
    if end.flags.contains(EndFlags::HAS_TWO_PHASE) && end.xid.is_valid() {
        write!(text, "{}: ", end.xid)?;
    }
    write!(text, "{}", end.time)?;
    describe_relations(record, "rels", &end.relations, text)?;
    describe_subtransactions(&end.subtransactions, text)
}

fn describe_prepare(record: &Record<'_>, prepare: &Prepare, text: &mut String) -> fmt::Result {
    write!(text, "gid {}: {}", String::from_utf8_lossy(&prepare.global_identifier), prepare.time)?;
    describe_relations(record, "rels(commit)", &prepare.commit_relations, text)?;
    describe_relations(record, "rels(abort)", &prepare.abort_relations, text)?;
    describe_statistics(&prepare.commit_statistics, "commit ", text)?;
    describe_statistics(&prepare.abort_statistics, "abort ", text)?;
    describe_subtransactions(&prepare.subtransactions, text)?;
    let init_file = prepare.relcache_file_invalidation;
    describe_invalidations(&prepare.invalidations, prepare.database, Oid::default(), init_file, text)?;
    describe_origin(record, record.origin.map(|_| prepare.origin), text)
}

fn describe_relations(
    record: &Record<'_>,
    label: &str,
    relations: &[RelFileLocator],
    text: &mut String,
) -> fmt::Result {
    if !relations.is_empty() {
        write!(text, "; {label}:")?;
    }
    let major = record.version.major();
    relations.iter().try_for_each(|relation| write!(text, " {}", relation.path(Fork::MAIN, major)))
}

fn describe_subtransactions(subtransactions: &[TransactionId], text: &mut String) -> fmt::Result {
    if !subtransactions.is_empty() {
        text.write_str("; subxacts:")?;
    }
    subtransactions.iter().try_for_each(|xid| write!(text, " {xid}"))
}

fn describe_statistics(items: &[StatisticsItem], label: &str, text: &mut String) -> fmt::Result {
    if !items.is_empty() {
        write!(text, "; {label}dropped stats:")?;
    }
    items.iter().try_for_each(|item| write!(text, " {}/{}/{}", item.kind, item.database, item.object))
}

fn describe_origin(record: &Record<'_>, origin: Option<(Lsn, Timestamp)>, text: &mut String) -> fmt::Result {
    match origin {
        Some((lsn, time)) => {
            let node = record.origin.unwrap_or_default();
            write!(text, "; origin: node {node}, lsn {lsn}, at {time}")
        }
        None => Ok(()),
    }
}

/// Source: `standby_desc_invalidations`.
fn describe_invalidations(
    messages: &[Invalidation],
    database: Oid,
    tablespace: Oid,
    init_file: bool,
    text: &mut String,
) -> fmt::Result {
    if messages.is_empty() {
        return Ok(());
    }
    if init_file {
        write!(text, "; relcache init file inval dbid {database} tsid {tablespace}")?;
    }
    text.write_str("; inval msgs:")?;
    messages.iter().try_for_each(|message| match message.id {
        id @ 0.. => write!(text, " catcache {id}"),
        -1 => write!(text, " catalog {}", message.second),
        -2 => write!(text, " relcache {}", message.second),
        -3 => text.write_str(" smgr"),
        -4 => write!(text, " relmap db {}", message.first),
        -5 => write!(text, " snapshot {}", message.second),
        id => write!(text, " unrecognized id {id}"),
    })
}

fn describe_smgr(record: &Record<'_>, smgr: &Smgr, text: &mut String) -> fmt::Result {
    let major = record.version.major();
    match smgr {
        Smgr::Create { relation, fork } => text.write_str(&relation.path(*fork, major)),
        Smgr::Truncate(truncate) => {
            let path = truncate.relation.path(Fork::MAIN, major);
            write!(text, "{path} to {} blocks flags {}", truncate.block, truncate.flags)
        }
        Smgr::Unknown => Ok(()),
    }
}

fn describe_standby(standby: &Standby, text: &mut String) -> fmt::Result {
    match standby {
        Standby::Lock(locks) => locks
            .iter()
            .try_for_each(|(xid, database, relation)| write!(text, "xid {xid} db {database} rel {relation} ")),
        Standby::RunningXacts(running) => {
            write!(
                text,
                "nextXid {} latestCompletedXid {} oldestRunningXid {}",
                running.next_xid, running.latest_completed_xid, running.oldest_running_xid
            )?;
            if running.count > 0 {
                write!(text, "; {} xacts:", running.count)?;
                running.xids.iter().take(running.count).try_for_each(|xid| write!(text, " {xid}"))?;
            }
            if running.subtransactions_overflowed {
                text.write_str("; subxid ovf")?;
            }
            Ok(())
        }
        Standby::Invalidations { database, tablespace, relcache_file_invalidation, messages } => {
            describe_invalidations(messages, *database, *tablespace, *relcache_file_invalidation, text)
        }
        Standby::Unknown => Ok(()),
    }
}

fn describe_heap(heap: &Heap, text: &mut String) -> fmt::Result {
    match heap {
        Heap::Insert(insert) => write!(text, "off {} flags 0x{:02X}", insert.offset, insert.flags.bits()),
        Heap::Delete(delete) => {
            write!(text, "off {} flags 0x{:02X} ", delete.offset, delete.flags.bits())?;
            describe_info_bits(delete.info_bits, text)
        }
        Heap::Update(update) | Heap::HotUpdate(update) => describe_update(update, text),
        Heap::Truncate(truncate) => {
            if truncate.flags & 1 != 0 {
                text.write_str("cascade ")?;
            }
            if truncate.flags & 2 != 0 {
                text.write_str("restart_seqs ")?;
            }
            write!(text, "nrelids {} relids", truncate.relations.len())?;
            truncate.relations.iter().try_for_each(|relation| write!(text, " {relation}"))
        }
        Heap::Confirm(offset) | Heap::Inplace(offset) => write!(text, "off {offset}"),
        Heap::Lock(lock) => {
            write!(text, "off {}: xid {}: flags 0x{:02X} ", lock.offset, lock.xmax, lock.flags.bits())?;
            describe_info_bits(lock.info_bits, text)
        }
    }
}

fn describe_update(update: &Update, text: &mut String) -> fmt::Result {
    write!(text, "off {} xmax {} flags 0x{:02X} ", update.old_offset, update.old_xmax, update.flags.bits())?;
    describe_info_bits(update.old_info_bits, text)?;
    write!(text, "; new off {} xmax {}", update.new_offset, update.new_xmax)
}

/// Source: `out_infobits`.
fn describe_info_bits(bits: InfoBits, text: &mut String) -> fmt::Result {
    let names = [
        (InfoBits::XMAX_IS_MULTI, "IS_MULTI "),
        (InfoBits::XMAX_LOCK_ONLY, "LOCK_ONLY "),
        (InfoBits::XMAX_EXCL_LOCK, "EXCL_LOCK "),
        (InfoBits::XMAX_KEYSHR_LOCK, "KEYSHR_LOCK "),
        (InfoBits::KEYS_UPDATED, "KEYS_UPDATED "),
    ];
    names.iter().filter(|(bit, _)| bits.contains(*bit)).try_for_each(|(_, name)| text.write_str(name))
}

fn describe_heap2(heap2: &Heap2<'_>, text: &mut String) -> fmt::Result {
    match heap2 {
        Heap2::Prune(prune) => match prune.conflict_horizon {
            Some(horizon) => write!(
                text,
                "latestRemovedXid {horizon} nredirected {} ndead {}",
                prune.redirected_count, prune.dead_count
            ),
            None => write!(text, "nunused {}", prune.unused_count),
        },
        Heap2::FreezePage(freeze) => write!(text, "cutoff xid {} ntuples {}", freeze.cutoff, freeze.count),
        Heap2::Visible(visible) => write!(text, "cutoff xid {} flags 0x{:02X}", visible.cutoff, visible.flags),
        Heap2::MultiInsert(insert) => write!(text, "{} tuples flags 0x{:02X}", insert.count, insert.flags.bits()),
        Heap2::LockUpdated(lock) => {
            write!(text, "off {}: xmax {}: flags 0x{:02X} ", lock.offset, lock.xmax, lock.flags.bits())?;
            describe_info_bits(lock.info_bits, text)
        }
        Heap2::NewCommandId(command) => write!(
            text,
            "rel {}; tid {}/{}; cmin: {}, cmax: {}, combo: {}",
            command.relation, command.block, command.offset, command.cmin, command.cmax, command.combo
        ),
        Heap2::Rewrite | Heap2::CleanupInfo => Ok(()),
    }
}
