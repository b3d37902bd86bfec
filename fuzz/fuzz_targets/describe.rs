//! Any content of any kind of record: describing it does not panic, and the text is as long as the content at most
//! allows.
//!
//! Unlike in the target `record`, all bytes are content: the headers inside of the record are made here.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgwal::{
    Block, BlockFlags, BlockNumber, Fork, Image, Lsn, Record, RelFileLocator, RmgrId, TextBuffer, TransactionId,
    Version,
};

// The first bytes: version, resource manager, info, blocks, length of the main data. `cargo xtask soak` makes seeds of
// this form.
fuzz_target!(|input: &[u8]| {
    let Some(([version, rmgr, info, blocks, low, high], content)) = input.split_first_chunk::<6>() else { return };
    let version = Version::ALL[usize::from(*version) % Version::ALL.len()];
    let main_len = usize::from(u16::from_le_bytes([*low, *high])).min(content.len());
    let (main_data, data) = content.split_at(main_len);
    let mut record = Record {
        lsn: Lsn::new(0x100_0028),
        end: Lsn::new(0x100_0100),
        prev: Lsn::new(0x100_0000),
        total_len: 24,
        xid: TransactionId::new(731),
        top_xid: None,
        origin: None,
        rmgr: RmgrId::new(*rmgr),
        info: *info,
        version,
        main_data,
        blocks: Default::default(),
    };
    // Up to three blocks share what is left; each may have an image.
    let count = blocks & 3;
    for id in 0..count {
        let part = data.len() / usize::from(count);
        let image = (blocks & 4 << id != 0).then(|| Image::new(&[], 40, 8000, 0x03, version));
        record.blocks.push(Block {
            id,
            flags: BlockFlags::from_bits_truncate(*blocks),
            relation: RelFileLocator::new(1663, 5, 16384),
            fork: Fork::MAIN,
            number: BlockNumber::new(7),
            data: &data[usize::from(id) * part..][..part],
            image,
        });
    }
    let mut text = TextBuffer::new();
    let described = record.append_description(&mut text);
    assert!(described.is_ok() || text.is_empty(), "an error comes with text");
    assert!(text.len() < 4000 + 64 * content.len(), "{} bytes of text", text.len());
});
