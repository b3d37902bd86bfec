//! Source: `src/backend/access/rmgrdesc/xactdesc.c`.

use crate::describe::standby::describe_invalidations;
use crate::describe::tell;
use crate::error::RecordError;
use crate::ids::{Fork, Oid, RelFileLocator, TransactionId};
use crate::lsn::Lsn;
use crate::record::Record;
use crate::rmgr::xact::{End, EndFlags, Prepare, StatisticsItem, Xact};
use crate::text::{TextBuffer, append};
use crate::timestamp::Timestamp;

#[inline]
pub(super) fn describe(record: &Record<'_>, text: &mut TextBuffer) -> Result<(), RecordError> {
    match End::time_alone(record) {
        // Most transactions have nothing else to tell.
        Some(time) => {
            text.append_time(time);
            Ok(())
        }
        None => tell(&Xact::parse(record), |xact| describe_any(record, xact, text)),
    }
}

#[inline(never)]
fn describe_any(record: &Record<'_>, xact: &Xact, text: &mut TextBuffer) {
    match xact {
        Xact::Commit(end) => {
            describe_end(record, end, text);
            describe_statistics(&end.dropped_statistics, "", text);
            let init_file = end.flags.contains(EndFlags::RELCACHE_FILE_INVALIDATION);
            let init_file = init_file.then_some((end.database, end.tablespace));
            describe_invalidations(&end.invalidations, init_file, record.version, text);
            if end.flags.contains(EndFlags::APPLY_FEEDBACK) {
                append!(text, "; apply_feedback");
            }
            if end.flags.contains(EndFlags::FORCE_SYNC) {
                append!(text, "; sync");
            }
            describe_origin(record, end.origin, text);
        }
        Xact::Abort(end) => {
            describe_end(record, end, text);
            describe_origin(record, end.origin, text);
            describe_statistics(&end.dropped_statistics, "", text);
        }
        Xact::Prepare(prepare) => describe_prepare(record, prepare, text),
        Xact::Assignment { top, subtransactions } => {
            append!(text, "xtop ", top, ": subxacts:");
            for xid in subtransactions {
                append!(text, " ", xid);
            }
        }
        Xact::Invalidations(messages) => describe_invalidations(messages, None, record.version, text),
        Xact::Unknown => {}
    }
}

fn describe_end(record: &Record<'_>, end: &End, text: &mut TextBuffer) {
    if end.flags.contains(EndFlags::HAS_TWO_PHASE) && end.xid.is_valid() {
        append!(text, end.xid, ": ");
    }
    text.append_time(end.time);
    describe_relations(record, "rels", &end.relations, text);
    describe_subtransactions(&end.subtransactions, text);
}

fn describe_prepare(record: &Record<'_>, prepare: &Prepare, text: &mut TextBuffer) {
    append!(text, "gid ", prepare.global_identifier.as_slice(), ": ");
    text.append_time(prepare.time);
    describe_relations(record, "rels(commit)", &prepare.commit_relations, text);
    describe_relations(record, "rels(abort)", &prepare.abort_relations, text);
    describe_statistics(&prepare.commit_statistics, "commit ", text);
    describe_statistics(&prepare.abort_statistics, "abort ", text);
    describe_subtransactions(&prepare.subtransactions, text);
    let init_file = prepare.relcache_file_invalidation.then_some((prepare.database, Oid::default()));
    describe_invalidations(&prepare.invalidations, init_file, record.version, text);
    describe_origin(record, record.origin.map(|_| prepare.origin), text);
}

fn describe_relations(record: &Record<'_>, label: &str, relations: &[RelFileLocator], text: &mut TextBuffer) {
    if !relations.is_empty() {
        append!(text, "; ", label, ":");
    }
    let major = record.version.major();
    for relation in relations {
        append!(text, " ", relation.path(Fork::MAIN, major));
    }
}

fn describe_subtransactions(subtransactions: &[TransactionId], text: &mut TextBuffer) {
    if !subtransactions.is_empty() {
        append!(text, "; subxacts:");
    }
    for xid in subtransactions {
        append!(text, " ", xid);
    }
}

fn describe_statistics(items: &[StatisticsItem], label: &str, text: &mut TextBuffer) {
    if !items.is_empty() {
        append!(text, "; ", label, "dropped stats:");
    }
    for item in items {
        append!(text, " ", item.kind, "/", item.database, "/", item.object);
    }
}

fn describe_origin(record: &Record<'_>, origin: Option<(Lsn, Timestamp)>, text: &mut TextBuffer) {
    if let Some((lsn, time)) = origin {
        let node = record.origin.unwrap_or_default();
        append!(text, "; origin: node ", node, ", lsn ", lsn, ", at ");
        text.append_time(time);
    }
}
