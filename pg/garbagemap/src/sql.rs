//! Functions that SQL sees, with those in `blocks.rs` and `tables.rs`; their declarations are in `garbagemap--0.1.0.sql`.

use std::time::{Duration, Instant};

use garbagemap::{Answer, Question, RelationAnswer};
use pgrx::iter::TableIterator;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgwal::{LongPageHeader, Lsn, PageHeader};
use pgxlog::WaitEvent;

use crate::settings;
use crate::target::{Target, UNLOGGED};
use crate::worker::{PgLsn, TIMEOUT, ask, bigint, other_answer, pg_lsn};

/// How long it may take at least.
const LEAST_TIMEOUT: Duration = Duration::from_secs(1);
/// How long `garbagemap_wait` sleeps between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// One row for each range of `garbagemap.summary_size` blocks.
#[pg_extern(sql = "", volatile)]
#[allow(clippy::type_complexity)]
fn garbage_summary(
    relname: pg_sys::Oid,
) -> TableIterator<
    'static,
    (
        name!(rangeno, i32),
        name!(freespace, Option<i64>),
        name!(n_tuples, Option<i64>),
        name!(n_dead_tuples, Option<i64>),
        name!(n_all_visible, Option<i32>),
        name!(n_blocks, i32),
        name!(known_blocks, i32),
        name!(lsn, PgLsn),
        name!(inexact, Option<String>),
    ),
> {
    let answer = summary(relname);
    let lsn = pg_lsn(Lsn::new(answer.position));
    let inexact = answer.inexact;
    TableIterator::new(answer.ranges.into_iter().map(move |range| {
        let known = range.known_blocks > 0;
        let number = |value: u64| known.then(|| bigint(value));
        (
            range.number.cast_signed(),
            number(range.free_space),
            number(range.tuples),
            number(range.dead_tuples),
            known.then_some(range.all_visible.cast_signed()),
            range.blocks.cast_signed(),
            range.known_blocks.cast_signed(),
            lsn,
            inexact.clone(),
        )
    }))
}

fn summary(table: pg_sys::Oid) -> RelationAnswer {
    let target = Target::of(table);
    let question = Question::Relation {
        relation: target.locator,
        blocks_per_range: settings::summary_size(),
        total_blocks: target.blocks,
    };
    let Answer::Relation(mut answer) = ask(&question, TIMEOUT) else { other_answer() };
    if !target.logged {
        answer.inexact = Some(UNLOGGED.to_owned());
        answer.ranges.iter_mut().for_each(|range| range.known_blocks = 0);
    }
    answer
}

/// The position in the log that the map has reached.
#[pg_extern(sql = "", volatile)]
fn garbagemap_lsn() -> PgLsn {
    pg_lsn(position(TIMEOUT))
}

fn position(timeout: Duration) -> Lsn {
    match ask(&Question::Position, timeout) {
        Answer::Position(position) => Lsn::new(position),
        _ => other_answer(),
    }
}

/// Waits until the map has reached a position, at most so many milliseconds. Returns whether it has.
#[pg_extern(sql = "", volatile)]
fn garbagemap_wait(target: PgLsn, timeout_ms: i32) -> bool {
    let target = behind_header(Lsn::new(target.cast_unsigned()));
    let deadline = Instant::now() + Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    make_durable(target);
    loop {
        // The walker may need a moment to answer even when there is no time left to wait.
        let left = deadline.saturating_duration_since(Instant::now());
        if position(left.max(LEAST_TIMEOUT)) >= target {
            return true;
        }
        if left.is_zero() {
            return false;
        }
        pgxlog::sleep_on_latch(PAUSE, WaitEvent::Answer);
        pgrx::check_for_interrupts!();
    }
}

/// Where nothing but a page header lies before `lsn`, a record that ended before it ended at the page's beginning:
/// `pg_current_wal_insert_lsn()` gives the place behind the header.
fn behind_header(lsn: Lsn) -> Lsn {
    // SAFETY: set once when the server starts.
    let segment_size = u32::try_from(unsafe { pg_sys::wal_segment_size }).unwrap_or(0);
    let page_size = pg_sys::XLOG_BLCKSZ;
    let header =
        if lsn.floor(page_size).offset_in(segment_size) == 0 { LongPageHeader::SIZE } else { PageHeader::SIZE };
    if lsn.offset_in(page_size) as usize <= header { lsn.floor(page_size) } else { lsn }
}

/// Has WAL up to `target` flushed if it is written here: the walker reads only what is durable, and a record without
/// a commit, such as one of pruning, is else flushed some time later.
fn make_durable(target: Lsn) {
    // SAFETY: asks and flushes only up to what was inserted; on a standby nothing is written.
    unsafe {
        if !pg_sys::RecoveryInProgress() && target.get() <= pg_sys::GetXLogInsertRecPtr() {
            pg_sys::XLogFlush(target.get());
        }
    }
}
