//! Which records are shown or counted: the filters of `pg_waldump`.

use std::str::FromStr;

use pgwal::{RecordHeader, RmgrId};

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
    taken: u64,
}

impl<'a> Selection<'a> {
    /// The filters that were asked for.
    pub(crate) fn new(filter: &'a FilterArguments) -> Self {
        Self { filter, taken: 0 }
    }

    /// Whether this record is wanted; if so, it counts towards the limit.
    #[inline]
    pub(crate) fn takes(&mut self, record: &RecordHeader) -> bool {
        let FilterArguments { rmgrs, xid, .. } = self.filter;
        let wanted = (rmgrs.is_empty() || rmgrs.contains(&RmgrChoice::Rmgr(record.rmgr)))
            && xid.is_none_or(|xid| xid == record.xid.get());
        self.taken += u64::from(wanted);
        wanted
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
