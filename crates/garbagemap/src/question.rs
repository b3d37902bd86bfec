//! What a garbage map is asked, and what it says: the same in the server, where a question goes from a backend to the
//! worker, and outside.

use pgwal::TransactionId;
use serde::{Deserialize, Serialize};

use crate::page::Counts;
use crate::sums::Sums;

/// A question to a garbage map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// How far the map has come; answered with [`Answer::Position`].
    Position,
    /// What is known of a relation, by ranges of blocks; answered with [`Answer::Relation`].
    Relation {
        /// Tablespace, database, file number.
        relation: (u32, u32, u32),
        /// Size of a range in blocks.
        blocks_per_range: u32,
        /// Size of the file in blocks.
        total_blocks: u32,
    },
    /// What is known of a relation, block by block; answered with [`Answer::Blocks`].
    Blocks {
        /// Tablespace, database, file number.
        relation: (u32, u32, u32),
        /// The first block.
        first: u32,
        /// The last block; at most [`TooManyRanges::LIMIT`] in all.
        last: u32,
        /// Whether only blocks with dead tuples or dead line pointers are asked for.
        only_garbage: bool,
    },
    /// Totals of all relations of a database, shared ones too; answered with [`Answer::Database`].
    Database {
        /// Its number.
        database: u32,
        /// What was deleted by transactions that do not precede one of these is counted for it
        /// ([`RelationTotals::not_removable`]).
        horizons: Vec<TransactionId>,
        /// The time for which rates are told, in microseconds since the year 2000.
        time: i64,
    },
}

/// The answer would have more ranges than can be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} ranges are more than {limit}: ask for larger ones (garbagemap.summary_size)", limit = TooManyRanges::LIMIT)]
pub struct TooManyRanges(pub(crate) u32);

impl TooManyRanges {
    /// Most ranges of one answer.
    pub const LIMIT: u32 = 1 << 20;
}

/// An answer of a garbage map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// End of the last record that the map knows of.
    Position(u64),
    /// What is known of a relation.
    Relation(RelationAnswer),
    /// What is known of a relation, block by block.
    Blocks(BlocksAnswer),
    /// Totals of all relations of a database.
    Database(DatabaseAnswer),
}

/// What is known of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationAnswer {
    /// End of the last record that the map knows of: the position for which the numbers hold.
    pub position: u64,
    /// The ranges, all of them up to the end of the file.
    pub ranges: Vec<RangeSummary>,
    /// Why the numbers are not exact, if they are not.
    pub inexact: Option<String>,
}

/// A range of blocks. All numbers are of its known blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeSummary {
    /// From zero.
    pub number: u32,
    /// How many blocks it has.
    pub blocks: u32,
    /// Of how many of them the content is known.
    pub known_blocks: u32,
    /// Tuples, dead ones included.
    pub tuples: u64,
    /// Dead tuples.
    pub dead_tuples: u64,
    /// Bytes of dead tuples, without alignment.
    pub dead_bytes: u64,
    /// Line pointers that are dead themselves.
    pub lp_dead: u64,
    /// Line pointers that redirect.
    pub redirects: u64,
    /// Free bytes.
    pub free_space: u64,
    /// Blocks whose bit for all-visible is set.
    pub all_visible: u32,
}

impl RangeSummary {
    pub(crate) fn add(&mut self, sums: &Sums) {
        self.tuples += u64::from(sums.tuples);
        self.dead_tuples += u64::from(sums.dead_tuples);
        self.dead_bytes += u64::from(sums.dead_bytes);
        self.lp_dead += u64::from(sums.lp_dead);
        self.redirects += u64::from(sums.redirects);
        self.free_space += u64::from(sums.free_space);
    }
}

/// What is known of a relation, block by block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlocksAnswer {
    /// End of the last record that the map knows of: the position for which the numbers hold.
    pub position: u64,
    /// Whether the relation was created while the log was walked: then blocks that were never told of are known to be
    /// empty.
    pub complete: bool,
    /// Those of the blocks that were told of, ascending.
    pub blocks: Vec<BlockCounts>,
    /// Why the numbers are not exact, if they are not.
    pub inexact: Option<String>,
}

/// A block that was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockCounts {
    /// From zero.
    pub number: u32,
    /// What is on it; `None` if that is not known any more.
    pub counts: Option<Counts>,
    /// Whether its bit for all-visible is set.
    pub all_visible: bool,
}

impl BlockCounts {
    /// Whether it holds dead tuples or dead line pointers.
    #[must_use]
    pub fn has_garbage(&self) -> bool {
        self.counts.is_some_and(|counts| counts.dead_tuples > 0 || counts.lp_dead > 0)
    }
}

/// Totals of all relations of a database of which something is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseAnswer {
    /// End of the last record that the map knows of: the position for which the numbers hold.
    pub position: u64,
    /// Those of the database and the shared ones, in no order.
    pub relations: Vec<RelationTotals>,
    /// Why no numbers are exact, if none are.
    pub inexact: Option<String>,
}

/// Totals of a relation. Numbers of tuples and bytes are of its known blocks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RelationTotals {
    /// Tablespace, database, file number.
    pub relation: (u32, u32, u32),
    /// Whether the relation was created while the log was walked: then blocks that were never told of are known to be
    /// empty.
    pub complete: bool,
    /// Blocks that were told of and whose content is known.
    pub known_blocks: u64,
    /// Blocks that were told of and whose content is not known any more.
    pub lost_blocks: u64,
    /// Behind the last block that was told of.
    pub known_end: u64,
    /// Tuples, dead ones included.
    pub tuples: u64,
    /// Dead tuples.
    pub dead_tuples: u64,
    /// Bytes of dead tuples, without alignment.
    pub dead_bytes: u64,
    /// Line pointers that are dead themselves.
    pub lp_dead: u64,
    /// Line pointers that redirect.
    pub redirects: u64,
    /// Free bytes.
    pub free_space: u64,
    /// Blocks whose bit for all-visible is set.
    pub all_visible: u64,
    /// For each horizon of the question: how many dead tuples were deleted by transactions that do not precede it, so that
    /// they may not be removed. At most too many.
    pub not_removable: Vec<u64>,
    /// Updates since the walk began, of transactions that aborted too.
    pub updates: u64,
    /// Those of them after which the new version is reached without an index (heap-only tuples).
    pub hot_updates: u64,
    /// Tuples that died since the last trace of a vacuum.
    pub deaths_since_vacuum: u64,
    /// How many tuples die in a minute, on average over about the last five.
    pub deaths_per_minute: f64,
    /// The last trace of a vacuum: the position behind it, and when the last transaction before it ended, in microseconds
    /// since the year 2000.
    pub vacuumed: Option<(u64, Option<i64>)>,
    /// Why the numbers are not exact, if they are not.
    pub inexact: Option<String>,
}
