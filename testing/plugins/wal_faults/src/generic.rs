//! Changes by Generic WAL: step by step, and many random ones.

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgwal::{BlockNumber, DataPage, Fork, Lsn};
use pgxlog::{ExclusiveBuffer, GenericXLog, GenericXLogError, PageChange, Relation};

use crate::fault::{Fault, happen};
use crate::page;
use crate::random_change::{Outcome, PageEdit, RandomChange, last_change};
use crate::swallow::in_subtransaction;

/// Adds to the counters of up to four blocks.
#[pg_extern(sql = "", volatile)]
fn wal_faults_generic(oid: pg_sys::Oid, blocks: Vec<i32>, value: i64, step: &str, kind: &str) -> Option<String> {
    let fault = Fault::new(step, kind);
    let opened = page::open(oid);
    let relation = page::relation(&opened);
    fault.at("opened");
    let outcome = add(relation, relation, Fork::MAIN, &blocks, value, &fault);
    fault.at("unlocked");
    pgrx::check_for_interrupts!();
    outcome.unwrap_or_else(|error| panic!("{error}")).map(|lsn| lsn.to_string())
}

/// A change that was started for one relation, of blocks of another.
#[pg_extern(sql = "", volatile)]
fn wal_faults_generic_of_two(oid: pg_sys::Oid, other: pg_sys::Oid, fork: i32) -> String {
    let (opened, opened_other) = (page::open(oid), page::open(other));
    let (relation, other) = (page::relation(&opened), page::relation(&opened_other));
    let outcome = add(relation, other, Fork::new(fork as u8), &[0], 1, &Fault::new("", ""));
    outcome.map_or_else(|error| error.to_string(), |_| "written".to_owned())
}

fn add(
    relation: Relation<'_>,
    of_blocks: Relation<'_>,
    fork: Fork,
    blocks: &[i32],
    value: i64,
    fault: &Fault,
) -> Result<Option<Lsn>, GenericXLogError> {
    let pinned: Vec<_> = blocks.iter().map(|block| of_blocks.read(fork, page::block_number(*block))).collect();
    fault.at("pinned");
    let mut locked: Vec<_> = pinned.into_iter().map(pgxlog::PinnedBuffer::exclusive).collect();
    fault.at("locked");
    let change = GenericXLog::start(relation);
    fault.at("started");
    let mut pages = Vec::new();
    for buffer in &mut locked {
        pages.push(change.register(buffer, PageChange::Delta)?);
        fault.at("registered");
    }
    for page in pages {
        page::add(page, value.cast_unsigned(), fault).unwrap_or_else(|error| panic!("{error}"));
        if fault.is("changed", "header") {
            page.set_lower(page.upper() + 1);
        }
    }
    fault.at("changed");
    if fault.is("changed", "drop") {
        return Ok(None);
    }
    let lsn = change.finish()?;
    fault.at("finished");
    Ok(lsn)
}

/// Makes so many of the random changes of a seed, from that number on; then, if asked, waits until they are durable.
#[pg_extern(sql = "", volatile)]
fn wal_faults_random(oid: pg_sys::Oid, seed: i64, first: i64, count: i32, flush: bool) {
    let opened = page::open(oid);
    let relation = page::relation(&opened);
    let seed = seed.cast_unsigned();
    let mut last = None;
    for number in first.cast_unsigned()..first.cast_unsigned() + u64::from(count.cast_unsigned()) {
        pgrx::check_for_interrupts!();
        let blocks = last_change(relation.read(Fork::MAIN, BlockNumber::new(0)).share().page());
        let (_, blocks) = blocks.filter(|(_, blocks)| *blocks > 0).unwrap_or((0, 2));
        let change = RandomChange::new(seed, number, blocks);
        let attempt = || attempt(relation, &change);
        match change.outcome {
            Outcome::Failed(_, true) => drop(in_subtransaction(attempt)),
            Outcome::Failed(_, false) => drop(pgxlog::catch_error(attempt)),
            Outcome::Finished | Outcome::Dropped => last = attempt().or(last),
        }
    }
    if flush {
        last.into_iter().for_each(pgxlog::flush);
    }
}

fn attempt(relation: Relation<'_>, change: &RandomChange) -> Option<Lsn> {
    let mut locked: Vec<_> = change.pages.iter().map(|edit| (lock(relation, edit), edit)).collect();
    let record = GenericXLog::start(relation);
    for (buffer, edit) in &mut locked {
        let kind = if edit.is_full_image { PageChange::FullImage } else { PageChange::Delta };
        let page: &mut DataPage = record.register(buffer, kind).unwrap_or_else(|error| panic!("{error}"));
        change.apply(edit, page);
    }
    match change.outcome {
        Outcome::Finished => record.finish().unwrap_or_else(|error| panic!("{error}")),
        Outcome::Dropped => None,
        Outcome::Failed(kind, _) => {
            happen(kind);
            None
        }
    }
}

/// A change that adds a page may have been lost or given up: then the page is there, and zero.
fn lock<'r>(relation: Relation<'r>, edit: &PageEdit) -> ExclusiveBuffer<'r> {
    if edit.block < relation.blocks(Fork::MAIN) {
        relation.read(Fork::MAIN, BlockNumber::new(edit.block)).exclusive()
    } else {
        relation.extend(Fork::MAIN)
    }
}
