//! Which records are shown or counted: the filters of `pg_waldump`.

use std::str::FromStr;

use pgwal::{Block, RawRecord, ReadError, Record, RmgrId};

use crate::arguments::FilterArguments;

/// What `--rmgr` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RmgrChoice {
    /// Not a resource manager: print the names of all.
    List,
    /// This one.
    Rmgr(RmgrId),
}

impl FromStr for RmgrChoice {
    type Err = String;

    /// A name without regard to case, `custom` with a number, or `list`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("list") {
            return Ok(Self::List);
        }
        if let Some(number) = text.strip_prefix("custom") {
            let rmgr = number.parse().ok().map(RmgrId::new).filter(|rmgr| rmgr.is_custom());
            return rmgr.map(Self::Rmgr).ok_or(format!("custom resource manager \"{text}\" does not exist"));
        }
        let named = |rmgr: &&RmgrId| rmgr.name().is_some_and(|name| name.eq_ignore_ascii_case(text));
        let rmgr = RmgrId::BUILT_IN.iter().find(named);
        rmgr.map(|rmgr| Self::Rmgr(*rmgr)).ok_or(format!("resource manager \"{text}\" does not exist"))
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
    /// Whether the blocks of a record decide.
    by_blocks: bool,
    taken: u64,
}

impl<'a> Selection<'a> {
    /// The filters that were asked for.
    pub(crate) fn new(filter: &'a FilterArguments) -> Self {
        let FilterArguments { relations, fork, fullpage, .. } = filter;
        Self { filter, by_blocks: !relations.is_empty() || fork.is_some() || *fullpage, taken: 0 }
    }

    /// Whether this record is wanted; if so, it counts towards the limit.
    ///
    /// # Errors
    /// If its blocks matter and cannot be decoded.
    #[inline]
    pub(crate) fn takes(&mut self, record: &RawRecord<'_>) -> Result<bool, ReadError> {
        let FilterArguments { rmgrs, xid, .. } = self.filter;
        let header = &record.header;
        let wanted = (rmgrs.is_empty() || rmgrs.contains(&RmgrChoice::Rmgr(header.rmgr)))
            && xid.is_none_or(|xid| xid == header.xid.get())
            && (!self.by_blocks || self.takes_blocks(&record.decode()?));
        self.taken += u64::from(wanted);
        Ok(wanted)
    }

    fn takes_blocks(&self, record: &Record<'_>) -> bool {
        let FilterArguments { relations, block, fork, fullpage, .. } = self.filter;
        let matches = |reference: &Block<'_>| {
            (relations.is_empty() || relations.contains(&reference.relation))
                && block.is_none_or(|block| block == reference.number.get())
                && fork.is_none_or(|fork| fork == reference.fork)
        };
        let by_place = relations.is_empty() && fork.is_none() || record.blocks.iter().any(matches);
        by_place && (!fullpage || record.blocks.iter().any(|reference| reference.image.is_some()))
    }

    /// Whether the limit is reached. Zero is none.
    pub(crate) fn is_full(&self) -> bool {
        self.filter.limit.is_some_and(|limit| limit > 0 && self.taken >= limit)
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
