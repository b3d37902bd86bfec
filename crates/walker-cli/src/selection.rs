//! Which records are shown or counted: the filters of `pg_waldump`.

use std::str::FromStr;

use pgwal::rmgr::xact::Xact;
use pgwal::{Block, RawRecord, ReadError, Record, RmgrId, Timestamp};

use custom_rmgrs::Known;

use crate::arguments::FilterArguments;
use crate::custom_rmgr;

/// What `--rmgr` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RmgrChoice {
    /// Not a resource manager: print the names of all.
    List,
    /// This one.
    Rmgr(RmgrId),
    /// That of a known extension, whatever its number.
    Known(&'static str),
}

impl FromStr for RmgrChoice {
    type Err = String;

    /// A name without regard to case, also of a known extension, `custom` with a number, or `list`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("list") {
            return Ok(Self::List);
        }
        if let Some(number) = text.strip_prefix("custom") {
            let rmgr = number.parse().ok().map(RmgrId::new).filter(|rmgr| rmgr.is_custom());
            return rmgr.map(Self::Rmgr).ok_or(format!("custom resource manager \"{text}\" does not exist"));
        }
        let named = |rmgr: &&RmgrId| rmgr.name().is_some_and(|name| name.eq_ignore_ascii_case(text));
        let rmgr = RmgrId::BUILT_IN.iter().find(named).map(|rmgr| Self::Rmgr(*rmgr));
        let known = || Known::find(text).map(|known| Self::Known(known.name));
        rmgr.or_else(known)
            .ok_or_else(|| format!("resource manager \"{text}\" does not exist; `--rmgr list` shows the names"))
    }
}

/// The names of all built-in resource managers, one on each line.
pub(crate) fn rmgr_list() -> String {
    RmgrId::BUILT_IN.iter().map(|rmgr| format!("{rmgr}\n")).collect()
}

/// The filters, and how many records passed them.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    filter: &'a FilterArguments,
    /// By number, whether a resource manager is wanted.
    rmgrs: [bool; 256],
    /// Whether there are no filters, and no limit.
    takes_all: bool,
    /// Whether the blocks of a record decide.
    by_blocks: bool,
    times: TimeRange,
    taken: u64,
    limit: u64,
}

/// What is to be done with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It is wanted.
    Take,
    /// It is not, but later ones may be.
    Skip,
    /// Neither this one nor any behind it.
    Stop,
}

impl<'a> Selection<'a> {
    /// The filters that were asked for.
    pub(crate) fn new(filter: &'a FilterArguments) -> Self {
        let FilterArguments { relations, forks, fullpage, since, until, limit, .. } = filter;
        let mut rmgrs = [filter.rmgrs.is_empty(); 256];
        for choice in &filter.rmgrs {
            let chosen = match choice {
                RmgrChoice::Rmgr(rmgr) => vec![*rmgr],
                RmgrChoice::Known(name) => custom_rmgr::ids_of(filter, name),
                RmgrChoice::List => Vec::new(),
            };
            for rmgr in chosen {
                rmgrs[usize::from(rmgr.get())] = true;
            }
        }
        let by_blocks = !relations.is_empty() || !forks.is_empty() || *fullpage;
        let times = TimeRange::new(*since, *until);
        let limit = limit.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0).unwrap_or(u64::MAX);
        let unfiltered = filter.rmgrs.is_empty() && filter.xids.is_empty() && !by_blocks && times.is_endless();
        Self { filter, rmgrs, takes_all: unfiltered && limit == u64::MAX, by_blocks, times, taken: 0, limit }
    }

    /// Whether this record is wanted; if so, it counts towards the limit. To be asked of every record in order.
    ///
    /// # Errors
    /// If its content matters and cannot be decoded.
    #[inline(always)] // So that a record which nobody filters need not be put into memory.
    pub(crate) fn choose(&mut self, record: &RawRecord<'_>) -> Result<Choice, ReadError> {
        if self.takes_all {
            return Ok(Choice::Take);
        }
        self.choose_by_filters(*record)
    }

    #[inline(never)]
    fn choose_by_filters(&mut self, record: RawRecord<'_>) -> Result<Choice, ReadError> {
        if !self.times.is_endless() {
            match self.times.choose(&record)? {
                Choice::Take => {}
                other => return Ok(other),
            }
        }
        let FilterArguments { xids, .. } = self.filter;
        let header = &record.header;
        let wanted = self.rmgrs[usize::from(header.rmgr.get())]
            && (xids.is_empty() || xids.contains(&header.xid.get()))
            && (!self.by_blocks || self.takes_blocks(&record.decode()?));
        self.taken += u64::from(wanted);
        Ok(if wanted { Choice::Take } else { Choice::Skip })
    }

    fn takes_blocks(&self, record: &Record<'_>) -> bool {
        let FilterArguments { relations, blocks, forks, fullpage, .. } = self.filter;
        let matches = |reference: &Block<'_>| {
            (relations.is_empty() || relations.contains(&reference.relation))
                && (blocks.is_empty() || blocks.contains(&reference.number.get()))
                && (forks.is_empty() || forks.contains(&reference.fork))
        };
        let by_place = relations.is_empty() && forks.is_empty() || record.blocks.iter().any(matches);
        by_place && (!fullpage || record.blocks.iter().any(|reference| reference.image.is_some()))
    }

    /// Whether each record is chosen by itself, whatever came before it.
    pub(crate) const fn is_stateless(&self) -> bool {
        self.limit == u64::MAX && self.times.is_endless()
    }

    /// Whether the limit is reached.
    #[inline]
    pub(crate) const fn is_full(&self) -> bool {
        !self.takes_all && self.taken >= self.limit
    }
}

/// The part of the log between two points in time, by the ends of transactions: no other record has a time.
#[derive(Debug)]
struct TimeRange {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl TimeRange {
    const fn new(since: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        Self { since, until }
    }

    /// Whether all records from here on are in it.
    const fn is_endless(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    /// Whether the record is in it. `src/backend/access/transam/xlogrecovery.c`: `recoveryStopsBefore` ends recovery
    /// likewise.
    fn choose(&mut self, record: &RawRecord<'_>) -> Result<Choice, ReadError> {
        let time = end_time(record)?;
        if time.is_some_and(|time| self.until.is_some_and(|until| time > until)) {
            return Ok(Choice::Stop);
        }
        match self.since {
            Some(since) if time.is_none_or(|time| time < since) => Ok(Choice::Skip),
            _ => {
                self.since = None;
                Ok(Choice::Take)
            }
        }
    }
}

/// When a transaction, or a prepared one, committed or aborted by this record.
fn end_time(record: &RawRecord<'_>) -> Result<Option<Timestamp>, ReadError> {
    if record.header.rmgr != RmgrId::TRANSACTION {
        return Ok(None);
    }
    match Xact::parse(&record.decode()?) {
        Ok(Xact::Commit(end) | Xact::Abort(end)) => Ok(Some(end.time)),
        Ok(_) => Ok(None),
        Err(error) => Err(ReadError { lsn: error.lsn, kind: error.cause.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_managers_are_named_as_in_pg_waldump() {
        assert_eq!("heap2".parse(), Ok(RmgrChoice::Rmgr(RmgrId::HEAP2)));
        assert_eq!("BTREE".parse(), Ok(RmgrChoice::Rmgr(RmgrId::BTREE)));
        assert_eq!("custom128".parse(), Ok(RmgrChoice::Rmgr(RmgrId::new(128))));
        assert_eq!("list".parse(), Ok(RmgrChoice::List));
        assert_eq!("TEST_custom_rmgrs".parse(), Ok(RmgrChoice::Known("test_custom_rmgrs")));
        for wrong in ["", "heap3", "custom", "custom7", "custom300", "128"] {
            assert!(wrong.parse::<RmgrChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_list_has_all_names() {
        assert_eq!(rmgr_list().lines().count(), 22);
        assert!(rmgr_list().starts_with("XLOG\nTransaction\n"));
    }
}
