//! A log that several threads read at the same time, each of them every n-th piece.
//!
//! Where a piece of the log begins in the middle of a record, that record belongs to the piece before. That nothing is
//! left out or told twice is seen at the seams: the first record of a piece must name the last one before it.

use std::ops::{ControlFlow, Range};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use pgwal::{Lsn, RawRecord, Visit};

use super::{FileSource, FileSourceOptions, WalDirectory};

/// Where pieces begin: at multiples of so many bytes, so that no two of them share what is brought into memory at once.
const GRAIN: u64 = 1024 * 1024;

/// The record that a reading in pieces has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRecord {
    /// Where it begins.
    pub lsn: Lsn,
    /// Where the next one may begin.
    pub end: Lsn,
}

/// Reads the log from the record that begins at `range.start` on in `jobs` threads, as far as it is without fault:
/// pieces of it are given to visitors of their own, which `join` then takes in order. `largest` is the most that a
/// visitor is given, in bytes (at least 1 MiB): little if it keeps much of what it saw, much if to begin or to join one
/// is dear.
///
/// Returns the last record that was so read. What comes behind (the end of the range or of the log, a record that ends
/// behind the range, damage, or a visitor that broke) is left to [`FileSource::behind`], whose word counts. A visitor
/// whose piece is not used is dropped.
pub fn read_in_pieces<V: Visit + Send>(
    directory: &WalDirectory,
    range: Range<Lsn>,
    options: FileSourceOptions,
    jobs: usize,
    largest: u64,
    visitor: impl Fn() -> V + Sync,
    mut join: impl FnMut(V, LastRecord) -> ControlFlow<()>,
) -> Option<LastRecord> {
    let jobs = jobs.max(1);
    let pieces = Pieces { directory, length: piece_length(&range, jobs, largest), range, options };
    let mut last: Option<LastRecord> = None;
    thread::scope(|scope| {
        // Each thread may be one piece ahead, so that memory stays the same whatever the length of the log.
        let receivers: Vec<Receiver<Piece<V>>> = (0..jobs)
            .map(|job| {
                let (sender, receiver) = sync_channel(1);
                let (pieces, visitor) = (&pieces, &visitor);
                scope.spawn(move || pieces.read_every(job, jobs, visitor, &sender));
                receiver
            })
            .collect();
        for receiver in receivers.iter().cycle() {
            // A thread that has ended has come to the end of the range.
            let Ok(piece) = receiver.recv() else { break };
            let fits = match (piece.first, last) {
                (None, _) => true,
                (Some((lsn, _)), None) => lsn == pieces.range.start,
                (Some((_, previous)), Some(last)) => previous == last.lsn,
            };
            if !fits || !piece.whole {
                break;
            }
            if let Some(record) = piece.last {
                last = Some(record);
                if join(piece.visitor, record).is_break() {
                    break;
                }
            }
        }
    });
    last
}

/// The length of pieces, in bytes, with which all threads have as much to do.
fn piece_length(range: &Range<Lsn>, jobs: usize, largest: u64) -> u64 {
    let length = range.end.get().saturating_sub(range.start.get()).max(1);
    let jobs = jobs as u64;
    let rounds = length.div_ceil(largest.max(GRAIN).saturating_mul(jobs));
    length.div_ceil(rounds.saturating_mul(jobs)).div_ceil(GRAIN).saturating_mul(GRAIN)
}

/// What was asked for.
struct Pieces<'a> {
    directory: &'a WalDirectory,
    /// Of a piece, in bytes.
    length: u64,
    range: Range<Lsn>,
    options: FileSourceOptions,
}

impl Pieces<'_> {
    /// Reads the pieces `first`, `first + step` and so on, until one is not whole or nobody wants them any more.
    fn read_every<V: Visit>(&self, first: usize, step: usize, visitor: impl Fn() -> V, sender: &SyncSender<Piece<V>>) {
        let mut source = FileSource::new(self.directory, self.options);
        for number in (first as u64..).step_by(step) {
            let begin = self.border(number).max(self.range.start);
            if begin >= self.range.end {
                return;
            }
            source.seek(begin);
            let piece = self.read(&mut source, self.border(number.saturating_add(1)), visitor());
            let whole = piece.whole;
            if sender.send(piece).is_err() || !whole {
                return;
            }
        }
    }

    /// Where a piece begins; the first one begins with the range.
    fn border(&self, number: u64) -> Lsn {
        let first = self.range.start.get() / GRAIN * GRAIN;
        Lsn::new(first.saturating_add(number.saturating_mul(self.length)))
    }

    /// Reads from where the source is to where the next piece begins.
    fn read<V: Visit>(&self, source: &mut FileSource, border: Lsn, visitor: V) -> Piece<V> {
        let mut piece = Piece { end: self.range.end, border, first: None, last: None, whole: false, visitor };
        let mut without_gap = true;
        let read = source.for_each_raw_record(&mut piece, |_| without_gap = false);
        piece.whole &= without_gap && read.is_ok();
        piece
    }
}

/// A piece of the log, and what a visitor made of it.
struct Piece<V> {
    /// End of what was asked for.
    end: Lsn,
    /// Where the next piece begins.
    border: Lsn,
    /// The first record, and where the one before it begins.
    first: Option<(Lsn, Lsn)>,
    last: Option<LastRecord>,
    /// Whether there are no more records in it.
    whole: bool,
    visitor: V,
}

impl<V: Visit> Visit for Piece<V> {
    #[inline(always)]
    fn visit(&mut self, record: &RawRecord<'_>) -> ControlFlow<()> {
        if record.lsn >= self.border || record.end >= self.end {
            self.whole = record.lsn >= self.border;
            return ControlFlow::Break(());
        }
        if self.first.is_none() {
            self.first = Some((record.lsn, record.header.prev));
        }
        self.last = Some(LastRecord { lsn: record.lsn, end: record.end });
        self.visitor.visit(record)?;
        // The next one begins in a later piece: it need not be looked for.
        self.whole = record.end >= self.border;
        if self.whole { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
