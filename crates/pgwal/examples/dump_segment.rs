//! Prints the records of one segment as `pg_waldump` does.
//!
//! ```text
//! cargo run --example dump_segment -- $PGDATA/pg_wal/000000010000000000000001
//! ```

use std::error::Error;
use std::io::Write as _;
use std::{env, fs, io};

use pgwal::{LongPageHeader, Reader, ReaderOptions, TextBuffer};

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args_os().nth(1).ok_or("usage: dump_segment SEGMENT")?;
    let segment = fs::read(file)?;
    let first_page = LongPageHeader::parse(&segment)?;
    let begin = first_page.page.address;
    let mut reader = Reader::seek(begin, ReaderOptions::from_segment(&first_page));
    let mut text = TextBuffer::new();
    let mut output = io::stdout().lock();
    loop {
        // What the reader has used of the log is not given again.
        let used = usize::try_from(reader.position().since(begin))?;
        match reader.read(segment.get(used..).unwrap_or_default()) {
            Ok(Some(record)) => {
                text.clear();
                record.append_line(&mut text);
                output.write_all(text.as_bytes())?;
            }
            // The rest of the last record is in the next segment.
            Ok(None) => return Ok(()),
            Err(error) if error.is_end_of_wal() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
