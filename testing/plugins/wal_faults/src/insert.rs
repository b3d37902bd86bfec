//! A custom record, written step by step.

use std::time::Duration;

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgwal::{BlockNumber, Fork, Lsn};
use pgxlog::{InsertError, RecordBlock, RecordBuilder, Relation};

use crate::custom::{Manager, Operation};
use crate::fault::Fault;
use crate::page;

/// Adds to the counters of one or two blocks.
#[pg_extern(sql = "", volatile)]
fn wal_faults_add(oid: pg_sys::Oid, blocks: Vec<i32>, value: i64, step: &str, kind: &str) -> Option<String> {
    let fault = Fault::new(step, kind);
    let opened = page::open(oid);
    let relation = page::relation(&opened);
    fault.at("opened");
    let numbers: Vec<_> = blocks.into_iter().map(page::block_number).collect();
    let outcome = match numbers[..] {
        [one] => add(relation, Operation::Add, [one], value, &fault),
        [one, two] => add(relation, Operation::Add, [one, two], value, &fault),
        _ => panic!("one block or two"),
    };
    fault.at("unlocked");
    // A cancellation that came while something was locked.
    pgrx::check_for_interrupts!();
    outcome.unwrap_or_else(|error| panic!("{error}")).map(|lsn| lsn.to_string())
}

/// Makes blocks' pages from nothing, and adds to their counters.
#[pg_extern(sql = "", volatile)]
fn wal_faults_remake(oid: pg_sys::Oid, block: i32, value: i64) -> Option<String> {
    let opened = page::open(oid);
    let fault = Fault::new("", "");
    let outcome = add(page::relation(&opened), Operation::Make, [page::block_number(block)], value, &fault);
    outcome.unwrap_or_else(|error| panic!("{error}")).map(|lsn| lsn.to_string())
}

/// All steps but the opening of the relation.
pub(crate) fn add<const N: usize>(
    relation: Relation<'_>,
    operation: Operation,
    blocks: [BlockNumber; N],
    value: i64,
    fault: &Fault,
) -> Result<Option<Lsn>, InsertError> {
    let pinned = blocks.map(|number| relation.read(Fork::MAIN, number));
    fault.at("pinned");
    let mut locked = pinned.map(pgxlog::PinnedBuffer::exclusive);
    fault.at("locked");
    let data = value.to_le_bytes();
    let builder = RecordBuilder::<Manager>::new(operation);
    let record_blocks = locked.each_mut().map(|buffer| {
        let block = RecordBlock::new(buffer).standard().data(&data[..]);
        if operation == Operation::Make { block.force_image().init() } else { block }
    });
    fault.at("built");
    let lsn = builder.commit(record_blocks, |pages| {
        fault.at("changing");
        for (place, page) in pages.into_iter().enumerate() {
            if place > 0 {
                fault.at("between");
            }
            if operation == Operation::Make {
                page::make(page);
            }
            page::add(page, value.cast_unsigned(), fault).unwrap_or_else(|error| panic!("{error}"));
            if fault.is("changed", "header") {
                page.set_lower(page.upper() + 1);
            }
        }
        fault.at("changed");
    })?;
    fault.at("committed");
    Ok(lsn)
}

/// Writes a record that changes nothing.
#[pg_extern(sql = "", volatile)]
fn wal_faults_message(content: &str) -> Option<String> {
    let lsn = RecordBuilder::<Manager>::new(Operation::Nothing).data(content.as_bytes()).commit([], |[]| {});
    let lsn = lsn.unwrap_or_else(|error| panic!("{error}"));
    lsn.into_iter().for_each(pgxlog::flush);
    lsn.map(|lsn| lsn.to_string())
}

/// Holds a lock for a while, which cannot be interrupted.
#[pg_extern(sql = "", volatile)]
fn wal_faults_hold(oid: pg_sys::Oid, block: i32, milliseconds: i32) {
    let opened = page::open(oid);
    let _locked = page::relation(&opened).read(Fork::MAIN, page::block_number(block)).exclusive();
    std::thread::sleep(Duration::from_millis(u64::from(milliseconds.cast_unsigned())));
}
