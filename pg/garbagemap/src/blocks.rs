//! `garbage_blocks`: a table, block by block.

use std::ops::Range;

use garbagemap::{Answer, BlockCounts as Block, Counts, Question, TooManyRanges};
use pgrx::iter::TableIterator;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgwal::Lsn;

use crate::target::Target;
use crate::worker::{PgLsn, TIMEOUT, ask, other_answer, pg_lsn};

/// One row for each block from the first to the last that are wanted, or for each of them that holds garbage. More than
/// [`TooManyRanges::LIMIT`] blocks are asked for in portions, each for a position of its own.
#[pg_extern(sql = "", volatile)]
#[allow(clippy::type_complexity)]
fn garbage_blocks(
    relname: pg_sys::Oid,
    only_garbage: bool,
    first_block: i64,
    last_block: i64,
) -> TableIterator<
    'static,
    (
        name!(blkno, i64),
        name!(n_tuples, Option<i32>),
        name!(n_dead_tuples, Option<i32>),
        name!(dead_bytes, Option<i32>),
        name!(lp_dead, Option<i32>),
        name!(redirects, Option<i32>),
        name!(freespace, Option<i32>),
        name!(all_visible, Option<bool>),
        name!(known, bool),
        name!(lsn, PgLsn),
    ),
> {
    let target = Target::of(relname);
    let wanted = wanted(first_block, last_block, target.blocks);
    let end = wanted.end;
    let portions = wanted.step_by(TooManyRanges::LIMIT as usize);
    let rows = portions.flat_map(move |first| {
        let last = first + (TooManyRanges::LIMIT - 1).min(end - 1 - first);
        let portion = Portion::ask(&target, first, last, only_garbage);
        let position = portion.position;
        portion.rows(first, last, only_garbage).map(move |Block { number, counts, all_visible }| {
            (
                i64::from(number),
                counts.map(|counts| i32::from(counts.tuples)),
                counts.map(|counts| i32::from(counts.dead_tuples)),
                counts.map(|counts| i32::from(counts.dead_bytes)),
                counts.map(|counts| i32::from(counts.lp_dead)),
                counts.map(|counts| i32::from(counts.redirects)),
                counts.map(|counts| i32::from(counts.free_space)),
                counts.map(|_| all_visible),
                counts.is_some(),
                pg_lsn(position),
            )
        })
    });
    TableIterator::new(rows)
}

/// Those of a table's `blocks` that are wanted; what is beyond the table is left out.
fn wanted(first: i64, last: i64, blocks: u32) -> Range<u32> {
    // Below 0 and above the largest number there are no blocks.
    let bound = |block: i64| u32::try_from(block.max(0)).unwrap_or(u32::MAX).min(blocks);
    bound(first)..bound(last.saturating_add(1)).max(bound(first))
}

/// A portion of the blocks.
struct Portion {
    position: Lsn,
    /// Those that were told of, ascending.
    told: Vec<Block>,
    /// What is known of the others.
    other: Option<Counts>,
}

impl Portion {
    fn ask(target: &Target, first: u32, last: u32, only_garbage: bool) -> Self {
        let question = Question::Blocks { relation: target.locator, first, last, only_garbage };
        let Answer::Blocks(mut answer) = ask(&question, TIMEOUT) else { other_answer() };
        if !target.logged {
            answer.blocks.clear();
        }
        let other = (answer.complete && target.logged).then(Counts::default);
        Self { position: Lsn::new(answer.position), told: answer.blocks, other }
    }

    /// Each block of the portion, or only those that were told of.
    fn rows(self, first: u32, last: u32, only_told: bool) -> impl Iterator<Item = Block> {
        let mut told = self.told.into_iter().peekable();
        let mut next = Some(first);
        std::iter::from_fn(move || {
            if only_told {
                return told.next();
            }
            let number = next.filter(|number| *number <= last)?;
            next = number.checked_add(1);
            let other = Block { number, counts: self.other, all_visible: false };
            Some(told.next_if(|block| block.number == number).unwrap_or(other))
        })
    }
}
