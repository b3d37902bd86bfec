//! Every byte of some real pages changed, and the pages cut at every byte: the reader neither panics nor loops, gives
//! out no more than it was given, and without a checksum that fits it gives out nothing.

mod waldump;

use std::fs;

use anyhow::{Context as _, Result, ensure};
use pgwal::{LongPageHeader, Lsn, ReadError, Reader, ReaderOptions, TextBuffer};
use waldump::{segments, small_segments};
use walker_testing::Mode;

const PAGE_SIZE: usize = 8192;
/// Length of what is damaged, and how many such pieces there are.
const PIECE: usize = 2 * PAGE_SIZE;
const PIECES: usize = 4;
/// What reading may make the process larger, in kilobytes.
const KILOBYTES: u64 = 8 * 1024;

/// Records of many kinds and of all sizes.
const LOAD: &str = "
    CREATE EXTENSION bloom;
    CREATE TABLE t (id int, r text, p point, a int[]);
    CREATE INDEX ON t (id);
    CREATE INDEX ON t USING hash (id);
    CREATE INDEX ON t USING gin (a);
    CREATE INDEX ON t USING gist (p);
    CREATE INDEX ON t USING spgist (p);
    CREATE INDEX ON t USING brin (id);
    CREATE INDEX ON t USING bloom (id);
    INSERT INTO t SELECT g, repeat('x', g % 300), point(g % 7, g), ARRAY[g, g % 10] FROM generate_series(1, 3000) g;
    UPDATE t SET id = id + 1 WHERE id % 3 = 0;
    DELETE FROM t WHERE id % 4 = 0;
    SELECT count(pg_logical_emit_message(true, 'some', repeat('y', g * 500))) FROM generate_series(1, 10) g;
    VACUUM t;
    TRUNCATE t;";

/// Two pages of a real log.
struct Piece {
    begin: Lsn,
    bytes: Vec<u8>,
    options: ReaderOptions,
}

/// What came out.
#[derive(PartialEq)]
struct Outcome {
    /// Where each record begins, and its line.
    lines: Vec<(Lsn, Vec<u8>)>,
    end: Option<ReadError>,
}

impl Piece {
    /// Pieces from all over the log of a server.
    fn some() -> Result<Vec<Self>> {
        let mut cluster = small_segments()?.start()?;
        cluster.psql("postgres", LOAD)?;
        cluster.stop(Mode::Fast)?;
        let (mut log, mut begin, mut options) = (Vec::new(), None, ReaderOptions::default());
        for name in segments(&cluster.wal_directory())? {
            let segment = fs::read(cluster.wal_directory().join(name))?;
            let header = LongPageHeader::parse(&segment)?;
            // Behind the end there are segments for later, with the addresses of earlier ones.
            let expected = begin.get_or_insert(header.page.address).advanced(log.len() as u64);
            if header.page.address != expected {
                break;
            }
            options = ReaderOptions::from_segment(&header);
            log.extend(segment);
        }
        let begin = begin.context("no segment")?;
        let whole = Self { begin, bytes: log, options };
        let last = whole.read(&whole.bytes, true)?.lines.last().context("no record")?.0;
        let pages = usize::try_from(last.since(begin))? / PAGE_SIZE;
        let piece = |number: usize| {
            let from = (number + 1) * pages / (PIECES + 1) * PAGE_SIZE;
            let bytes = whole.bytes.get(from..from + PIECE).context("the log is too short")?.to_vec();
            Ok(Self { begin: begin.advanced(from as u64), bytes, options })
        };
        (0..PIECES).map(piece).collect()
    }

    /// Reads `log`, which is this piece with some damage.
    fn read(&self, log: &[u8], verify_checksums: bool) -> Result<Outcome> {
        let options = ReaderOptions { verify_checksums, ..self.options };
        let mut reader = Reader::seek(self.begin, options);
        let (mut lines, mut text, mut length) = (Vec::new(), TextBuffer::new(), 0);
        // Each step but the last gives a record, and each record takes at least its header's 24 bytes.
        for _ in 0..=log.len() / 24 {
            let used = usize::try_from(reader.position().since(self.begin))?;
            let input = log.get(used..).unwrap_or_default();
            match reader.locate(input) {
                Ok(Some(located)) => {
                    let raw = reader.raw(&located, input);
                    length += raw.bytes().len();
                    ensure!(length <= log.len(), "{}: more came out than went in", raw.lsn);
                    text.clear();
                    // Content that contradicts itself is told as an error, which ends nothing.
                    if raw.append_line(&mut text).is_err() {
                        text.clear();
                    }
                    ensure!(text.len() < 4000 + 64 * raw.bytes().len(), "{}: {} bytes of text", raw.lsn, text.len());
                    lines.push((raw.lsn, text.as_bytes().to_vec()));
                }
                Ok(None) => return Ok(Outcome { lines, end: None }),
                Err(error) => return Ok(Outcome { lines, end: Some(error) }),
            }
        }
        anyhow::bail!("it does not end")
    }
}

/// Most memory that this process had, in kilobytes, whether it touched it or not.
fn peak_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).context("no VmPeak")?;
    Ok(peak.trim().trim_end_matches(" kB").parse()?)
}

#[test]
fn damage_anywhere_on_a_page_does_no_harm() -> Result<()> {
    let pieces = Piece::some()?;
    let mut records = 0;
    let before = peak_memory()?;
    for piece in &pieces {
        let whole = piece.read(&piece.bytes, true)?;
        ensure!(piece.read(&piece.bytes, false)? == whole, "checksums made a difference");
        records += whole.lines.len();
        let mut damaged = piece.bytes.clone();
        for at in 0..PIECE {
            // With checksums: what comes out was written.
            damaged[at] ^= 1 << (at % 8);
            let outcome = piece.read(&damaged, true)?;
            let position = piece.begin.advanced(at as u64);
            // A page header that is skipped to another record lets the reader begin later.
            ensure!(outcome.lines.iter().all(|line| whole.lines.contains(line)), "{position}: never written");
            // Without: nothing but the checks of the format itself holds.
            damaged[at] = !piece.bytes[at];
            piece.read(&damaged, false)?;
            damaged[at] = piece.bytes[at];

            let cut = piece.read(&piece.bytes[..at], true)?;
            ensure!(whole.lines.starts_with(&cut.lines), "cut at {position}: never written");
            ensure!(cut.end.is_none(), "cut at {position}: {:?}", cut.end);
        }
    }
    ensure!(records > 100, "only {records} records");
    let grown = peak_memory()? - before;
    ensure!(grown <= KILOBYTES, "{grown} kB more memory");
    Ok(())
}
