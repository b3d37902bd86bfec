//! What transactions do with tuples. Source: `src/backend/access/heap/heapam.c`.

use pgwal::RmgrId;

use crate::page::{FOR_KEY_SHARE, FOR_UPDATE, Member, NO_KEY_UPDATE, Page, Tuple, UPDATE, Xmax, Xmin};
use crate::server::{Registered, Relation, Server, locator_bytes, numbers};
use crate::transactions::Status;

/// Most blocks of a relation.
const MOST_BLOCKS: usize = 4;
/// The first number of a relation.
const FIRST_RELATION: u32 = 16384;
/// Most relations at a time.
const MOST_RELATIONS: usize = 3;

/// A tuple's place: relation, block, line pointer.
pub(crate) type Place = (u32, u32, u16);

/// How an update is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UpdateManner {
    /// Columns of a key change: then it is no HOT update.
    pub(crate) keys: bool,
    /// To another page even if this one has room.
    pub(crate) moves: bool,
    /// So many bytes at the beginning and at the end are as before.
    pub(crate) shared: (u16, u16),
}

impl Server {
    fn page(&self, relation: u32, block: u32) -> &Page {
        &self.relations[&relation].pages[block as usize]
    }

    pub(crate) fn page_mut(&mut self, relation: u32, block: u32) -> &mut Page {
        &mut self.relations.get_mut(&relation).unwrap().pages[block as usize]
    }

    fn tuple(&self, (relation, block, offset): Place) -> &Tuple {
        self.page(relation, block).tuple(offset).unwrap()
    }

    fn tuple_mut(&mut self, (relation, block, offset): Place) -> &mut Tuple {
        self.page_mut(relation, block).tuple_mut(offset)
    }

    /// Whether the transaction belongs to the same top transaction.
    fn is_own(&self, xid: u32, other: u32) -> bool {
        self.transactions.top(xid) == self.transactions.top(other)
    }

    /// One of the relations that the session can see.
    pub(crate) fn choose_relation(&self, session: usize, choice: u16) -> Option<u32> {
        let top = self.sessions[session].stack.first();
        let usable = |relation: &Relation| {
            let exists = relation.created_by.is_none_or(|xid| match self.transactions.status(xid) {
                Status::Open => Some(&self.transactions.top(xid)) == top,
                status => status == Status::Committed,
            });
            exists && relation.dropped_by.is_none()
        };
        let usable: Vec<u32> =
            self.relations.iter().filter(|(_, relation)| usable(relation)).map(|(number, _)| *number).collect();
        (!usable.is_empty()).then(|| usable[usize::from(choice) % usable.len()])
    }

    /// Takes a lock on the relation, which the transaction keeps until its end.
    fn lock_relation(&mut self, xid: u32, relation: u32) {
        let top = self.transactions.top(xid);
        self.relations.get_mut(&relation).unwrap().locked_by.push(top);
    }

    /// Whether nobody else has a lock on the relation.
    fn is_alone(&self, xid: u32, relation: u32) -> bool {
        let others = |other: &u32| self.transactions.is_open(*other) && !self.is_own(xid, *other);
        !self.relations[&relation].locked_by.iter().any(others)
    }

    /// `CREATE TABLE`: takes the first number that is free.
    pub(crate) fn create_relation(&mut self, session: usize) -> Option<u32> {
        if self.relations.len() >= MOST_RELATIONS {
            return None;
        }
        let xid = self.xid(session);
        let number = (FIRST_RELATION..).find(|number| !self.relations.contains_key(number)).unwrap();
        self.relations.insert(number, Relation { created_by: Some(xid), ..Relation::default() });
        self.lock_relation(xid, number);
        self.transactions.get(xid).created.push(number);
        let mut data = locator_bytes(number);
        data.extend(numbers(&[0]));
        self.log(xid, RmgrId::STORAGE, 0x10, data, Vec::new());
        Some(number)
    }

    /// `DROP TABLE`.
    pub(crate) fn drop_relation(&mut self, session: usize, relation: u32) {
        let xid = self.xid(session);
        if self.is_alone(xid, relation) {
            self.relations.get_mut(&relation).unwrap().dropped_by = Some(xid);
            self.lock_relation(xid, relation);
            self.transactions.get(xid).dropped.push(relation);
        }
    }

    /// New files with the same pages, as `ALTER TABLE SET TABLESPACE` makes them: of the heap, so many blocks in each
    /// record, then of the visibility map.
    pub(crate) fn copy_relation(&mut self, session: usize, relation: u32, blocks_in_a_record: usize) {
        let xid = self.xid(session);
        if !self.is_alone(xid, relation) {
            return;
        }
        let Some(copy) = self.create_relation(session) else { return };
        let Relation { pages, visibility, .. } = self.relations[&relation].clone();
        // Blocks that were never written are no part of the log.
        let written = pages.iter().position(|page| !page.initialised).unwrap_or(pages.len());
        let files = self.relations.get_mut(&copy).unwrap();
        files.pages = pages[..written].to_vec();
        files.visibility = visibility[..written].to_vec();
        for first in (0..written as u32).step_by(blocks_in_a_record) {
            let blocks = (first..written as u32)
                .take(blocks_in_a_record)
                .zip(0..)
                .map(|(block, id)| Registered { force_image: true, ..Registered::heap(id, copy, block) });
            let blocks = blocks.collect();
            self.log(xid, RmgrId::XLOG, 0xB0, Vec::new(), blocks);
        }
        if visibility.iter().any(|bits| *bits != 0) {
            let map = Registered { force_image: true, ..Registered::visibility_map(0, copy) };
            self.log(xid, RmgrId::XLOG, 0xB0, Vec::new(), vec![map]);
        }
        self.drop_relation(session, relation);
    }

    /// `TRUNCATE` of a relation that the same transaction created: the file is cut off at once.
    pub(crate) fn truncate_created(&mut self, session: usize, relation: u32) {
        let Some(top) = self.sessions[session].stack.first().copied() else { return };
        let created = self.relations[&relation].created_by;
        if created.is_some_and(|xid| self.transactions.top(xid) == top) {
            let xid = self.xid(session);
            self.cut_relation(xid, relation, 0);
        }
    }

    pub(crate) fn cut_relation(&mut self, xid: u32, relation: u32, block: u32) {
        let files = self.relations.get_mut(&relation).unwrap();
        files.pages.truncate(block as usize);
        files.visibility.truncate(block as usize);
        let data = [numbers(&[block]), locator_bytes(relation), numbers(&[7])].concat();
        self.log(xid, RmgrId::STORAGE, 0x20, data, Vec::new());
    }

    /// A block with room for such a tuple, from `choice` on; a new one if there is none or `choice` asks for one.
    fn block_with_room(&mut self, relation: u32, length: u16, choice: u16, but: Option<u32>) -> Option<u32> {
        let files = self.relations.get_mut(&relation).unwrap();
        let count = files.pages.len();
        let wants_new = choice.is_multiple_of(7) && count < MOST_BLOCKS;
        let found = (0..count)
            .map(|step| (usize::from(choice) + step) % count)
            .find(|block| files.pages[*block].has_room(length) && Some(*block as u32) != but);
        match found {
            Some(block) if !wants_new => Some(block as u32),
            _ if count < MOST_BLOCKS => {
                files.pages.push(Page::default());
                files.visibility.push(0);
                Some(count as u32)
            }
            _ => None,
        }
    }

    /// Clears both bits of the visibility map, and returns whether the record has to say so.
    fn clear_visibility(&mut self, relation: u32, block: u32) -> bool {
        let page = self.page_mut(relation, block);
        let clears = std::mem::take(&mut page.all_visible);
        if clears {
            self.relations.get_mut(&relation).unwrap().visibility[block as usize] = 0;
        }
        clears
    }

    /// The visibility map's block, where records name it.
    fn visibility_reference(&self, cleared: bool, id: u8, relation: u32) -> Option<Registered> {
        (cleared && self.settings.names_visibility_map).then(|| Registered::visibility_map(id, relation))
    }

    /// `INSERT`, or the first half of `INSERT ... ON CONFLICT`.
    pub(crate) fn insert(&mut self, session: usize, relation: u32, length: u16, choice: u16, speculative: bool) {
        let Some(block) = self.block_with_room(relation, length, choice, None) else { return };
        let xid = self.xid(session);
        self.lock_relation(xid, relation);
        let tuple = Tuple::new(length, Xmin::Transaction(xid));
        let data = tuple.wal_data(0);
        let offset = self.page_mut(relation, block).add(tuple);
        let init = offset == 1 && self.page(relation, block).items.len() == 1;
        let cleared = self.clear_visibility(relation, block);
        let mut main = offset.to_le_bytes().to_vec();
        main.push(u8::from(cleared) | if speculative { 4 } else { 0 } | if self.settings.logical { 8 } else { 0 });
        let registered =
            Registered { data, init, keep_data: self.settings.logical, ..Registered::heap(0, relation, block) };
        let mut blocks = vec![registered];
        blocks.extend(self.visibility_reference(cleared, 1, relation));
        self.log(xid, RmgrId::HEAP, if init { 0x80 } else { 0x00 }, main, blocks);
        if speculative {
            self.sessions[session].speculative = Some((relation, block, offset));
        }
    }

    /// The other half: it holds, or is taken back.
    pub(crate) fn finish_speculative(&mut self, session: usize, confirm: bool) {
        let Some((relation, block, offset)) = self.sessions[session].speculative.take() else { return };
        let xid = self.xid(session);
        if confirm {
            let blocks = vec![Registered::heap(0, relation, block)];
            self.log(xid, RmgrId::HEAP, 0x50, offset.to_le_bytes().to_vec(), blocks);
            return;
        }
        self.tuple_mut((relation, block, offset)).xmin = Xmin::TakenBack;
        let main = [numbers(&[xid]), offset.to_le_bytes().to_vec(), vec![0, 8]].concat();
        self.log(xid, RmgrId::HEAP, 0x10, main, vec![Registered::heap(0, relation, block)]);
    }

    /// `COPY`: several tuples at once. With `FREEZE`, they are committed for all; that is for new relations only.
    pub(crate) fn multi_insert(&mut self, session: usize, relation: u32, lengths: &[u16], choice: u16, freeze: bool) {
        let Some(block) = self.block_with_room(relation, lengths[0], choice, None) else { return };
        let xid = self.xid(session);
        self.lock_relation(xid, relation);
        let is_new = self.relations[&relation]
            .created_by
            .is_some_and(|creator| self.transactions.is_open(creator) && creator == xid);
        let xmin = if freeze && is_new { Xmin::Frozen(xid) } else { Xmin::Transaction(xid) };
        let init = self.page(relation, block).items.is_empty();
        let all_frozen = init && matches!(xmin, Xmin::Frozen(_));
        let mut offsets = Vec::new();
        let mut data = Vec::new();
        for length in lengths {
            if !self.page(relation, block).has_room(*length) {
                break;
            }
            let tuple = Tuple::new(*length, xmin);
            let [a, b, c, d, hoff, bytes @ ..] = &tuple.wal_data(0)[..] else { unreachable!() };
            data.resize(data.len().next_multiple_of(2), 0);
            data.extend(u16::try_from(bytes.len()).unwrap().to_le_bytes());
            data.extend([a, b, c, d, hoff]);
            data.extend(bytes);
            offsets.push(self.page_mut(relation, block).add(tuple));
        }
        let cleared = self.clear_visibility(relation, block);
        if all_frozen {
            self.page_mut(relation, block).all_visible = true;
            self.relations.get_mut(&relation).unwrap().visibility[block as usize] = 3;
        }
        let flags = u8::from(cleared) | 2 | if all_frozen { 32 } else { 0 };
        let mut main = vec![flags, 0];
        main.extend(u16::try_from(offsets.len()).unwrap().to_le_bytes());
        if !init {
            main.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
        }
        let registered =
            Registered { data, init, keep_data: self.settings.logical, ..Registered::heap(0, relation, block) };
        let mut blocks = vec![registered];
        blocks.extend(self.visibility_reference(cleared, 1, relation));
        self.log(xid, RmgrId::HEAP2, if init { 0xD0 } else { 0x50 }, main, blocks);
        if all_frozen {
            self.log_visible(relation, block, 3);
        }
    }

    /// Whether the session sees the tuple's insertion.
    fn sees_insertion(&self, xid: u32, place: Place) -> bool {
        let is_speculative = self.sessions.iter().any(|session| session.speculative == Some(place));
        let inserted = match self.tuple(place).xmin {
            Xmin::Frozen(_) => true,
            Xmin::TakenBack => false,
            Xmin::Transaction(inserter) => match self.transactions.status(inserter) {
                Status::Committed => true,
                Status::Open => self.is_own(xid, inserter),
                Status::Aborted => false,
            },
        };
        inserted && !is_speculative
    }

    /// Those that hold the tuple and have to be heeded: open ones, and an updater that committed.
    pub(crate) fn live_members(&self, xmax: &Xmax) -> Vec<Member> {
        let lives = |member: &&Member| match self.transactions.status(member.xid) {
            Status::Open => true,
            Status::Committed => member.is_updater(),
            Status::Aborted => false,
        };
        xmax.members.iter().filter(lives).copied().collect()
    }

    /// Whether the transaction can take hold of the tuple in this way without waiting.
    fn may_hold(&self, member: Member, place: Place) -> bool {
        let tuple = self.tuple(place);
        let conflicts = |other: &Member| match (other.is_updater(), member.is_updater()) {
            // Its own update, or one that committed: this version is of the past.
            (true, _) if !self.transactions.is_open(other.xid) || self.is_own(member.xid, other.xid) => true,
            (true, true) => true,
            (true, false) => other.status == UPDATE || member.status != FOR_KEY_SHARE,
            (false, _) if self.is_own(member.xid, other.xid) => false,
            (false, _) => {
                let both_mild =
                    [other.status, member.status].map(|status| [FOR_KEY_SHARE, NO_KEY_UPDATE].contains(&status));
                both_mild != [true, true]
            }
        };
        self.sees_insertion(member.xid, place) && !self.live_members(&tuple.xmax).iter().any(conflicts)
    }

    /// A tuple of the relation that can be held in this way.
    fn choose_tuple(&self, member: Member, relation: u32, choice: u16) -> Option<Place> {
        let pages = (0..).zip(&self.relations[&relation].pages);
        let places = pages.flat_map(|(block, page)| page.tuples().map(move |(offset, _)| (relation, block, offset)));
        let places: Vec<Place> = places.filter(|place| self.may_hold(member, *place)).collect();
        (!places.is_empty()).then(|| places[usize::from(choice) % places.len()])
    }

    /// The `xmax` that comes of it; a new set of transactions is logged (`compute_new_xmax_infomask`).
    fn hold(&mut self, member: Member, place: Place) -> Xmax {
        let mut members = self.live_members(&self.tuple(place).xmax);
        match members[..] {
            [] => return Xmax { set: None, members: vec![member] },
            [Member { xid, status }] if xid == member.xid => {
                return Xmax { set: None, members: vec![Member { xid, status: status.max(member.status) }] };
            }
            _ => members.push(member),
        }
        let set = self.transactions.next_set;
        self.transactions.next_set += 1;
        let mut data = numbers(&[set, 100, members.len() as u32]);
        data.extend(members.iter().flat_map(|member| numbers(&[member.xid, member.status])));
        self.log(member.xid, RmgrId::MULTI_XACT, 0x20, data, Vec::new());
        let xmax = Xmax { set: Some(set), members };
        self.transactions.server.updaters.borrow_mut().insert(set, xmax.updater());
        xmax
    }

    /// `SELECT ... FOR KEY SHARE` or `FOR UPDATE`; of a version that an update made (`heap_lock_updated_tuple`) too.
    pub(crate) fn lock_tuple(&mut self, session: usize, relation: u32, choice: u16, strong: bool) {
        let xid = self.xid(session);
        let member = Member { xid, status: if strong { FOR_UPDATE } else { FOR_KEY_SHARE } };
        let Some(place) = self.choose_tuple(member, relation, choice) else { return };
        self.lock_relation(xid, relation);
        self.log_lock(member, place, choice.is_multiple_of(5));
    }

    fn log_lock(&mut self, member: Member, place: Place, of_updated: bool) {
        let (relation, block, offset) = place;
        let xmax = self.hold(member, place);
        let frozen = &mut self.relations.get_mut(&relation).unwrap().visibility[block as usize];
        let cleared = *frozen & 2 != 0;
        *frozen &= 1;
        let mut main = numbers(&[xmax.raw()]);
        main.extend(offset.to_le_bytes());
        main.extend([xmax.info_bits(), u8::from(cleared)]);
        self.tuple_mut(place).set_xmax(xmax);
        let mut blocks = vec![Registered::heap(0, relation, block)];
        blocks.extend(self.visibility_reference(cleared, 1, relation));
        let (rmgr, info) = if of_updated { (RmgrId::HEAP2, 0x60) } else { (RmgrId::HEAP, 0x60) };
        self.log(member.xid, rmgr, info, main, blocks);
    }

    /// `DELETE`, perhaps because the row moves to another partition.
    pub(crate) fn delete(&mut self, session: usize, relation: u32, choice: u16) {
        let xid = self.xid(session);
        let member = Member { xid, status: UPDATE };
        let Some(place) = self.choose_tuple(member, relation, choice) else { return };
        self.lock_relation(xid, relation);
        let (_, block, offset) = place;
        let xmax = self.hold(member, place);
        let cleared = self.clear_visibility(relation, block);
        let partition_move = if choice.is_multiple_of(3) { 16 } else { 0 };
        let mut main = numbers(&[xmax.raw()]);
        main.extend(offset.to_le_bytes());
        main.extend([xmax.info_bits(), u8::from(cleared) | partition_move]);
        self.tuple_mut(place).set_xmax(xmax);
        let mut blocks = vec![Registered::heap(0, relation, block)];
        blocks.extend(self.visibility_reference(cleared, 1, relation));
        self.log(xid, RmgrId::HEAP, 0x10, main, blocks);
    }

    /// `UPDATE`.
    pub(crate) fn update(&mut self, session: usize, relation: u32, choice: u16, length: u16, manner: UpdateManner) {
        let xid = self.xid(session);
        let member = Member { xid, status: if manner.keys { UPDATE } else { NO_KEY_UPDATE } };
        let Some(old) = self.choose_tuple(member, relation, choice) else { return };
        let (_, old_block, old_offset) = old;
        self.lock_relation(xid, relation);
        let same_page = !manner.moves && self.page(relation, old_block).has_room(length);
        let new_block = match same_page {
            true => Some(old_block),
            false => self.block_with_room(relation, length, choice / 16, Some(old_block)),
        };
        let Some(new_block) = new_block else { return };
        if !same_page && self.live_members(&self.tuple(old).xmax).is_empty() {
            // While it looks for room, the page is not its own: so the row is locked.
            self.log_lock(Member { xid, status: FOR_UPDATE }, old, false);
        }
        let lockers: Vec<Member> = self.live_members(&self.tuple(old).xmax);
        let xmax = self.hold(member, old);
        let hot = same_page && !manner.keys;
        let mut new = Tuple::new(length, Xmin::Transaction(xid));
        // Lockers of the old version hold the new one, too.
        if let [locker] = lockers[..]
            && !self.is_own(xid, locker.xid)
        {
            new.xmax.members.push(locker);
        }
        new.heap_only = hot;
        let new_xmax = new.xmax.raw();
        let wal_tuple = new.clone();
        let new_offset = self.page_mut(relation, new_block).add(new);
        let old_tuple = self.tuple_mut(old);
        old_tuple.set_xmax(xmax.clone());
        old_tuple.next = hot.then_some(new_offset);
        let old_cleared = self.clear_visibility(relation, old_block);
        let new_cleared = !same_page && self.clear_visibility(relation, new_block);
        let shared = if same_page { manner.shared } else { (0, 0) };
        let room = (length - 24) / 2;
        let shared = (shared.0.min(room), shared.1.min(room));
        let mut flags = u8::from(old_cleared) | if new_cleared { 2 } else { 0 };
        let mut data = Vec::new();
        for (bytes, flag) in [(shared.0, 32), (shared.1, 64)] {
            if bytes > 0 {
                flags |= flag;
                data.extend(bytes.to_le_bytes());
            }
        }
        data.extend(wal_tuple.wal_data(shared.0 + shared.1));
        let mut main = numbers(&[xmax.raw()]);
        main.extend(old_offset.to_le_bytes());
        main.extend([xmax.info_bits(), flags]);
        main.extend(numbers(&[new_xmax]));
        main.extend(new_offset.to_le_bytes());
        let init = new_offset == 1 && self.page(relation, new_block).items.len() == 1;
        let keep_data = self.settings.logical;
        let mut blocks = vec![Registered { data, init, keep_data, ..Registered::heap(0, relation, new_block) }];
        if !same_page {
            blocks.push(Registered::heap(1, relation, old_block));
        }
        blocks.extend(self.visibility_reference(new_cleared, 2, relation));
        blocks.extend(self.visibility_reference(old_cleared, 3, relation));
        let operation = if hot { 0x40 } else { 0x20 };
        self.log(xid, RmgrId::HEAP, operation | if init { 0x80 } else { 0 }, main, blocks);
    }

    /// A tuple is overwritten where it is (`heap_inplace_update`).
    pub(crate) fn overwrite(&mut self, relation: u32, choice: u16) {
        let pages = (0..).zip(&self.relations[&relation].pages);
        let places = pages.flat_map(|(block, page)| page.tuples().map(move |(offset, _)| (block, offset)));
        let places: Vec<(u32, u16)> = places.collect();
        if places.is_empty() {
            return;
        }
        let (block, offset) = places[usize::from(choice) % places.len()];
        let mut main = offset.to_le_bytes().to_vec();
        if self.settings.version >= pgwal::Version::V18 {
            main.extend([0; 2]);
            main.extend(numbers(&[5, 1663, 0, 0]));
        }
        let data = vec![0xDA; 8];
        let block = Registered { data, ..Registered::heap(0, relation, block) };
        self.log(0, RmgrId::HEAP, 0x70, main, vec![block]);
    }
}
