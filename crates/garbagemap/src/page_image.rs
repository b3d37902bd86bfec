//! From a page image to what is known of the page. Source: `src/backend/access/heap/heapam_visibility.c`:
//! `HeapTupleSatisfiesDirty`, as far as dead tuples go.

use pgwal::{HeapPage, ItemFlags, Malformed, TransactionId, TupleHeader, Updater};

use crate::inexact::Inexact;
use crate::map::TransactionStatus;
use crate::page::{Change, Item, Pending, TrackedPage};
use crate::transaction_log::Knowledge;

/// What an image tells. What open transactions did on the page is in its `pending`.
pub(crate) struct PageImage {
    pub(crate) page: TrackedPage,
    /// Whether the visibility map says so, as far as the page knows.
    pub(crate) all_visible: bool,
    /// Who deleted the dead tuples, once for each; not of those whose inserter aborted.
    pub(crate) deleters: Vec<TransactionId>,
    /// Why it does not tell all, if it does not.
    pub(crate) inexact: Option<Inexact>,
}

/// Reads the page.
pub(crate) fn read(page: &HeapPage<'_>, knowledge: &mut Knowledge<'_>) -> Result<PageImage, Malformed> {
    let mut tracked = TrackedPage::with_items(page.upper, page.items().size_hint().0);
    let mut inexact = None;
    let mut deleters = Vec::new();
    for (offset, item) in page.items() {
        match item.flags {
            ItemFlags::Unused => tracked.append(Item::Unused),
            ItemFlags::Redirect => tracked.append(Item::Redirect),
            ItemFlags::Dead => tracked.append(Item::LpDead),
            ItemFlags::Normal => {
                let tuple = page.tuple(&item)?;
                let fate = fate(&tuple, knowledge, &mut inexact);
                let dead = matches!(fate, Fate::Aborted | Fate::Deleted(_));
                tracked.append(Item::Tuple { length: item.length, dead });
                match fate {
                    Fate::Aborted => {}
                    Fate::Deleted(xid) => deleters.push(xid),
                    Fate::Open { inserter, deleter } => {
                        if let Some(xid) = inserter {
                            tracked.pending.push(Pending { offset, xid, change: Change::Insert });
                        }
                        if let Some(xid) = deleter {
                            tracked.pending.push(Pending { offset, xid, change: Change::Delete });
                        }
                    }
                }
            }
        }
    }
    Ok(PageImage { page: tracked, all_visible: page.is_all_visible(), deleters, inexact })
}

enum Fate {
    /// Dead: its inserter aborted.
    Aborted,
    /// Dead: this transaction deleted it and committed.
    Deleted(TransactionId),
    /// Live as long as these are open.
    Open { inserter: Option<TransactionId>, deleter: Option<TransactionId> },
}

fn fate(tuple: &TupleHeader, knowledge: &mut Knowledge<'_>, inexact: &mut Option<Inexact>) -> Fate {
    let inserter = if tuple.xmin_committed() {
        None
    } else if tuple.xmin_invalid() {
        return Fate::Aborted;
    } else {
        match knowledge.status(tuple.xmin) {
            Some(TransactionStatus::Committed) => None,
            Some(TransactionStatus::Aborted) => return Fate::Aborted,
            None => Some(tuple.xmin),
        }
    };
    let updater = match tuple.updater() {
        Updater::None => None,
        Updater::Committed(xid) => return Fate::Deleted(xid),
        Updater::Transaction(xid) => Some(xid),
        Updater::Multi(id) => knowledge.updater(id).unwrap_or_else(|| {
            *inexact = Some(Inexact::UnknownMultiXact(id.get()));
            None
        }),
    };
    let deleter = match updater.map(|xid| (xid, knowledge.status(xid))) {
        Some((xid, Some(TransactionStatus::Committed))) => return Fate::Deleted(xid),
        Some((xid, None)) => Some(xid),
        _ => None,
    };
    Fate::Open { inserter, deleter }
}
