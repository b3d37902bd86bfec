//! Source: `src/backend/access/rmgrdesc/xlogdesc.c`.

use std::fmt::{self, Write};

use crate::rmgr::xlog::{Checkpoint, Xlog, wal_level_name};

pub(super) fn describe(xlog: &Xlog<'_>, text: &mut String) -> fmt::Result {
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
            write!(text, "tli {}; prev tli {}; time {}", end.timeline, end.previous_timeline, end.time)?;
            match end.wal_level {
                Some(level) => write!(text, "; wal_level {}", wal_level_name(level)),
                None => Ok(()),
            }
        }
        Xlog::OverwriteContrecord(lsn, time) => write!(text, "lsn {lsn}; time {time}"),
        Xlog::CheckpointRedo(level) => write!(text, "wal_level {}", wal_level_name(*level)),
        Xlog::Noop | Xlog::Switch | Xlog::ImageForHint | Xlog::Image | Xlog::Unknown => Ok(()),
    }
}

fn describe_checkpoint(checkpoint: &Checkpoint, kind: &str, text: &mut String) -> fmt::Result {
    let Checkpoint { redo, timeline, previous_timeline, full_page_writes, .. } = checkpoint;
    write!(text, "redo {redo}; tli {timeline}; prev tli {previous_timeline}; fpw {full_page_writes}; ")?;
    if let Some(level) = checkpoint.wal_level {
        write!(text, "wal_level {}; ", wal_level_name(level))?;
    }
    write!(
        text,
        "xid {}:{}; oid {}; multi {}; offset {}; oldest xid {} in DB {}; oldest multi {} in DB {}; \
         oldest/newest commit timestamp xid: {}/{}; oldest running xid {}; {kind}",
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
