//! Source: `src/backend/access/rmgrdesc/standbydesc.c`.

use crate::ids::{Oid, TransactionId};
use crate::rmgr::standby::{Invalidation, RunningXacts, Standby};
use crate::text::{TextBuffer, append};
use crate::version::Version;

pub(super) fn describe(standby: &Standby, version: Version, text: &mut TextBuffer) {
    match standby {
        Standby::Lock(locks) => locks
            .iter()
            .for_each(|(xid, database, relation)| append!(text, "xid ", xid, " db ", database, " rel ", relation, " ")),
        Standby::RunningXacts(running) => describe_running_xacts(running, version, text),
        Standby::Invalidations(invalidations) => {
            describe_invalidations(&invalidations.messages, invalidations.init_file(), version, text);
        }
        Standby::Unknown => {}
    }
}

fn describe_running_xacts(running: &RunningXacts, version: Version, text: &mut TextBuffer) {
    let RunningXacts { next_xid, latest_completed_xid, oldest_running_xid, .. } = running;
    append!(
        text,
        "nextXid ",
        next_xid,
        " latestCompletedXid ",
        latest_completed_xid,
        " oldestRunningXid ",
        oldest_running_xid
    );
    let (top, sub) = running.xids.split_at_checked(running.count).unwrap_or((&running.xids, &[]));
    describe_xids(top, "xacts", text);
    if running.subtransactions_overflowed {
        append!(text, if version < Version::V16 { "; subxid ovf" } else { "; subxid overflowed" });
    }
    if version < Version::V16 { {} } else { describe_xids(sub, "subxacts", text) }
}

fn describe_xids(xids: &[TransactionId], label: &str, text: &mut TextBuffer) {
    if !xids.is_empty() {
        append!(text, "; ", xids.len(), " ", label, ":");
    }
    for xid in xids {
        append!(text, " ", xid);
    }
}

/// `init_file` is the database and tablespace whose relation cache file is no longer valid, if any.
/// Source: `standby_desc_invalidations`.
pub(super) fn describe_invalidations(
    messages: &[Invalidation],
    init_file: Option<(Oid, Oid)>,
    version: Version,
    text: &mut TextBuffer,
) {
    if messages.is_empty() {
        return;
    }
    if let Some((database, tablespace)) = init_file {
        append!(text, "; relcache init file inval dbid ", database, " tsid ", tablespace);
    }
    append!(text, "; inval msgs:");
    messages.iter().for_each(|message| match message.id {
        id @ 0.. => append!(text, " catcache ", id),
        -1 => append!(text, " catalog ", message.second),
        -2 => append!(text, " relcache ", message.second),
        -3 => append!(text, " smgr"),
        -4 => append!(text, " relmap db ", message.first),
        -5 => append!(text, " snapshot ", message.second),
        -6 if version >= Version::V18 => append!(text, " relsync ", message.second),
        id => append!(text, " unrecognized id ", id),
    })
}
