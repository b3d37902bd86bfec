//! Texts of records that a server hardly ever writes. Those of all others are compared with `pg_waldump`'s by the
//! tests that run servers.

use super::*;
use crate::ids::{BlockNumber, Fork, RelFileLocator, TransactionId};
use crate::image::Image;
use crate::lsn::Lsn;
use crate::record::{Block, BlockFlags};

pub(crate) fn record(rmgr: RmgrId, info: u8, version: Version, main_data: &[u8]) -> Record<'_> {
    Record {
        lsn: Lsn::new(0x150_0028),
        end: Lsn::new(0x150_0060),
        prev: Lsn::new(0x14F_FFF0),
        total_len: 54,
        xid: TransactionId::new(731),
        top_xid: None,
        origin: None,
        rmgr,
        info,
        version,
        main_data,
        blocks: Default::default(),
    }
}

fn with_block<'a>(mut record: Record<'a>, data: &'a [u8], image: Option<Image<'a>>) -> Record<'a> {
    let relation = RelFileLocator::new(1663, 5, 16384);
    let (flags, fork, number) = (BlockFlags::empty(), Fork::MAIN, BlockNumber::new(7));
    record.blocks.push(Block { id: 0, flags, relation, fork, number, data, image });
    record
}

fn text(record: &Record<'_>) -> String {
    let mut text = String::new();
    record.describe(&mut text).unwrap();
    text
}

#[test]
fn a_custom_resource_manager_is_told_by_its_number() {
    let custom = record(RmgrId::new(129), 0x30, Version::V17, &[1, 2, 3]);
    assert_eq!((custom.identify(), text(&custom)), (None, "rmid: 129".to_owned()));
}

#[test]
fn pruning_without_a_horizon_begins_with_a_comma() {
    let prune = |data| with_block(record(RmgrId::HEAP2, 0x30, Version::V17, &[0, 0x80]), data, None);
    assert_eq!(
        text(&prune(&[2, 0, 3, 0, 9, 0])),
        ", isCatalogRel: F, nplans: 0, nredirected: 0, ndead: 0, nunused: 2, unused: [3, 9]"
    );
    assert_eq!(text(&prune(&[])), ", isCatalogRel: F");
}

#[test]
fn freeze_plans_share_the_offsets_at_the_end() {
    let plans: &[u8] = &[
        2, 0, 0, 0, // nplans
        0, 0, 0, 0, 2, 0, 0, 11, 0, 0, 2, 0, // xmax, infomask2, infomask, flags, ntuples
        7, 0, 0, 0, 2, 0, 0, 3, 0, 0, 1, 0, //
        1, 0, 4, 0, // one dead
        5, 0, 6, 0, 8, 0,
    ];
    let freeze = with_block(record(RmgrId::HEAP2, 0x20, Version::V18, &[0, 0x5A, 9, 0, 0, 0]), plans, None);
    assert_eq!(
        text(&freeze),
        "snapshotConflictHorizon: 9, isCatalogRel: T, nplans: 2, nredirected: 0, ndead: 1, nunused: 0, plans: [\
         { xmax: 0, infomask: 2816, infomask2: 2, ntuples: 2, offsets: [5, 6] }, \
         { xmax: 7, infomask: 768, infomask2: 2, ntuples: 1, offsets: [8] }], dead: [4]"
    );
}

#[test]
fn posting_lists_made_shorter_are_told_from_16_on() {
    let data = [4, 0, 6, 0, 2, 0, 1, 0, 3, 0];
    let vacuum = |version| with_block(record(RmgrId::BTREE, 0xC0, version, &[1, 0, 1, 0]), &data, None);
    assert_eq!(text(&vacuum(Version::V15)), "ndeleted 1; nupdated 1");
    assert_eq!(
        text(&vacuum(Version::V16)),
        "ndeleted: 1, nupdated: 1, deleted: [4], updated: [{ off: 6, nptids: 2, ptids: [1, 3] }]"
    );
}

#[test]
fn an_unknown_action_on_a_posting_tree_ends_the_text() {
    let data = [3, 0, 5, 1, 6, 9, 1, 1];
    let vacuum = |image| with_block(record(RmgrId::GIN, 0x90, Version::V15, &[]), &data, image);
    assert_eq!(text(&vacuum(None)), " 3 segments: 5 (delete) 6 unknown action 9 ???");
    let image = |info| Some(Image::new(&[], 40, 8000, info, Version::V15));
    assert_eq!(text(&vacuum(image(0x03))), " (full page image)");
    assert_eq!(text(&vacuum(image(0x01))), " (full page image, for WAL verification)");
}

#[test]
fn regions_in_the_main_data_of_generic_records_are_told() {
    let generic = record(RmgrId::GENERIC, 0, Version::V15, &[8, 0, 1, 0, 255, 24, 0, 0, 0]);
    assert_eq!(text(&generic), "offset 8, length 1; offset 24, length 0");
}

#[test]
fn transactions_that_a_standby_must_know_have_subtransactions_from_16_on() {
    let mut main = Vec::new();
    for field in [1u32, 2, 1, 40, 20, 39, 20, 21, 22] {
        main.extend(field.to_le_bytes());
    }
    let running = |version| text(&record(RmgrId::STANDBY, 0x10, version, &main));
    let beginning = "nextXid 40 latestCompletedXid 39 oldestRunningXid 20; 1 xacts: 20";
    assert_eq!(running(Version::V15), format!("{beginning}; subxid ovf"));
    assert_eq!(running(Version::V16), format!("{beginning}; subxid overflowed; 2 subxacts: 21 22"));
}

#[test]
fn names_of_another_encoding_are_told_byte_for_byte() {
    let restore_point = record(RmgrId::XLOG, 0x70, Version::V15, b"\0\0\0\0\0\0\0\0caf\xE9\0\0");
    let mut bytes = TextBuffer::new();
    restore_point.append_description(&mut bytes).unwrap();
    assert_eq!((bytes.as_bytes(), text(&restore_point)), (&b"caf\xE9"[..], "caf\u{FFFD}".to_owned()));
}

#[test]
fn nothing_is_told_of_a_record_that_is_cut_off() {
    let mut text = String::new();
    assert!(record(RmgrId::HASH, 0x80, Version::V15, &[0; 9]).describe(&mut text).is_err());
    assert_eq!(text, "");
}
