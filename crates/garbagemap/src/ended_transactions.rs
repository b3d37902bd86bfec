//! How transactions ended, of as many as may still stand on a page: up to two thousand million.

use std::collections::BTreeMap;

use pgwal::TransactionId;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::map::TransactionStatus;

/// Transactions of one page.
const PAGE_TRANSACTIONS: u16 = 16 * 1024;
/// Bytes of one page of bits.
const PAGE_BYTES: usize = PAGE_TRANSACTIONS as usize / 4;
/// A page of which no more transactions than this did not commit is kept as a list of those.
const MOST_EXCEPTIONS: usize = PAGE_BYTES / 16;

/// How transactions ended, from when the walk began.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct EndedTransactions {
    pages: BTreeMap<u32, Page>,
}

/// Neighbouring transactions.
#[derive(Debug, Serialize, Deserialize)]
enum Page {
    /// Two bits each, as in `pg_xact`.
    Bits(#[serde(deserialize_with = "whole")] Box<[u8]>),
    /// All committed, but these, ascending.
    Committed { aborted: Vec<u16>, untold: Vec<u16> },
}

/// Only a whole page.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[u8]>, D::Error> {
    let bits: Box<[u8]> = Deserialize::deserialize(deserializer)?;
    if bits.len() == PAGE_BYTES {
        Ok(bits)
    } else {
        Err(D::Error::invalid_length(bits.len(), &"bytes of a whole page"))
    }
}

impl Page {
    fn get(&self, place: u16) -> Option<TransactionStatus> {
        let aborted = match self {
            Self::Bits(bits) => match bits[usize::from(place / 4)] >> (place % 4 * 2) & 3 {
                0 => return None,
                status => status == 2,
            },
            Self::Committed { untold, .. } if untold.binary_search(&place).is_ok() => return None,
            Self::Committed { aborted, .. } => aborted.binary_search(&place).is_ok(),
        };
        Some(if aborted { TransactionStatus::Aborted } else { TransactionStatus::Committed })
    }

    fn set(&mut self, place: u16, committed: bool) {
        match self {
            Self::Bits(bits) => {
                let (byte, shift) = (&mut bits[usize::from(place / 4)], place % 4 * 2);
                *byte = *byte & !(3 << shift) | (if committed { 1 } else { 2 }) << shift;
            }
            Self::Committed { aborted, untold } => {
                if let Ok(index) = untold.binary_search(&place) {
                    untold.remove(index);
                }
                match (aborted.binary_search(&place), committed) {
                    (Ok(index), true) => drop(aborted.remove(index)),
                    (Err(index), false) => aborted.insert(index, place),
                    _ => {}
                }
            }
        }
    }

    /// Keeps only the exceptions, if they are few.
    fn compact(&mut self) {
        if let Self::Committed { .. } = self {
            return;
        }
        let places = |wanted: Option<TransactionStatus>| {
            let found = (0..PAGE_TRANSACTIONS).filter(|place| self.get(*place) == wanted);
            found.take(MOST_EXCEPTIONS + 1).collect::<Vec<u16>>()
        };
        // A page of young transactions has many of which nothing was told yet.
        let untold = places(None);
        if untold.len() > MOST_EXCEPTIONS {
            return;
        }
        let aborted = places(Some(TransactionStatus::Aborted));
        if untold.len() + aborted.len() <= MOST_EXCEPTIONS {
            *self = Self::Committed { aborted, untold };
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Bits(bits) => bits.len(),
            Self::Committed { aborted, untold } => (aborted.capacity() + untold.capacity()) * size_of::<u16>(),
        }
    }
}

impl EndedTransactions {
    fn place(xid: TransactionId) -> (u32, u16) {
        let size = u32::from(PAGE_TRANSACTIONS);
        (xid.get() / size, (xid.get() % size) as u16)
    }

    /// The transaction ended.
    pub(crate) fn set(&mut self, xid: TransactionId, committed: bool) {
        let (page, place) = Self::place(xid);
        let empty = || Page::Bits(vec![0; PAGE_BYTES].into_boxed_slice());
        self.pages.entry(page).or_insert_with(empty).set(place, committed);
    }

    /// How it ended; `None` if nothing was told of it.
    pub(crate) fn get(&self, xid: TransactionId) -> Option<TransactionStatus> {
        let (page, place) = Self::place(xid);
        self.pages.get(&page)?.get(place)
    }

    /// Forgets the pages of which all transactions are older than `oldest`: nobody asks for them any more.
    pub(crate) fn forget_before(&mut self, oldest: TransactionId) {
        let size = u32::from(PAGE_TRANSACTIONS);
        let last_of = |page: u32| TransactionId::new((page * size).wrapping_add(size - 1));
        self.pages.retain(|page, _| !last_of(*page).precedes(oldest));
        self.pages.values_mut().for_each(Page::compact);
    }

    /// Bytes of memory, about.
    pub(crate) fn memory(&self) -> usize {
        let pages = self.pages.values().map(Page::memory).sum::<usize>();
        pages + self.pages.len() * 2 * size_of::<(u32, Page)>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn xid(number: u32) -> TransactionId {
        TransactionId::new(number)
    }

    #[test]
    fn ends_are_remembered_until_they_are_frozen() {
        let mut ended = EndedTransactions::default();
        ended.set(xid(700), true);
        ended.set(xid(701), false);
        for oldest in [700, 16_000] {
            ended.forget_before(xid(oldest));
            assert_eq!(ended.get(xid(700)), Some(TransactionStatus::Committed));
            assert_eq!(ended.get(xid(701)), Some(TransactionStatus::Aborted));
            assert_eq!(ended.get(xid(702)), None);
        }
        ended.forget_before(xid(16_384));
        assert_eq!(ended.get(xid(700)), None);
    }

    #[test]
    fn two_hundred_million_take_a_few_megabytes() {
        let mut ended = EndedTransactions::default();
        // As many as by default come before vacuum freezes; here a hundredth.
        for number in 0..2_000_000 {
            ended.set(xid(1000 + number), number % 500 != 3);
        }
        ended.forget_before(xid(1000));
        assert!(ended.memory() < 50_000, "{}", ended.memory());
    }

    proptest! {
        #[test]
        fn a_page_says_the_same_however_it_is_kept(
            untold in proptest::collection::btree_set(0..PAGE_TRANSACTIONS, 0..400),
            aborted in proptest::collection::btree_set(0..PAGE_TRANSACTIONS, 0..400),
            later in proptest::collection::vec((0..PAGE_TRANSACTIONS, any::<bool>()), 0..50),
        ) {
            let mut page = Page::Bits(vec![0; PAGE_BYTES].into_boxed_slice());
            for place in (0..PAGE_TRANSACTIONS).filter(|place| !untold.contains(place)) {
                page.set(place, !aborted.contains(&place));
            }
            let statuses = |page: &Page| (0..PAGE_TRANSACTIONS).map(|place| page.get(place)).collect::<Vec<_>>();
            let mut before = statuses(&page);
            page.compact();
            prop_assert_eq!(&statuses(&page), &before);
            for (place, committed) in later {
                page.set(place, committed);
                before[usize::from(place)] =
                    Some(if committed { TransactionStatus::Committed } else { TransactionStatus::Aborted });
            }
            prop_assert_eq!(&statuses(&page), &before);
        }
    }
}
