//! Records and pages together.

use std::sync::Arc;

use pgwal::{BlockFlags, BlockNumber, DataPage, Fork, Lsn, Operation as _, RelFileLocator, TransactionId, Version};

use super::*;

fn record<'a>(operation: Operation, data: &[&'a [u8]]) -> Record<'a> {
    let block = |(number, data): (usize, &&'a [u8])| Block {
        id: number as u8,
        flags: BlockFlags::HAS_DATA,
        relation: RelFileLocator::new(1663, 5, 16400),
        fork: Fork::MAIN,
        number: BlockNumber::new(number as u32),
        data,
        image: None,
    };
    Record {
        lsn: Lsn::new(0x150_0028),
        end: Lsn::new(0x150_0060),
        prev: Lsn::new(0x14F_FFF0),
        total_len: 50,
        xid: TransactionId::new(731),
        top_xid: None,
        origin: None,
        rmgr: Hyperloglog::ID.into(),
        info: operation.code().info(),
        version: Version::V17,
        main_data: &[],
        blocks: data.iter().enumerate().map(block).collect(),
    }
}

fn line(operation: Operation, data: &[&[u8]]) -> String {
    let descriptors = pgwal::Descriptors::new().with_custom::<Hyperloglog>().unwrap();
    let mut text = TextBuffer::new().with_descriptors(Arc::new(descriptors));
    record(operation, data).append_line(&mut text);
    let line = text.to_string();
    line[line.find("desc: ").unwrap()..].trim_end().to_owned()
}

fn precision(precision: u8) -> Precision {
    Precision::new(precision).unwrap()
}

fn page_of(part: Part) -> DataPage {
    let mut page = DataPage::zeroed();
    initialize(&mut page, &part.to_bytes()).unwrap();
    page
}

#[test]
fn records_say_what_they_do() {
    let change = one_change(1, Change { register: 258, value: 4 });
    assert_eq!(change, [1, 2, 1, 4]);
    assert_eq!(
        line(Operation::Set, &[&change]),
        "desc: SET column 1, register 258 value 4, blkref #0: rel 1663/5/16400 blk 0"
    );
    let two = Changes::to_bytes(2, [Change { register: 1, value: 4 }, Change { register: 9, value: 5 }]);
    assert!(
        line(Operation::Set, &[&two]).starts_with("desc: SET column 2, register 1 value 4, register 9 value 5, blkref")
    );
    let initialize = [12, 3, 0, 7, 0, 9];
    assert!(
        line(Operation::Initialize, &[&initialize])
            .starts_with("desc: INITIALIZE column 3, precision 12, page 0, registers set 2, blkref")
    );
    let reset: Vec<_> = parts(precision(13), 1).map(Part::to_bytes).collect();
    let reset: Vec<&[u8]> = reset.iter().map(|data| &data[..]).collect();
    assert!(line(Operation::Reset, &reset).starts_with("desc: RESET column 1, precision 13, pages 2, blkref #0"));
}

#[test]
fn records_that_are_cut_off_or_cannot_be_say_so() {
    let invalid = |operation, data: &[u8], text: &str| {
        let line = line(operation, &[data]);
        assert!(line.contains(&format!("(invalid: {text}")), "{line}");
    };
    invalid(Operation::Set, &[], "column: wanted 1 bytes, 0 left");
    invalid(Operation::Set, &[1], "change: wanted 3 bytes, 0 left");
    invalid(Operation::Set, &[1, 2, 3], "change: wanted 3 bytes, 2 left");
    invalid(Operation::Set, &[0, 2, 3, 4], "column: invalid value 0");
    invalid(Operation::Initialize, &[3, 1, 0], "precision: invalid value 3");
    invalid(Operation::Initialize, &[17, 1, 0], "precision: invalid value 17");
    invalid(Operation::Initialize, &[12, 1, 1], "page: invalid value 1");
    invalid(Operation::Reset, &[12, 1], "page: wanted 1 bytes, 0 left");
    invalid(Operation::Initialize, &[4, 1, 0, 62], "value: invalid value 62");
    invalid(Operation::Initialize, &[[4, 1, 0].as_slice(), &[1; 17]].concat(), "registers: invalid value 17");
    assert!(line(Operation::Set, &[]).contains("(invalid: no block reference 0)"));
}

#[test]
fn parts_cover_each_register_of_each_column_once() {
    for precision in (4..=16).map(precision) {
        let mut next_block = 0;
        for column in 1..=32 {
            let mut next = 0;
            for part in parts(precision, column) {
                assert_eq!(part.range().start, next);
                assert_eq!(part.block().get(), next_block);
                for register in [part.range().start, part.range().end - 1] {
                    assert_eq!(Part::with(precision, column, register as u16), part);
                }
                (next, next_block) = (part.range().end, next_block + 1);
            }
            assert_eq!(next, precision.registers());
        }
    }
}

#[test]
fn a_page_says_which_registers_it_has() {
    let last = parts(precision(16), 7).last().unwrap();
    let page = page_of(last);
    assert_eq!((page.check_header(), part(&page)), (Ok(()), Ok(last)));
    assert_eq!(registers(&page).unwrap(), vec![0; 65_536 - 8 * REGISTERS_PER_PAGE]);
    assert_eq!(usize::from(page.lower()), 24 + 65_536 - 8 * REGISTERS_PER_PAGE);
    assert_eq!(page_of(Part { number: 0, ..last }).lower(), page.upper());
}

#[test]
fn registers_that_are_not_given_are_zero() {
    let mut page = page_of(Part { precision: precision(4), column: 1, number: 0 });
    initialize(&mut page, &[4, 1, 0, 5, 6]).unwrap();
    assert_eq!(registers(&page).unwrap(), [5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    initialize(&mut page, &[4, 1, 0]).unwrap();
    assert_eq!(registers(&page).unwrap(), [0; 16]);
}

#[test]
fn changes_are_made_on_the_page_with_the_register() {
    let second = Part { precision: precision(13), column: 2, number: 1 };
    let mut page = page_of(second);
    let last = Change { register: 8191, value: 51 };
    let first = Change { register: REGISTERS_PER_PAGE as u16, value: 3 };
    set(&mut page, &Changes::to_bytes(2, [last, first])).unwrap();
    let registers = registers(&page).unwrap();
    assert_eq!((registers.first(), registers.last()), (Some(&3), Some(&51)));
    assert_eq!(registers.iter().filter(|value| **value > 0).count(), 2);
    assert_eq!((value(&page, 2, 8191), value(&page, 2, 8190)), (Ok(51), Ok(0)));
    assert!(value(&page, 1, 8191).is_err() && value(&page, 2, first.register - 1).is_err());
    assert!(value(&page, 2, 8192).is_err());
}

#[test]
fn what_is_not_of_the_page_changes_nothing() {
    let page = page_of(Part { precision: precision(13), column: 2, number: 1 });
    let first = Change { register: REGISTERS_PER_PAGE as u16, value: 3 };
    let other_page = Change { register: first.register - 1, value: 3 };
    let beyond = Change { register: 8192, value: 3 };
    let too_large = Change { register: first.register, value: 53 };
    for wrong in [other_page, beyond, too_large] {
        let mut changed = page.clone();
        assert!(set(&mut changed, &Changes::to_bytes(2, [first, wrong])).is_err(), "{wrong:?}");
        assert_eq!(changed, page);
    }
    let mut changed = page.clone();
    assert!(set(&mut changed, &one_change(1, first)).is_err());
    assert!(initialize(&mut changed, &[13, 2, 2]).is_err());
    assert_eq!(changed, page);
}

#[test]
fn a_page_of_somebody_else_has_no_registers() {
    let mut page = DataPage::zeroed();
    assert!(part(&page).is_err());
    assert!(set(&mut page, &[1, 0, 0, 1]).is_err());
    page.init::<8>();
    assert!(part(&page).is_err() && registers(&page).is_err());
    let mut page = page_of(Part { precision: precision(4), column: 1, number: 0 });
    page.special_mut()[6] ^= 1;
    assert!(registers(&page).is_err());
}

#[test]
fn the_mask_leaves_registers_and_forgets_what_may_differ() {
    let page = page_of(Part { precision: precision(4), column: 1, number: 0 });
    let masked = |change: fn(&mut DataPage)| {
        let mut page = page.clone();
        change(&mut page);
        mask(&mut page, BlockNumber::new(0));
        page
    };
    let same = masked(|_| ());
    assert_eq!(masked(|page| page.set_lsn(Lsn::new(1))), same);
    assert_eq!(masked(|page| page.as_bytes_mut()[9] = 1), same, "checksum");
    assert_eq!(masked(|page| page.contents_mut()[16] = 1), same, "free space");
    assert_ne!(masked(|page| page.contents_mut()[15] = 1), same, "a register");
    assert_ne!(masked(|page| page.special_mut()[3] = 1), same, "special space");
}
