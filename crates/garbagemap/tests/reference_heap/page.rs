//! A page of the reference: line pointers and tuples as they are, and the bytes that a server would have for them.
//!
//! Sources: `src/backend/storage/page/bufpage.c`, `src/include/access/htup_details.h`.

/// Bytes of a page.
pub(crate) const PAGE_SIZE: usize = 8192;
/// Most line pointers of a page (`MaxHeapTuplesPerPage`).
pub(crate) const MOST_ITEMS: usize = 291;
/// `SizeOfPageHeaderData`.
pub(crate) const PAGE_HEADER: usize = 24;

/// A transaction that locks, updates or deletes a tuple, with its `MultiXactStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) xid: u32,
    pub(crate) status: u32,
}

/// `MultiXactStatusForKeyShare`.
pub(crate) const FOR_KEY_SHARE: u32 = 0;
/// `MultiXactStatusForUpdate`.
pub(crate) const FOR_UPDATE: u32 = 3;
/// `MultiXactStatusNoKeyUpdate`.
pub(crate) const NO_KEY_UPDATE: u32 = 4;
/// `MultiXactStatusUpdate`: an update of the key, or a deletion.
pub(crate) const UPDATE: u32 = 5;

impl Member {
    pub(crate) fn is_updater(&self) -> bool {
        self.status >= NO_KEY_UPDATE
    }
}

/// Who holds a tuple: nobody, one, or a set of transactions with a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Xmax {
    pub(crate) set: Option<u32>,
    pub(crate) members: Vec<Member>,
}

impl Xmax {
    /// What stands in the tuple's header and in records.
    pub(crate) fn raw(&self) -> u32 {
        self.set.or_else(|| self.members.first().map(|member| member.xid)).unwrap_or(0)
    }

    pub(crate) fn updater(&self) -> Option<u32> {
        self.members.iter().find(|member| member.is_updater()).map(|member| member.xid)
    }

    /// Bits of `t_infomask` (`compute_new_xmax_infomask`, `GetMultiXactIdHintBits`).
    fn infomask(&self) -> u16 {
        let Some(strongest) = self.members.iter().map(|member| member.status).max() else { return 0x0800 };
        let lock_only = if self.updater().is_none() { 0x0080 } else { 0 };
        let lock = match strongest {
            FOR_KEY_SHARE => 0x0010,
            1 => 0x0050,
            _ => 0x0040,
        };
        match self.set {
            Some(_) => 0x1000 | lock_only | lock,
            None if strongest >= NO_KEY_UPDATE => 0,
            None => lock_only | lock,
        }
    }

    /// Whether `HEAP_KEYS_UPDATED` is set.
    fn keys_updated(&self) -> bool {
        self.members.iter().any(|member| [FOR_UPDATE, UPDATE].contains(&member.status))
    }

    /// `XLHL_*` of records.
    pub(crate) fn info_bits(&self) -> u8 {
        let infomask = self.infomask();
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        bit(infomask & 0x1000 != 0, 1)
            | bit(infomask & 0x0080 != 0, 2)
            | bit(infomask & 0x0040 != 0, 4)
            | bit(infomask & 0x0010 != 0, 8)
            | bit(self.keys_updated(), 16)
    }
}

/// Who inserted a tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Xmin {
    Transaction(u32),
    /// Committed for all.
    Frozen(u32),
    /// A speculative insertion that was taken back.
    TakenBack,
}

/// A tuple, without its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tuple {
    /// `lp_len`.
    pub(crate) length: u16,
    pub(crate) xmin: Xmin,
    pub(crate) xmax: Xmax,
    /// Line pointer of the next version, if that is a heap-only tuple.
    pub(crate) next: Option<u16>,
    pub(crate) heap_only: bool,
    /// Hint bits: whether the transaction committed.
    pub(crate) xmin_hint: Option<bool>,
    pub(crate) xmax_hint: Option<bool>,
}

impl Tuple {
    pub(crate) fn new(length: u16, xmin: Xmin) -> Self {
        Self { length, xmin, xmax: Xmax::default(), next: None, heap_only: false, xmin_hint: None, xmax_hint: None }
    }

    pub(crate) fn set_xmax(&mut self, xmax: Xmax) {
        self.xmax = xmax;
        self.xmax_hint = None;
    }

    pub(crate) fn infomask(&self) -> u16 {
        let xmin = match (self.xmin, self.xmin_hint) {
            (Xmin::Frozen(_), _) => 0x0300,
            (_, Some(true)) => 0x0100,
            (_, Some(false)) => 0x0200,
            (_, None) => 0,
        };
        let xmax_hint = match self.xmax_hint {
            Some(true) => 0x0400,
            Some(false) => 0x0800,
            None => 0,
        };
        xmin | self.xmax.infomask() | xmax_hint
    }

    pub(crate) fn infomask2(&self) -> u16 {
        let flag = |set: bool, flag: u16| if set { flag } else { 0 };
        2 | flag(self.xmax.keys_updated(), 0x2000) | flag(self.next.is_some(), 0x4000) | flag(self.heap_only, 0x8000)
    }

    /// `xl_heap_header` and the tuple's data, of which `shared` bytes are left out.
    pub(crate) fn wal_data(&self, shared: u16) -> Vec<u8> {
        let mut data = [self.infomask2().to_le_bytes(), self.infomask().to_le_bytes()].concat();
        data.push(24);
        data.resize(5 + usize::from(self.length - 23 - shared), 0xDA);
        data
    }
}

/// What a line pointer stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Unused,
    Tuple(Tuple),
    Redirect(u16),
    Dead,
}

/// A page. Its tuples lie close together at its end, as `PageRepairFragmentation` leaves them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    /// `pd_lsn`.
    pub(crate) lsn: u64,
    /// False while it is full of zeroes.
    pub(crate) initialised: bool,
    /// `PD_ALL_VISIBLE`.
    pub(crate) all_visible: bool,
    pub(crate) items: Vec<Item>,
}

/// Rounds up to the alignment of tuples.
fn aligned(length: u16) -> usize {
    usize::from(length).next_multiple_of(8)
}

impl Page {
    pub(crate) fn tuples(&self) -> impl Iterator<Item = (u16, &Tuple)> {
        (1..).zip(&self.items).filter_map(|(offset, item)| match item {
            Item::Tuple(tuple) => Some((offset, tuple)),
            _ => None,
        })
    }

    pub(crate) fn tuple(&self, offset: u16) -> Option<&Tuple> {
        match self.items.get(usize::from(offset) - 1) {
            Some(Item::Tuple(tuple)) => Some(tuple),
            _ => None,
        }
    }

    pub(crate) fn tuple_mut(&mut self, offset: u16) -> &mut Tuple {
        match &mut self.items[usize::from(offset) - 1] {
            Item::Tuple(tuple) => tuple,
            other => panic!("line pointer {offset} is {other:?}"),
        }
    }

    fn lower(&self) -> usize {
        PAGE_HEADER + 4 * self.items.len()
    }

    fn upper(&self) -> usize {
        PAGE_SIZE - self.tuples().map(|(_, tuple)| aligned(tuple.length)).sum::<usize>()
    }

    /// `PageGetFreeSpace`.
    pub(crate) fn free_space(&self) -> usize {
        if self.initialised { (self.upper() - self.lower()).saturating_sub(4) } else { 0 }
    }

    /// Whether a tuple of this length can be added.
    pub(crate) fn has_room(&self, length: u16) -> bool {
        let items = self.items.len() < MOST_ITEMS || self.items.contains(&Item::Unused);
        items && (!self.initialised || self.free_space() >= aligned(length))
    }

    /// `PageAddItemExtended`: takes the first unused line pointer.
    pub(crate) fn add(&mut self, tuple: Tuple) -> u16 {
        self.initialised = true;
        let unused = self.items.iter().position(|item| *item == Item::Unused);
        let index = unused.unwrap_or(self.items.len());
        match self.items.get_mut(index) {
            Some(item) => *item = Item::Tuple(tuple),
            None => self.items.push(Item::Tuple(tuple)),
        }
        u16::try_from(index + 1).unwrap()
    }

    /// Gives unused line pointers at the end back, but keeps `least` (`PageRepairFragmentation` keeps none,
    /// `PageTruncateLinePointerArray` one).
    pub(crate) fn truncate_items(&mut self, least: usize) {
        while self.items.len() > least && self.items.last() == Some(&Item::Unused) {
            self.items.pop();
        }
    }

    /// The page as it lies in memory, and where its hole is.
    pub(crate) fn bytes(&self) -> (Vec<u8>, std::ops::Range<usize>) {
        let mut page = vec![0; PAGE_SIZE];
        if !self.initialised {
            return (page, 0..0);
        }
        let mut place = PAGE_SIZE;
        for (index, item) in self.items.iter().enumerate() {
            let bits = match item {
                Item::Unused => 0,
                Item::Redirect(target) => u32::from(*target) | 2 << 15,
                Item::Dead => 3 << 15,
                Item::Tuple(tuple) => {
                    place -= aligned(tuple.length);
                    write_tuple(&mut page[place..], tuple);
                    u32::try_from(place).unwrap() | 1 << 15 | u32::from(tuple.length) << 17
                }
            };
            page[PAGE_HEADER + 4 * index..][..4].copy_from_slice(&bits.to_le_bytes());
        }
        let (lower, upper) = (self.lower(), self.upper());
        let lsn = [(self.lsn >> 32) as u32, self.lsn as u32].map(u32::to_le_bytes).concat();
        page[..8].copy_from_slice(&lsn);
        page[10] = if self.all_visible { 4 } else { 0 };
        for (at, number) in [(12, lower), (14, upper), (16, PAGE_SIZE), (18, PAGE_SIZE | 4)] {
            page[at..at + 2].copy_from_slice(&u16::try_from(number).unwrap().to_le_bytes());
        }
        (page, lower..upper)
    }
}

fn write_tuple(place: &mut [u8], tuple: &Tuple) {
    let xmin = match tuple.xmin {
        Xmin::Transaction(xid) | Xmin::Frozen(xid) => xid,
        Xmin::TakenBack => 0,
    };
    place[0..4].copy_from_slice(&xmin.to_le_bytes());
    place[4..8].copy_from_slice(&tuple.xmax.raw().to_le_bytes());
    place[16..18].copy_from_slice(&tuple.next.unwrap_or(0).to_le_bytes());
    place[18..20].copy_from_slice(&tuple.infomask2().to_le_bytes());
    place[20..22].copy_from_slice(&tuple.infomask().to_le_bytes());
    place[22] = 24;
    place[23..usize::from(tuple.length)].fill(0xDA);
}
