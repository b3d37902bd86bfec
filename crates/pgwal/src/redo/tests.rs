use proptest::prelude::*;
use smallvec::smallvec;

use super::*;
use crate::ids::TransactionId;
use crate::record::BlockFlags;
use crate::version::Version;

const END: Lsn = Lsn::new(0x100_0100);

fn block<'a>(data: &'a [u8], image: Option<Image<'a>>) -> Block<'a> {
    Block {
        id: 0,
        flags: BlockFlags::empty(),
        relation: RelFileLocator::new(1663, 5, 16384),
        fork: Fork::MAIN,
        number: BlockNumber::new(7),
        data,
        image,
    }
}

fn record<'a>(rmgr: RmgrId, block: Block<'a>) -> Record<'a> {
    Record {
        lsn: Lsn::new(0x100_0028),
        end: END,
        prev: Lsn::new(0x100_0000),
        total_len: 24,
        xid: TransactionId::new(731),
        top_xid: None,
        origin: None,
        rmgr,
        info: 0,
        version: Version::V15,
        main_data: &[],
        blocks: smallvec![block],
    }
}

fn redo_of(rmgr: RmgrId, block: Block<'_>, page: &mut DataPage) -> Result<Redone, RedoErrorKind> {
    let record = record(rmgr, block);
    redo_block(&record, &record.blocks[0], page).map_err(|error| error.kind)
}

/// A region as Generic WAL writes it.
fn region(offset: u16, bytes: &[u8]) -> Vec<u8> {
    [&offset.to_le_bytes()[..], &(bytes.len() as u16).to_le_bytes(), bytes].concat()
}

/// An initialised page, changed last where the record before ended, with something in its free space.
fn page() -> DataPage {
    let mut page = DataPage::zeroed();
    page.init::<8>();
    page.set_lsn(Lsn::new(0x100_0000));
    page.contents_mut().fill(0xEE);
    page
}

#[test]
fn regions_replace_bytes_and_the_free_space_is_that_of_the_new_header() {
    let mut page = page();
    // pd_lower grows by eight, and what it grows over is written.
    let data = [region(12, &32u16.to_le_bytes()), region(24, b"contents"), region(8190, b"!?")].concat();
    assert_eq!(redo_of(RmgrId::GENERIC, block(&data, None), &mut page), Ok(Redone::Applied));
    assert_eq!((page.lower(), page.upper(), page.lsn()), (32, 8184, END));
    assert_eq!(page.as_bytes()[24..32], *b"contents");
    assert!(page.as_bytes()[32..8184].iter().all(|byte| *byte == 0));
    assert_eq!(page.special()[6..], *b"!?");
}

#[test]
fn a_record_without_regions_moves_the_lsn() {
    let mut page = page();
    assert_eq!(redo_of(RmgrId::GENERIC, block(&[], None), &mut page), Ok(Redone::Applied));
    assert_eq!(page.lsn(), END);
}

#[test]
fn a_page_that_has_the_change_is_left_alone() {
    let mut page = page();
    page.set_lsn(END);
    let before = page.clone();
    let data = region(30, b"x");
    assert_eq!(redo_of(RmgrId::GENERIC, block(&data, None), &mut page), Ok(Redone::Done));
    assert_eq!(redo_of(RmgrId::HEAP, block(&data, None), &mut page), Ok(Redone::Done));
    assert_eq!(page, before);
    // But an image is restored even over a later page.
    page.set_lsn(END.advanced(8));
    let content = [1; DataPage::SIZE];
    let image = Image::new(&content, 0, 0, 0x02, Version::V15);
    assert_eq!(redo_of(RmgrId::HEAP, block(&[], Some(image)), &mut page), Ok(Redone::Restored));
    assert_eq!(page.lsn(), END);
}

#[test]
fn a_new_page_has_nothing_to_be_changed() {
    let mut page = DataPage::zeroed();
    assert_eq!(redo_of(RmgrId::GENERIC, block(&region(30, b"x"), None), &mut page), Ok(Redone::NotFound));
    assert_eq!(page, DataPage::zeroed());
}

#[test]
fn an_image_of_a_new_page_leaves_it_without_lsn() {
    let zeroes = [0; DataPage::SIZE];
    let mut page = page();
    let image = Image::new(&zeroes, 0, 0, 0x02, Version::V15);
    assert_eq!(redo_of(RmgrId::XLOG, block(&[], Some(image)), &mut page), Ok(Redone::Restored));
    assert_eq!(page, DataPage::zeroed());
}

#[test]
fn an_image_to_check_by_is_not_restored() {
    let (mut page, zeroes) = (page(), [0; DataPage::SIZE]);
    let image = Image::new(&zeroes, 0, 0, 0, Version::V15);
    assert_eq!(redo_of(RmgrId::GENERIC, block(&region(24, b"x"), Some(image)), &mut page), Ok(Redone::Applied));
    assert_eq!(page.lsn(), END);
}

#[test]
fn changes_of_other_resource_managers_are_left_to_them() {
    let mut page = page();
    let before = page.clone();
    assert_eq!(redo_of(RmgrId::HEAP, block(&[1, 2, 3], None), &mut page), Ok(Redone::NeedsRedo));
    assert_eq!(page, before);
    // What is made anew needs nothing of what was there.
    let will_init = Block { flags: BlockFlags::WILL_INIT, ..block(&[], None) };
    page.set_lsn(END);
    assert_eq!(redo_of(RmgrId::HEAP, will_init, &mut page), Ok(Redone::NeedsRedo));
    assert_eq!(redo_of(RmgrId::HEAP, will_init, &mut DataPage::zeroed()), Ok(Redone::NeedsRedo));
}

#[test]
fn what_does_not_fit_is_an_error_and_changes_nothing() {
    let before = page();
    let error = |data: &[u8]| {
        let mut page = before.clone();
        let error = redo_of(RmgrId::GENERIC, block(data, None), &mut page).unwrap_err();
        assert_eq!(page, before);
        error
    };
    assert_eq!(error(&region(8191, b"xy")), RedoErrorKind::Region { offset: 8191, length: 2 });
    assert_eq!(error(&region(u16::MAX, b"x")), RedoErrorKind::Region { offset: u16::MAX, length: 1 });
    // The first region fits, and is not written either.
    assert!(matches!(error(&[region(30, b"x"), vec![0]].concat()), RedoErrorKind::Content(_)));
    let pointers = |lower: u16, upper: u16| region(12, &[lower.to_le_bytes(), upper.to_le_bytes()].concat());
    for (lower, upper) in [(23, 8000), (0, 8), (100, 99), (24, 8193), (8193, 8193)] {
        assert_eq!(error(&pointers(lower, upper)), RedoErrorKind::FreeSpace { lower, upper });
    }
    let mut page = before.clone();
    let will_init = Block { flags: BlockFlags::WILL_INIT, ..block(&[], None) };
    assert_eq!(redo_of(RmgrId::GENERIC, will_init, &mut page), Err(RedoErrorKind::WillInit));
    let fifth = Block { id: 4, ..block(&[], None) };
    assert!(matches!(redo_of(RmgrId::GENERIC, fifth, &mut page), Err(RedoErrorKind::Content(_))));
    let image = Image::new(&[1, 2, 3], 0, 0, 0x02, Version::V15);
    assert!(matches!(redo_of(RmgrId::HEAP, block(&[], Some(image)), &mut page), Err(RedoErrorKind::Image(_))));
    assert_eq!(page, before);
}

#[test]
fn an_error_says_where() {
    let data = region(8191, b"xy");
    let record = record(RmgrId::GENERIC, block(&data, None));
    let error = redo_block(&record, &record.blocks[0], &mut page()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "redo of the record at 0/1000028, block 7 of relation 1663/5/16384, fork main: \
         region of 2 bytes at offset 8191 is not inside of the page"
    );
}

/// What Generic WAL writes about a change: the bytes that differ outside of the new free space, in regions.
fn difference(before: &DataPage, after: &DataPage) -> Vec<u8> {
    let written = |at: usize| at < usize::from(after.lower()) || at >= usize::from(after.upper());
    // What was free before may have been anything, in the server too.
    let unknown = |at: usize| (usize::from(before.lower())..usize::from(before.upper())).contains(&at);
    let differs = |at: &usize| written(*at) && (unknown(*at) || before.as_bytes()[*at] != after.as_bytes()[*at]);
    let mut places = (0..DataPage::SIZE).filter(differs).peekable();
    let mut data = Vec::new();
    while let Some(begin) = places.next() {
        let mut end = begin + 1;
        while places.next_if_eq(&end).is_some() {
            end += 1;
        }
        data.extend(region(begin as u16, &after.as_bytes()[begin..end]));
    }
    data
}

proptest! {
    #[test]
    fn a_change_is_redone_from_its_differences(
        lowers in [24..500u16, 24..500u16],
        uppers in [500..8184u16, 500..8184u16],
        changes in prop::collection::vec((24..8192usize, any::<u8>()), 0..200),
    ) {
        let mut before = page();
        before.set_lower(lowers[0]);
        before.set_upper(uppers[0]);
        let mut after = before.clone();
        after.set_lower(lowers[1]);
        after.set_upper(uppers[1]);
        changes.iter().for_each(|(place, byte)| after.as_bytes_mut()[*place] = *byte);
        after.as_bytes_mut()[usize::from(lowers[1])..usize::from(uppers[1])].fill(0);
        let data = difference(&before, &after);
        after.set_lsn(END);
        let mut page = before;
        prop_assert_eq!(redo_of(RmgrId::GENERIC, block(&data, None), &mut page), Ok(Redone::Applied));
        prop_assert!(page == after);
    }

    #[test]
    fn no_data_makes_it_panic_and_errors_change_nothing(
        data in prop::collection::vec(any::<u8>(), 0..100),
        header: [u8; 24],
    ) {
        let mut page = page();
        page.as_bytes_mut()[..24].copy_from_slice(&header);
        let before = page.clone();
        match redo_of(RmgrId::GENERIC, block(&data, None), &mut page) {
            Ok(Redone::Applied) => prop_assert_eq!(page.lsn(), END),
            _ => prop_assert!(page == before),
        }
    }
}
