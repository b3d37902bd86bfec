//! Source: `src/backend/access/rmgrdesc/standbydesc.c`.

use std::fmt::{self, Write};

use crate::ids::{Oid, TransactionId};
use crate::rmgr::standby::{Invalidation, RunningXacts, Standby};
use crate::version::Version;

pub(super) fn describe(standby: &Standby, version: Version, text: &mut String) -> fmt::Result {
    match standby {
        Standby::Lock(locks) => locks
            .iter()
            .try_for_each(|(xid, database, relation)| write!(text, "xid {xid} db {database} rel {relation} ")),
        Standby::RunningXacts(running) => describe_running_xacts(running, version, text),
        Standby::Invalidations(invalidations) => {
            describe_invalidations(&invalidations.messages, invalidations.init_file(), version, text)
        }
        Standby::Unknown => Ok(()),
    }
}

fn describe_running_xacts(running: &RunningXacts, version: Version, text: &mut String) -> fmt::Result {
    let RunningXacts { next_xid, latest_completed_xid, oldest_running_xid, .. } = running;
    write!(text, "nextXid {next_xid} latestCompletedXid {latest_completed_xid} oldestRunningXid {oldest_running_xid}")?;
    let (top, sub) = running.xids.split_at_checked(running.count).unwrap_or((&running.xids, &[]));
    describe_xids(top, "xacts", text)?;
    if running.subtransactions_overflowed {
        text.write_str(if version < Version::V16 { "; subxid ovf" } else { "; subxid overflowed" })?;
    }
    if version < Version::V16 { Ok(()) } else { describe_xids(sub, "subxacts", text) }
}

fn describe_xids(xids: &[TransactionId], label: &str, text: &mut String) -> fmt::Result {
    if !xids.is_empty() {
        write!(text, "; {} {label}:", xids.len())?;
    }
    xids.iter().try_for_each(|xid| write!(text, " {xid}"))
}

/// `init_file` is the database and tablespace whose relation cache file is no longer valid, if any.
/// Source: `standby_desc_invalidations`.
pub(super) fn describe_invalidations(
    messages: &[Invalidation],
    init_file: Option<(Oid, Oid)>,
    version: Version,
    text: &mut String,
) -> fmt::Result {
    if messages.is_empty() {
        return Ok(());
    }
    if let Some((database, tablespace)) = init_file {
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
        -6 if version >= Version::V18 => write!(text, " relsync {}", message.second),
        id => write!(text, " unrecognized id {id}"),
    })
}
