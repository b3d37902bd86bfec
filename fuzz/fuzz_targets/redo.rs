//! Any page, and any record that changes it: no panic, the page is changed only where redo says so, and what Generic WAL
//! leaves has no free space outside of the page.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgwal::{
    Block, BlockFlags, BlockNumber, DataPage, Fork, Image, Lsn, OffsetNumber, Record, Redone, RelFileLocator, RmgrId,
    TransactionId, Version, redo_block,
};

const END: Lsn = Lsn::new(0x100_0100);

// The first bytes: switches (Generic WAL or another resource manager, an image, one to be applied), the block's number in
// the record and its flags, how the image begins, the page's header. The rest is the block's data or image, and the items
// of the page.
fuzz_target!(|input: &[u8]| {
    let Some(([switches, id, flags, low, high, info], rest)) = input.split_first_chunk::<6>() else { return };
    let Some((header, content)) = rest.split_first_chunk::<{ DataPage::HEADER_SIZE }>() else { return };
    let mut page = DataPage::zeroed();
    for (byte, value) in page.as_bytes_mut().iter_mut().zip(header.iter().chain(content)) {
        *byte = *value;
    }
    look(&page);

    let version = if switches & 1 == 0 { Version::V14 } else { Version::V15 };
    let hole = u16::from_le_bytes([*low, *high]);
    let image = (switches & 2 != 0).then(|| Image::new(content, hole, hole / 2, *info, version));
    let block = Block {
        id: *id,
        flags: BlockFlags::from_bits_truncate(*flags),
        relation: RelFileLocator::new(1663, 5, 16384),
        fork: Fork::MAIN,
        number: BlockNumber::new(7),
        data: content,
        image,
    };
    let record = Record {
        lsn: Lsn::new(0x100_0028),
        end: END,
        prev: Lsn::new(0x100_0000),
        total_len: 24,
        xid: TransactionId::new(731),
        top_xid: None,
        origin: None,
        rmgr: if switches & 4 == 0 { RmgrId::GENERIC } else { RmgrId::HEAP },
        info: 0,
        version,
        main_data: &[],
        blocks: Default::default(),
    };
    let before = page.clone();
    match redo_block(&record, &block, &mut page) {
        Ok(Redone::Applied) => {
            assert_eq!(page.lsn(), END);
            let free = usize::from(page.lower())..usize::from(page.upper());
            assert!(page.as_bytes()[free].iter().all(|byte| *byte == 0), "the free space is empty");
            if !page.is_new() {
                let again = page.clone();
                assert!(matches!(redo_block(&record, &block, &mut page), Ok(Redone::Done)), "it is there already");
                assert!(page == again);
            }
        }
        Ok(Redone::Restored) => assert!(page.is_new() || page.lsn() == END),
        Ok(Redone::Done | Redone::NotFound | Redone::NeedsRedo) | Err(_) => assert!(page == before, "it was changed"),
    }
    look(&page);
});

/// All that looks at a page or changes it.
fn look(page: &DataPage) {
    let mut page = page.clone();
    for (number, item) in page.items() {
        assert!(page.item_id(number).is_some());
        assert!(item.is_none_or(|item| item.len() <= page.contents().len()));
    }
    let numbers: Vec<_> = [1, 2, 5, 7].map(OffsetNumber::new).into_iter().collect();
    let before = page.clone();
    if page.remove_items(&numbers).is_err() {
        assert!(page == before, "an error changes nothing");
    } else {
        page.check_header().expect("items were removed");
    }
    if page.add_item(b"item").is_ok() {
        assert_eq!(page.item(OffsetNumber::new(page.item_count())), Some(&b"item"[..]));
    }
    page.set_checksum(BlockNumber::new(7));
    page.mask_lsn_and_checksum();
    page.mask_hint_bits();
    page.mask_line_pointer_flags();
    let _ = page.mask_unused_space();
    page.mask_contents();
}
