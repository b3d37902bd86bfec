//! Source: `src/backend/access/rmgrdesc/xactdesc.c`.

use std::fmt::{self, Write};

use crate::describe::standby::describe_invalidations;
use crate::ids::{Fork, Oid, RelFileLocator, TransactionId};
use crate::lsn::Lsn;
use crate::record::Record;
use crate::rmgr::xact::{End, EndFlags, Prepare, StatisticsItem, Xact};
use crate::timestamp::Timestamp;

pub(super) fn describe(record: &Record<'_>, xact: &Xact, text: &mut String) -> fmt::Result {
    match xact {
        Xact::Commit(end) => {
            describe_end(record, end, text)?;
            describe_statistics(&end.dropped_statistics, "", text)?;
            let init_file = end.flags.contains(EndFlags::RELCACHE_FILE_INVALIDATION);
            let init_file = init_file.then_some((end.database, end.tablespace));
            describe_invalidations(&end.invalidations, init_file, record.version, text)?;
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
        Xact::Invalidations(messages) => describe_invalidations(messages, None, record.version, text),
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
    let init_file = prepare.relcache_file_invalidation.then_some((prepare.database, Oid::default()));
    describe_invalidations(&prepare.invalidations, init_file, record.version, text)?;
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
