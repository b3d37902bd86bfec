//! Source: `src/backend/access/rmgrdesc/xlogdesc.c`.

use crate::rmgr::xlog::{Checkpoint, ParameterChange, Xlog, wal_level_name};
use crate::text::{TextBuffer, append};

pub(super) fn describe(xlog: &Xlog<'_>, text: &mut TextBuffer) {
    match xlog {
        Xlog::CheckpointShutdown(checkpoint) => describe_checkpoint(checkpoint, "shutdown", text),
        Xlog::CheckpointOnline(checkpoint) => describe_checkpoint(checkpoint, "online", text),
        Xlog::NextOid(oid) => append!(text, oid),
        Xlog::RestorePoint(_, name) => append!(text, name),
        Xlog::BackupEnd(start) => append!(text, start),
        Xlog::ParameterChange(change) => describe_parameter_change(change, text),
        Xlog::FullPageWrites(on) => append!(text, on),
        Xlog::EndOfRecovery(end) => {
            append!(text, "tli ", end.timeline, "; prev tli ", end.previous_timeline, "; time ");
            text.append_time(end.time);
            if let Some(level) = end.wal_level {
                append!(text, "; wal_level ", wal_level_name(level));
            }
        }
        Xlog::OverwriteContrecord(lsn, time) => {
            append!(text, "lsn ", lsn, "; time ");
            text.append_time(*time);
        }
        Xlog::CheckpointRedo(level) => append!(text, "wal_level ", wal_level_name(*level)),
        Xlog::Noop | Xlog::Switch | Xlog::ImageForHint | Xlog::Image | Xlog::Unknown => {}
    }
}

fn describe_checkpoint(checkpoint: &Checkpoint, kind: &str, text: &mut TextBuffer) {
    let Checkpoint { redo, timeline, previous_timeline, full_page_writes, .. } = checkpoint;
    append!(
        text,
        "redo ",
        redo,
        "; tli ",
        timeline,
        "; prev tli ",
        previous_timeline,
        "; fpw ",
        full_page_writes,
        "; "
    );
    if let Some(level) = checkpoint.wal_level {
        append!(text, "wal_level ", wal_level_name(level), "; ");
    }
    append!(text, "xid ", checkpoint.epoch(), ":", checkpoint.next_xid(), "; oid ", checkpoint.next_oid);
    append!(text, "; multi ", checkpoint.next_multi, "; offset ", checkpoint.next_multi_offset);
    append!(text, "; oldest xid ", checkpoint.oldest_xid, " in DB ", checkpoint.oldest_xid_database);
    append!(text, "; oldest multi ", checkpoint.oldest_multi, " in DB ", checkpoint.oldest_multi_database);
    append!(text, "; oldest/newest commit timestamp xid: ", checkpoint.oldest_commit_timestamp_xid);
    append!(text, "/", checkpoint.newest_commit_timestamp_xid);
    append!(text, "; oldest running xid ", checkpoint.oldest_active_xid, "; ", kind);
}

fn describe_parameter_change(change: &ParameterChange, text: &mut TextBuffer) {
    let on_or_off = |on| if on { "on" } else { "off" };
    append!(text, "max_connections=", change.max_connections);
    append!(text, " max_worker_processes=", change.max_worker_processes);
    append!(text, " max_wal_senders=", change.max_wal_senders);
    append!(text, " max_prepared_xacts=", change.max_prepared_transactions);
    append!(text, " max_locks_per_xact=", change.max_locks_per_transaction);
    append!(text, " wal_level=", wal_level_name(change.wal_level));
    append!(text, " wal_log_hints=", on_or_off(change.wal_log_hints));
    append!(text, " track_commit_timestamp=", on_or_off(change.track_commit_timestamp));
}
