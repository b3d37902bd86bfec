//! Pruning, vacuum, freezing, and what else is done to pages without a transaction of its own.
//!
//! Sources: `src/backend/access/heap/pruneheap.c`, `src/backend/access/heap/vacuumlazy.c`.

use pgwal::{RmgrId, Version};

use crate::page::{Item, Page, Tuple, Xmax, Xmin};
use crate::server::{Registered, Server, locator_bytes, numbers};
use crate::transactions::{Status, precedes};

/// What pruning does to line pointers.
#[derive(Debug, Default)]
struct Pruning {
    redirected: Vec<(u16, u16)>,
    dead: Vec<u16>,
    unused: Vec<u16>,
}

/// A list of line pointers as 17 and later have it, with its length.
fn counted(offsets: &[u16], each: usize) -> Vec<u8> {
    let count = u16::try_from(offsets.len() / each).unwrap();
    std::iter::once(&count).chain(offsets).flat_map(|number| number.to_le_bytes()).collect()
}

fn plain(offsets: &[u16]) -> Vec<u8> {
    offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect()
}

impl Server {
    /// Whether no transaction can see the tuple any more (`HEAPTUPLE_DEAD`).
    fn is_removable(&self, tuple: &Tuple, horizon: u32) -> bool {
        let deleted_long_ago = |xid| self.transactions.status(xid) == Status::Committed && precedes(xid, horizon);
        self.inserter_aborted(tuple) || tuple.xmax.updater().is_some_and(deleted_long_ago)
    }

    fn inserter_aborted(&self, tuple: &Tuple) -> bool {
        match tuple.xmin {
            Xmin::Transaction(xid) => self.transactions.status(xid) == Status::Aborted,
            Xmin::Frozen(_) => false,
            Xmin::TakenBack => true,
        }
    }

    /// The next version on the page, if the update that made it holds or may hold.
    fn next_version(&self, page: &Page, tuple: &Tuple) -> Option<u16> {
        let updater = tuple.xmax.updater().filter(|xid| self.transactions.status(*xid) != Status::Aborted)?;
        let next = tuple.next.filter(|_| !self.inserter_aborted(tuple))?;
        let is_it = |next: &Tuple| {
            next.heap_only && matches!(next.xmin, Xmin::Transaction(xid) | Xmin::Frozen(xid) if xid == updater)
        };
        page.items.get(usize::from(next) - 1)?;
        page.tuple(next).is_some_and(is_it).then_some(next)
    }

    /// `heap_prune_chain`, for all chains of the page.
    fn plan_pruning(&self, page: &Page, free_at_once: bool) -> Pruning {
        let horizon = self.transactions.oldest_open();
        let mut pruning = Pruning::default();
        for (root, item) in (1..).zip(&page.items) {
            let first = match item {
                Item::Redirect(target) => Some(*target),
                Item::Tuple(tuple) if !tuple.heap_only => Some(root),
                _ => continue,
            };
            let mut chain = Vec::new();
            let mut dead = 0;
            let mut next = first;
            while let Some(tuple) = next.and_then(|offset| page.tuple(offset)) {
                chain.extend(next);
                if self.is_removable(tuple, horizon) {
                    dead = chain.len();
                }
                next = self.next_version(page, tuple);
            }
            let is_redirect = matches!(item, Item::Redirect(_));
            if dead == 0 {
                continue;
            }
            let members = if is_redirect { &chain[..dead] } else { &chain[1..dead] };
            pruning.unused.extend(members);
            match chain.get(dead) {
                Some(live) => pruning.redirected.push((root, *live)),
                None if free_at_once => pruning.unused.push(root),
                None => pruning.dead.push(root),
            }
        }
        // Versions of updates that were taken back: no chain leads to them.
        let orphans = page.tuples().filter(|(offset, tuple)| {
            tuple.heap_only && !pruning.unused.contains(offset) && self.inserter_aborted(tuple)
        });
        let orphans: Vec<u16> = orphans.map(|(offset, _)| offset).collect();
        pruning.unused.extend(orphans);
        pruning
    }

    /// On-access pruning, or vacuum's first pass.
    pub(crate) fn prune(&mut self, relation: u32, block: u32, free_at_once: bool) {
        let before_17 = self.settings.version < Version::V17;
        let page = &self.relations[&relation].pages[block as usize];
        let Pruning { redirected, dead, unused } = self.plan_pruning(page, free_at_once && !before_17);
        if redirected.is_empty() && dead.is_empty() && unused.is_empty() {
            return;
        }
        let page = self.page_mut(relation, block);
        for (from, to) in &redirected {
            page.items[usize::from(*from) - 1] = Item::Redirect(*to);
        }
        dead.iter().for_each(|offset| page.items[usize::from(*offset) - 1] = Item::Dead);
        unused.iter().for_each(|offset| page.items[usize::from(*offset) - 1] = Item::Unused);
        page.truncate_items(0);
        let pairs: Vec<u16> = redirected.iter().flat_map(|(from, to)| [*from, *to]).collect();
        let counts = [redirected.len(), dead.len()].map(|count| u16::try_from(count).unwrap());
        let horizon = self.transactions.oldest_open();
        let (info, main, data) = if before_17 {
            let mut main = [numbers(&[horizon]), plain(&counts)].concat();
            if self.settings.version == Version::V16 {
                main.push(0);
            }
            (0x10, main, [plain(&pairs), plain(&dead), plain(&unused)].concat())
        } else {
            // A reason that is never written; flags: cleanup lock, conflict horizon, and which lists there are.
            let mut flags = 4 | 8;
            let mut data = Vec::new();
            for (flag, list, each) in [(0x20, &pairs, 2), (0x40, &dead, 1), (0x80, &unused, 1)] {
                if !list.is_empty() {
                    flags |= flag;
                    data.extend(counted(list, each));
                }
            }
            let main = [vec![0xEE, flags], numbers(&[horizon])].concat();
            (if free_at_once { 0x20 } else { 0x10 }, main, data)
        };
        self.log(0, RmgrId::HEAP2, info, main, vec![Registered { data, ..Registered::heap(0, relation, block) }]);
    }

    /// Vacuum's second pass: dead line pointers become free.
    pub(crate) fn vacuum_dead_items(&mut self, relation: u32, block: u32) {
        let page = self.page_mut(relation, block);
        let dead = (1..).zip(&page.items).filter(|(_, item)| **item == Item::Dead).map(|(offset, _)| offset);
        let dead: Vec<u16> = dead.collect();
        if dead.is_empty() {
            return;
        }
        dead.iter().for_each(|offset| page.items[usize::from(*offset) - 1] = Item::Unused);
        page.truncate_items(1);
        let (info, main, data) = if self.settings.version < Version::V17 {
            (0x20, plain(&[u16::try_from(dead.len()).unwrap()]), plain(&dead))
        } else {
            (0x30, vec![0xEE, 0x80], counted(&dead, 1))
        };
        self.log(0, RmgrId::HEAP2, info, main, vec![Registered { data, ..Registered::heap(0, relation, block) }]);
    }

    /// Freezes what all can see.
    pub(crate) fn freeze(&mut self, relation: u32, block: u32) {
        let horizon = self.transactions.oldest_open();
        let page = &self.relations[&relation].pages[block as usize];
        let mut frozen = Vec::new();
        for (offset, tuple) in page.tuples() {
            let live = self.live_members(&tuple.xmax);
            let is_old = match tuple.xmin {
                Xmin::Transaction(xid) => self.transactions.status(xid) == Status::Committed && precedes(xid, horizon),
                Xmin::Frozen(_) => !tuple.xmax.members.is_empty() && live.is_empty(),
                Xmin::TakenBack => false,
            };
            if is_old && !live.iter().any(|member| member.is_updater()) {
                frozen.push((offset, live.is_empty()));
            }
        }
        if frozen.is_empty() {
            return;
        }
        for (offset, without_xmax) in &frozen {
            let tuple = self.page_mut(relation, block).tuple_mut(*offset);
            if let Xmin::Transaction(xid) = tuple.xmin {
                tuple.xmin = Xmin::Frozen(xid);
            }
            if *without_xmax {
                tuple.set_xmax(Xmax::default());
                tuple.next = None;
            }
        }
        let offsets: Vec<u16> = frozen.iter().map(|(offset, _)| *offset).collect();
        let count = u16::try_from(offsets.len()).unwrap();
        let (info, main, data) = match self.settings.version {
            // xl_heap_freeze_page, a plan of twelve bytes for each tuple.
            Version::V15 => (0x30, [numbers(&[horizon]), plain(&[count])].concat(), vec![0; 12 * offsets.len()]),
            // The same plan for all of them.
            Version::V16 => {
                (0x30, [numbers(&[horizon]), plain(&[1, 0])].concat(), [freeze_plan(count), plain(&offsets)].concat())
            }
            _ => {
                let data = [plain(&[1, 0]), freeze_plan(count), plain(&offsets)].concat();
                (0x20, [vec![0xEE, 4 | 8 | 0x10], numbers(&[horizon])].concat(), data)
            }
        };
        self.log(0, RmgrId::HEAP2, info, main, vec![Registered { data, ..Registered::heap(0, relation, block) }]);
    }

    /// Sets the page's bits of the visibility map, if all can see all that is there.
    pub(crate) fn set_visible(&mut self, relation: u32, block: u32) {
        let horizon = self.transactions.oldest_open();
        let page = &self.relations[&relation].pages[block as usize];
        let visible = |tuple: &Tuple| {
            let inserted = match tuple.xmin {
                Xmin::Transaction(xid) => self.transactions.status(xid) == Status::Committed && precedes(xid, horizon),
                Xmin::Frozen(_) => true,
                Xmin::TakenBack => false,
            };
            inserted && !self.live_members(&tuple.xmax).iter().any(|member| member.is_updater())
        };
        let is_visible = |item: &Item| match item {
            Item::Tuple(tuple) => visible(tuple),
            Item::Dead => false,
            _ => true,
        };
        if !page.initialised || !page.items.iter().all(is_visible) {
            return;
        }
        let frozen = |(_, tuple): (u16, &Tuple)| matches!(tuple.xmin, Xmin::Frozen(_)) && tuple.xmax.members.is_empty();
        let bits = if page.tuples().all(frozen) { 3 } else { 1 };
        if self.relations[&relation].visibility[block as usize] == bits && page.all_visible {
            return;
        }
        if page.lsn == 0 {
            // An empty page that nothing told of yet (lazy_scan_new_or_empty).
            let image = Registered { force_image: true, ..Registered::heap(0, relation, block) };
            self.log(0, RmgrId::XLOG, 0xB0, Vec::new(), vec![image]);
        }
        self.page_mut(relation, block).all_visible = true;
        self.relations.get_mut(&relation).unwrap().visibility[block as usize] |= bits;
        self.log_visible(relation, block, bits);
    }

    /// `log_heap_visible`: the heap's page has an image only where its hints are logged.
    pub(crate) fn log_visible(&mut self, relation: u32, block: u32, bits: u8) {
        let main = [numbers(&[self.transactions.oldest_open()]), vec![bits]].concat();
        let heap = Registered { no_image: !self.settings.hints_are_logged, ..Registered::heap(1, relation, block) };
        self.log(0, RmgrId::HEAP2, 0x40, main, vec![Registered::visibility_map(0, relation), heap]);
    }

    /// `VACUUM`, perhaps with `FREEZE`.
    pub(crate) fn vacuum(&mut self, relation: u32, free_at_once: bool, freeze: bool) {
        for block in 0..self.relations[&relation].pages.len() as u32 {
            self.prune(relation, block, free_at_once);
            self.vacuum_dead_items(relation, block);
            if freeze {
                self.freeze(relation, block);
            }
            self.set_visible(relation, block);
        }
    }

    /// Gives empty blocks at the end of the file back (`lazy_truncate_heap`).
    pub(crate) fn truncate_empty(&mut self, relation: u32) {
        let is_empty = |page: &Page| page.items.iter().all(|item| *item == Item::Unused);
        let pages = &self.relations[&relation].pages;
        let blocks = pages.iter().rposition(|page| !is_empty(page)).map_or(0, |last| last + 1);
        if blocks < pages.len() {
            self.cut_relation(0, relation, blocks as u32);
        }
    }

    /// `pg_truncate_visibility_map`.
    pub(crate) fn truncate_visibility_map(&mut self, relation: u32) {
        self.relations.get_mut(&relation).unwrap().visibility.fill(0);
        let data = [numbers(&[0]), locator_bytes(relation), numbers(&[2])].concat();
        self.log(0, RmgrId::STORAGE, 0x20, data, Vec::new());
    }

    /// Somebody reads the page and leaves hint bits, which may be logged (`MarkBufferDirtyHint`).
    pub(crate) fn leave_hints(&mut self, relation: u32, block: u32) {
        let mut page = self.relations[&relation].pages[block as usize].clone();
        let ended = |xid| match self.transactions.status(xid) {
            Status::Open => None,
            status => Some(status == Status::Committed),
        };
        for item in &mut page.items {
            let Item::Tuple(tuple) = item else { continue };
            if let Xmin::Transaction(xid) = tuple.xmin {
                tuple.xmin_hint = ended(xid);
            }
            let live = self.live_members(&tuple.xmax);
            tuple.xmax_hint = match &tuple.xmax {
                xmax if xmax.members.is_empty() => None,
                Xmax { set: None, members } if members[0].is_updater() => ended(members[0].xid),
                _ if live.is_empty() => Some(false),
                _ => None,
            };
        }
        *self.page_mut(relation, block) = page;
        if self.settings.hints_are_logged {
            self.log_hints(relation, block);
        }
    }

    fn log_hints(&mut self, relation: u32, block: u32) {
        // XLogSaveBufferForHint writes a record only if the page was not changed since the checkpoint began.
        if self.relations[&relation].pages[block as usize].lsn <= self.redo {
            self.log(0, RmgrId::XLOG, 0xA0, Vec::new(), vec![Registered::heap(0, relation, block)]);
        }
    }
}

/// `xl_heap_freeze_plan`, `xlhp_freeze_plan`: for so many tuples.
fn freeze_plan(count: u16) -> Vec<u8> {
    let (infomask2, infomask) = (2u16, 0x0B00u16);
    [numbers(&[0]), plain(&[infomask2, infomask, 0, count])].concat()
}
