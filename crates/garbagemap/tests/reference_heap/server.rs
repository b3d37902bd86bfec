//! The reference server: what it holds, and how it writes its log.
//!
//! Sources: `src/backend/access/transam/xloginsert.c`: `XLogRecordAssemble`, `src/backend/access/transam/xact.c`,
//! `src/backend/access/transam/twophase.c`, `src/backend/access/transam/xlog.c`: `CreateCheckPoint`.

use std::collections::BTreeMap;

use pgwal::{BlockFlags, Fork, RelFileLocator, RmgrId, Version};

use crate::log::{WrittenBlock, WrittenImage, WrittenRecord};
use crate::page::{PAGE_HEADER, PAGE_SIZE, Page, Tuple, Xmin};
use crate::transactions::{Status, Transactions, after, precedes};

/// How the server is set up.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) version: Version,
    /// Its first transaction: numbers may wrap around soon.
    pub(crate) first_xid: u32,
    /// `data_checksums`, or `wal_log_hints`.
    pub(crate) hints_are_logged: bool,
    /// `wal_consistency_checking = 'heap,heap2'`.
    pub(crate) consistency_checking: bool,
    /// `wal_level = logical`: tuples are in the log beside the page's image.
    pub(crate) logical: bool,
    /// Records name the blocks of the visibility map that they change, as those of 17.11 and 18.6 do.
    pub(crate) names_visibility_map: bool,
}

/// A relation's files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Relation {
    pub(crate) pages: Vec<Page>,
    /// Two bits for each block: all-visible 1, all-frozen 2.
    pub(crate) visibility: Vec<u8>,
    pub(crate) visibility_lsn: u64,
    /// Transaction that created it, and one that is going to remove it.
    pub(crate) created_by: Option<u32>,
    pub(crate) dropped_by: Option<u32>,
    /// Top transactions that hold a lock on it, those that ended included.
    pub(crate) locked_by: Vec<u32>,
}

/// A backend and its transaction, if one is open: the top transaction, then subtransactions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    pub(crate) stack: Vec<u32>,
    /// A speculative insertion that is neither confirmed nor taken back.
    pub(crate) speculative: Option<(u32, u32, u16)>,
}

/// A block as a record registers it (`XLogRegisterBuffer`).
#[derive(Debug, Clone, Default)]
pub(crate) struct Registered {
    pub(crate) id: u8,
    pub(crate) relation: u32,
    pub(crate) block: u32,
    /// Of the visibility map, whose block zero tells of all blocks here.
    pub(crate) visibility_map: bool,
    pub(crate) data: Vec<u8>,
    /// `REGBUF_WILL_INIT`.
    pub(crate) init: bool,
    /// `REGBUF_NO_IMAGE`; and the page's LSN stays.
    pub(crate) no_image: bool,
    /// `REGBUF_FORCE_IMAGE`.
    pub(crate) force_image: bool,
    /// `REGBUF_KEEP_DATA`.
    pub(crate) keep_data: bool,
}

impl Registered {
    pub(crate) fn heap(id: u8, relation: u32, block: u32) -> Self {
        Self { id, relation, block, ..Self::default() }
    }

    pub(crate) fn visibility_map(id: u8, relation: u32) -> Self {
        Self { id, relation, visibility_map: true, ..Self::default() }
    }
}

/// The server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) settings: Settings,
    pub(crate) records: Vec<WrittenRecord>,
    end: u64,
    /// `RedoRecPtr`, and that of the checkpoint before.
    pub(crate) redo: u64,
    previous_redo: u64,
    pub(crate) full_page_writes: bool,
    /// A checkpoint that has begun: its redo pointer, and `full_page_writes` there.
    checkpoint: Option<(u64, bool)>,
    /// The next transaction is at least this one after a crash.
    durable_next: u32,
    oldest_xid: u32,
    pub(crate) relations: BTreeMap<u32, Relation>,
    pub(crate) transactions: Transactions,
    pub(crate) sessions: Vec<Session>,
}

/// Where files of this number are.
pub(crate) fn locator(relation: u32) -> RelFileLocator {
    RelFileLocator::new(1663, 5, relation)
}

/// Three numbers as the log has them.
pub(crate) fn locator_bytes(relation: u32) -> Vec<u8> {
    numbers(&[1663, 5, relation])
}

pub(crate) fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Appends zeroes up to a multiple of eight bytes.
fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

impl Server {
    /// One that has just started.
    pub(crate) fn start(settings: Settings, full_page_writes: bool) -> Self {
        let mut server = Self {
            end: 0x100_0028,
            redo: 0,
            previous_redo: 0,
            full_page_writes,
            checkpoint: None,
            durable_next: settings.first_xid,
            oldest_xid: settings.first_xid,
            relations: BTreeMap::new(),
            transactions: Transactions::new(settings.first_xid),
            sessions: vec![Session::default(); 4],
            records: Vec::new(),
            settings,
        };
        server.log_shutdown_checkpoint();
        server
    }

    /// Writes a record. The pages must be as they are after it, but for their LSN.
    pub(crate) fn log(&mut self, xid: u32, rmgr: RmgrId, info: u8, main_data: Vec<u8>, blocks: Vec<Registered>) {
        let start = self.end;
        let checked = self.settings.consistency_checking && matches!(rmgr, RmgrId::HEAP | RmgrId::HEAP2);
        let written: Vec<_> = blocks.iter().map(|block| self.assemble(block, checked)).collect();
        self.end = start + 64 + 8 * (written.len() as u64 + main_data.len() as u64 / 8);
        for block in blocks.iter().filter(|block| !block.no_image) {
            let relation = self.relations.get_mut(&block.relation).unwrap();
            match block.visibility_map {
                true => relation.visibility_lsn = self.end,
                false => relation.pages[block.block as usize].lsn = self.end,
            }
        }
        if xid != 0 {
            self.keep_past(xid);
        }
        let top = if self.settings.logical && xid != 0 { Some(self.transactions.top(xid)) } else { None };
        self.records.push(WrittenRecord {
            start,
            end: self.end,
            xid,
            top_xid: top.filter(|top| *top != xid),
            rmgr,
            info: info | if checked { 2 } else { 0 },
            version: self.settings.version,
            main_data,
            blocks: written,
        });
    }

    /// After a crash this number is not used again (`AdvanceNextFullTransactionIdPastXid`).
    fn keep_past(&mut self, xid: u32) {
        if !precedes(xid, self.durable_next) {
            self.durable_next = after(xid);
        }
    }

    fn assemble(&self, block: &Registered, checked: bool) -> WrittenBlock {
        let relation = &self.relations[&block.relation];
        let lsn = match block.visibility_map {
            true => relation.visibility_lsn,
            false => relation.pages[block.block as usize].lsn,
        };
        let is_wanted = block.force_image || (self.full_page_writes && lsn <= self.redo);
        let backed_up = is_wanted && !block.no_image && !block.init;
        let keeps_data = block.keep_data || !backed_up;
        let data = if keeps_data { block.data.clone() } else { Vec::new() };
        let image = (backed_up || checked).then(|| {
            let (page, hole) = match block.visibility_map {
                true => relation.visibility_map_page(),
                false => relation.pages[block.block as usize].bytes(),
            };
            WrittenImage::new(&page, hole, backed_up)
        });
        let mut flags = BlockFlags::empty();
        flags.set(BlockFlags::HAS_IMAGE, image.is_some());
        flags.set(BlockFlags::HAS_DATA, !data.is_empty());
        flags.set(BlockFlags::WILL_INIT, block.init);
        let fork = if block.visibility_map { Fork::VISIBILITY_MAP } else { Fork::MAIN };
        WrittenBlock { id: block.id, flags, relation: locator(block.relation), fork, number: block.block, data, image }
    }

    /// The session's present transaction or subtransaction; it begins if there is none.
    pub(crate) fn xid(&mut self, session: usize) -> u32 {
        match self.sessions[session].stack.last() {
            Some(xid) => *xid,
            None => {
                let xid = self.transactions.begin(None);
                self.sessions[session].stack.push(xid);
                xid
            }
        }
    }

    /// `SAVEPOINT`.
    pub(crate) fn savepoint(&mut self, session: usize) {
        let parent = self.xid(session);
        let xid = self.transactions.begin(Some(parent));
        self.sessions[session].stack.push(xid);
    }

    /// `RELEASE` of the last savepoint.
    pub(crate) fn release(&mut self, session: usize) {
        if let [.., parent, xid] = self.sessions[session].stack[..] {
            self.transactions.get(parent).children.push(xid);
            self.sessions[session].stack.pop();
        }
    }

    /// Rolls the innermost transaction back: to the last savepoint, or as a whole.
    pub(crate) fn rollback(&mut self, session: usize) {
        if let Some(xid) = self.sessions[session].stack.pop() {
            self.end_transaction(xid, Status::Aborted, false);
        }
    }

    /// `COMMIT`.
    pub(crate) fn commit(&mut self, session: usize) {
        if let Some(xid) = self.release_all(session) {
            self.end_transaction(xid, Status::Committed, false);
        }
    }

    /// Ends all savepoints and the session's transaction, and returns it.
    fn release_all(&mut self, session: usize) -> Option<u32> {
        while self.sessions[session].stack.len() > 1 {
            self.release(session);
        }
        self.sessions[session].stack.pop()
    }

    /// `PREPARE TRANSACTION`.
    pub(crate) fn prepare(&mut self, session: usize) {
        let Some(xid) = self.release_all(session) else { return };
        let family = self.transactions.family(xid);
        let (dropped, created) = self.relations_of(&family);
        let counts = [family.len() - 1, dropped.len(), created.len(), 0, 0, 0].map(|count| count as u32);
        let gid = format!("transaction {xid}\0");
        let mut data = numbers(&[0x57F9_4534, 0, xid, 5, 0, 0, 10]);
        data.extend(numbers(&counts));
        data.extend([0, 0, u8::try_from(gid.len()).unwrap(), 0]);
        data.extend([0; 16]);
        for part in [
            gid.into_bytes(),
            numbers(&family[1..]),
            dropped.iter().flat_map(|relation| locator_bytes(*relation)).collect(),
            created.iter().flat_map(|relation| locator_bytes(*relation)).collect(),
        ] {
            align(&mut data);
            data.extend(part);
        }
        for xid in &family {
            self.transactions.get(*xid).prepared = true;
            self.keep_past(*xid);
        }
        self.log(xid, RmgrId::TRANSACTION, 0x10, data, Vec::new());
    }

    /// Prepared top transactions.
    pub(crate) fn prepared(&self) -> Vec<u32> {
        let mut open = self.transactions.open();
        open.retain(|xid| self.transactions.all[xid].prepared && self.transactions.all[xid].parent.is_none());
        open
    }

    /// Relations that the transactions drop if they commit, and those that they created.
    fn relations_of(&self, family: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let of = |xid: &u32| &self.transactions.all[xid];
        (
            family.iter().flat_map(|xid| of(xid).dropped.clone()).collect(),
            family.iter().flat_map(|xid| of(xid).created.clone()).collect(),
        )
    }

    /// Writes a commit or an abort (`XactLogCommitRecord`, `XactLogAbortRecord`).
    pub(crate) fn end_transaction(&mut self, xid: u32, status: Status, prepared: bool) {
        let family = self.transactions.family(xid);
        let (dropped, created) = self.relations_of(&family);
        let committed = status == Status::Committed;
        let gone = if committed { &dropped } else { &created };
        let mut flags = 0;
        let mut tail = Vec::new();
        if family.len() > 1 {
            flags |= 0x02;
            tail.extend(numbers(&[family.len() as u32 - 1]));
            tail.extend(numbers(&family[1..]));
        }
        if !gone.is_empty() {
            flags |= 0x04 | 0x100;
            tail.extend(numbers(&[gone.len() as u32]));
            tail.extend(gone.iter().flat_map(|relation| locator_bytes(*relation)));
            // Statistics are dropped with it: xl_xact_stats_item has 16 bytes from 18 on.
            let item = if self.settings.version < Version::V18 { &[1, 1, 5, 9][..] } else { &[1, 1, 5, 9, 0][..] };
            tail.extend(numbers(item));
        }
        if prepared {
            flags |= 0x10 | 0x80;
            tail.extend(numbers(&[xid]));
            tail.extend(format!("transaction {xid}\0").into_bytes());
        }
        let mut data = vec![0; 8];
        let mut info = match (committed, prepared) {
            (true, false) => 0x00,
            (false, false) => 0x20,
            (true, true) => 0x30,
            (false, true) => 0x40,
        };
        if flags != 0 {
            info |= 0x80;
            data.extend(numbers(&[flags]));
            data.extend(tail);
        }
        self.log(if prepared { 0 } else { xid }, RmgrId::TRANSACTION, info, data, Vec::new());
        for xid in family {
            self.transactions.end(xid, status);
            self.keep_past(xid);
        }
        for relation in &dropped {
            if let Some(relation) = self.relations.get_mut(relation) {
                relation.dropped_by = None;
            }
        }
        for relation in gone {
            self.relations.remove(relation);
        }
    }

    /// `LogStandbySnapshot`. Meanwhile another session may commit: then its transaction is among those that run.
    pub(crate) fn log_running(&mut self, committing: Option<usize>) {
        let open = self.transactions.open();
        let next = self.transactions.next;
        let oldest = self.transactions.oldest_open();
        let mut data = numbers(&[open.len() as u32, 0, 0, next, oldest, next.wrapping_sub(1)]);
        data.extend(numbers(&open));
        if let Some(session) = committing
            && self.sessions[session].speculative.is_none()
        {
            self.commit(session);
        }
        self.log(0, RmgrId::STANDBY, 0x10, data, Vec::new());
    }

    /// A checkpoint begins: from here on the first change of each page holds it.
    pub(crate) fn begin_checkpoint(&mut self) {
        if self.checkpoint.is_none() {
            self.previous_redo = self.redo;
            self.redo = self.end;
            self.checkpoint = Some((self.redo, self.full_page_writes));
            if self.settings.version >= Version::V17 {
                self.log(0, RmgrId::XLOG, 0xE0, numbers(&[1]), Vec::new());
            }
        }
    }

    /// It ends.
    pub(crate) fn end_checkpoint(&mut self) {
        if let Some((redo, full_page_writes)) = self.checkpoint.take() {
            self.log_running(None);
            let data = self.checkpoint_data(redo, full_page_writes);
            self.log(0, RmgrId::XLOG, 0x10, data, Vec::new());
        }
    }

    fn log_shutdown_checkpoint(&mut self) {
        self.checkpoint = None;
        self.previous_redo = self.redo;
        self.redo = self.end;
        let data = self.checkpoint_data(self.redo, self.full_page_writes);
        self.log(0, RmgrId::XLOG, 0x00, data, Vec::new());
    }

    /// `CheckPoint`.
    fn checkpoint_data(&mut self, redo: u64, full_page_writes: bool) -> Vec<u8> {
        let next = self.transactions.next;
        self.durable_next = next;
        let wal_level = if self.settings.version >= Version::V17 { 1 } else { 0 };
        let epoch = u32::from(next < self.settings.first_xid);
        let next_set = self.transactions.next_set;
        let mut data = redo.to_le_bytes().to_vec();
        data.extend(numbers(&[1, 1, u32::from(full_page_writes), wal_level, next, epoch, 20_000, next_set, 1]));
        data.extend(numbers(&[self.oldest_xid, 5, 1, 5]));
        data.resize(88, 0);
        data
    }

    /// `datfrozenxid` goes on as far as what stands on the pages allows.
    pub(crate) fn advance_oldest_xid(&mut self) {
        let mut oldest = self.transactions.oldest_open();
        let mut see = |xid| oldest = if precedes(xid, oldest) { xid } else { oldest };
        for (_, tuple) in self.relations.values().flat_map(|relation| &relation.pages).flat_map(Page::tuples) {
            if let Xmin::Transaction(xid) = tuple.xmin {
                see(xid);
            }
            tuple.xmax.members.iter().for_each(|member| see(member.xid));
        }
        self.oldest_xid = oldest;
    }

    /// The server crashes and starts again: what was open and not prepared is lost without a word.
    pub(crate) fn crash(&mut self) {
        self.lose_open_transactions();
        self.log_shutdown_checkpoint();
    }

    /// The server stops in order, and starts again.
    pub(crate) fn restart(&mut self) {
        for session in 0..self.sessions.len() {
            while !self.sessions[session].stack.is_empty() {
                self.rollback(session);
            }
        }
        self.durable_next = self.transactions.next;
        self.crash();
    }

    /// A standby takes over. The last redo pointer of which it knows may be an earlier one (`CreateRestartPoint`).
    pub(crate) fn promote(&mut self, restart_point_is_behind: bool) {
        self.lose_open_transactions();
        self.checkpoint = None;
        if restart_point_is_behind {
            self.redo = self.previous_redo;
        }
        let mut data = vec![0; 8];
        data.extend(numbers(&[2, 1, 1]));
        self.log(0, RmgrId::XLOG, 0x90, data, Vec::new());
    }

    fn lose_open_transactions(&mut self) {
        for xid in self.transactions.open() {
            if !self.transactions.all[&xid].prepared {
                self.transactions.end(xid, Status::Aborted);
            }
        }
        // Numbers of which no record tells come again.
        self.transactions.next = self.durable_next;
        self.sessions.fill(Session::default());
        for relation in self.relations.values_mut() {
            if relation.dropped_by.is_some_and(|xid| !self.transactions.is_open(xid)) {
                relation.dropped_by = None;
            }
        }
    }

    /// `full_page_writes` is switched (`UpdateFullPageWrites`): on before the record, off behind it.
    pub(crate) fn switch_full_page_writes(&mut self) {
        let on = !self.full_page_writes;
        self.log(0, RmgrId::XLOG, 0x80, vec![u8::from(on)], Vec::new());
        self.full_page_writes = on;
    }

    /// Whether the tuple is dead: the definition that all is compared with.
    pub(crate) fn is_dead(&self, tuple: &Tuple) -> bool {
        let inserter_aborted = match tuple.xmin {
            Xmin::Transaction(xid) => self.transactions.status(xid) == Status::Aborted,
            Xmin::Frozen(_) => false,
            Xmin::TakenBack => true,
        };
        inserter_aborted || tuple.xmax.updater().is_some_and(|xid| self.transactions.status(xid) == Status::Committed)
    }
}

impl Relation {
    /// The only page of its visibility map; such pages have no hole.
    fn visibility_map_page(&self) -> (Vec<u8>, std::ops::Range<usize>) {
        let mut page = vec![0; PAGE_SIZE];
        for (at, number) in [(12, PAGE_HEADER), (14, PAGE_SIZE), (16, PAGE_SIZE), (18, PAGE_SIZE | 4)] {
            page[at..at + 2].copy_from_slice(&u16::try_from(number).unwrap().to_le_bytes());
        }
        for (block, bits) in self.visibility.iter().enumerate() {
            page[PAGE_HEADER + block / 4] |= bits << (block % 4 * 2);
        }
        (page, 0..0)
    }
}
