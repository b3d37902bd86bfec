//! Faults that are caught before they end the transaction.

use std::ptr::null;

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgwal::Fork;

use crate::custom::Operation;
use crate::fault::{Fault, happen};
use crate::insert::add;
use crate::page;

/// Catches what goes wrong, in an internal subtransaction if `how` says so, and tells what it was, whether the block can be locked
/// afterwards, and the counts.
#[pg_extern(sql = "", volatile)]
fn wal_faults_swallow(oid: pg_sys::Oid, block: i32, step: &str, kind: &str, how: &str) -> String {
    let opened = page::open(oid);
    let relation = page::relation(&opened);
    let number = page::block_number(block);
    let fault = Fault::new(step, kind);
    let attempt = || {
        add(relation, Operation::Add, [number], 1, &fault).unwrap_or_else(|error| panic!("{error}"));
        // A cancellation that came while something was locked.
        pgrx::check_for_interrupts!();
    };
    let outcome = if how == "subtransaction" { in_subtransaction(attempt) } else { pgxlog::catch_error(attempt) };
    let text = outcome.err().unwrap_or_else(|| "no error".to_owned());
    let is_free = relation.read(Fork::MAIN, number).try_cleanup().is_ok();
    let counts = page::counts();
    format!("{text}; {}; {counts}", if is_free { "free" } else { "locked" })
}

/// Holds a lock while something else goes wrong and is caught. Tells what it was, and the counts afterwards.
#[pg_extern(sql = "", volatile)]
fn wal_faults_swallow_while_locked(oid: pg_sys::Oid, blocks: Vec<i32>, kind: &str, how: &str) -> String {
    let opened = page::open(oid);
    let relation = page::relation(&opened);
    let locked: Vec<_> =
        blocks.into_iter().map(|block| relation.read(Fork::MAIN, page::block_number(block)).exclusive()).collect();
    let outcome = match how {
        // Its block with EXCEPTION is a subtransaction.
        "sql" => pgxlog::catch_error(|| {
            let sql = format!("DO $$ BEGIN PERFORM 1 / {kind}; EXCEPTION WHEN division_by_zero THEN NULL; END $$");
            Spi::run(&sql).unwrap_or_else(|error| panic!("{error}"));
        }),
        _ => pgxlog::catch_error(|| happen(kind)),
    };
    let is_sound = locked.iter().all(|buffer| buffer.page().check_header().is_ok());
    drop(locked);
    let counts = page::counts();
    let text = outcome.err().unwrap_or_else(|| "no error".to_owned());
    format!("{text}; {is_sound}; {counts}")
}

/// A lock that is taken in a subtransaction and still there when that is aborted: its page cannot be had any more.
#[pg_extern(sql = "", volatile)]
fn wal_faults_outlive_subtransaction(oid: pg_sys::Oid, block: i32) -> String {
    let opened = page::open(oid);
    let relation = page::relation(&opened);
    let pinned = relation.read(Fork::MAIN, page::block_number(block));
    let mut kept = None;
    let outcome = in_subtransaction(|| {
        kept = Some(pinned.exclusive());
        happen("error");
    });
    let page = pgxlog::catch_error(|| kept.as_ref().map(|buffer| buffer.page().lower()));
    drop(kept);
    let counts = page::counts();
    format!("{outcome:?}; {page:?}; {counts}")
}

/// As PL/pgSQL does for a block with EXCEPTION.
pub(crate) fn in_subtransaction<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    // SAFETY: the subtransaction is ended before this returns, and what it changed of these variables is set back.
    unsafe {
        let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(null());
        pg_sys::MemoryContextSwitchTo(context);
        let outcome = pgxlog::catch_error(body);
        match outcome {
            Ok(_) => pg_sys::ReleaseCurrentSubTransaction(),
            Err(_) => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        outcome
    }
}
