//! Finds every full-page image of one relation in a segment, and looks into those of its heap.
//!
//! ```text
//! cargo run --example full_page_images -- $PGDATA/pg_wal/000000010000000000000001 1663/5/16384
//! ```

use std::error::Error;
use std::ops::ControlFlow;
use std::{env, fs};

use pgwal::{DEFAULT_BLOCK_SIZE, Fork, HeapPage, LongPageHeader, RawRecord, Reader, ReaderOptions, RelFileLocator};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [file, relation] = &arguments[..] else { return Err("usage: full_page_images SEGMENT RELATION".into()) };
    let relation: RelFileLocator = relation.parse()?;
    let segment = fs::read(file)?;
    let first_page = LongPageHeader::parse(&segment)?;
    let mut reader = Reader::seek(first_page.page.address, ReaderOptions::from_segment(&first_page));
    // Most records have no image at all, which is seen without decoding them.
    let mut print = |raw: &RawRecord<'_>| {
        if raw.image_len().is_ok_and(|length| length > 0)
            && let Err(error) = print_images(raw, relation)
        {
            eprintln!("{}: {error}", raw.lsn);
        }
        ControlFlow::Continue(())
    };
    match reader.for_each(None, &segment, &mut print) {
        Err(error) if !error.is_end_of_wal() => Err(error.into()),
        _ => Ok(()),
    }
}

fn print_images(raw: &RawRecord<'_>, relation: RelFileLocator) -> Result<(), Box<dyn Error>> {
    let record = raw.decode()?;
    for block in record.blocks.iter().filter(|block| block.relation == relation) {
        let Some(image) = &block.image else { continue };
        let mut page = vec![0; DEFAULT_BLOCK_SIZE as usize];
        image.restore(&mut page)?;
        print!("{}: {} block {}, {} bytes", record.lsn, block.fork, block.number, image.bytes.len());
        match HeapPage::parse(&page) {
            Ok(heap) if block.fork == Fork::MAIN => println!(", {} line pointers", heap.items().count()),
            _ => println!(),
        }
    }
    Ok(())
}
