//! Which addresses are maps of ours: written by those who map, read by the handler of SIGBUS, which may wait for
//! nobody and allocate nothing.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

/// How many maps there can be at a time: each source has one.
const PLACES: usize = 128;

static REGISTRY: [Place; PLACES] = [const { Place::new() }; PLACES];

/// The place of one map. `sequence` is odd while the address and the length are written: a place that changes under
/// the handler's eyes is not the one that it looks for, since whoever faults still has its map.
#[derive(Debug)]
struct Place {
    taken: AtomicBool,
    sequence: AtomicUsize,
    address: AtomicUsize,
    length: AtomicUsize,
    shrank: AtomicBool,
}

impl Place {
    const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            sequence: AtomicUsize::new(0),
            address: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            shrank: AtomicBool::new(false),
        }
    }

    fn write(&self, address: usize, length: usize) {
        self.sequence.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.address.store(address, Ordering::Relaxed);
        self.length.store(length, Ordering::Relaxed);
        self.shrank.store(false, Ordering::Relaxed);
        self.sequence.fetch_add(1, Ordering::Release);
    }

    /// Address and length, unless they are being changed.
    fn read(&self) -> Option<(usize, usize)> {
        let before = self.sequence.load(Ordering::Acquire);
        let found = (self.address.load(Ordering::Relaxed), self.length.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let unchanged = before.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == before;
        unchanged.then_some(found)
    }
}

/// That a map is known to the handler, up to its end.
#[derive(Debug)]
pub(crate) struct Registration(&'static Place);

impl Registration {
    pub(crate) fn new(address: usize, length: usize) -> io::Result<Self> {
        let place = REGISTRY.iter().find(|place| !place.taken.swap(true, Ordering::Acquire));
        let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::ResourceBusy))?;
        place.write(address, length);
        Ok(Self(place))
    }

    #[inline]
    pub(crate) fn shrank(&self) -> bool {
        self.0.shrank.load(Ordering::Relaxed)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.0.write(0, 0);
        self.0.taken.store(false, Ordering::Release);
    }
}

/// The map that holds `address`.
#[derive(Debug)]
pub(crate) struct Found {
    place: &'static Place,
    /// Just behind its last byte.
    pub(crate) end: usize,
}

impl Found {
    /// Notes that its file is shorter than it.
    pub(crate) fn note_shrunk(&self) {
        self.place.shrank.store(true, Ordering::Relaxed);
    }
}

/// Finds the map that holds `address`. To be called from the handler too.
pub(crate) fn find(address: usize) -> Option<Found> {
    REGISTRY.iter().find_map(|place| {
        let (begin, length) = place.read()?;
        let within = address.checked_sub(begin)? < length;
        within.then(|| Found { place, end: begin.saturating_add(length) })
    })
}
