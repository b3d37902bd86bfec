//! What a garbage map is asked, and what it says: the same in the server, where a question goes from a backend to the
//! worker, and outside.

use serde::{Deserialize, Serialize};

use crate::page::Counts;

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
}

/// The answer would have more ranges than can be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} ranges are more than {limit}: ask for larger ones (garbagemap.summary_size)", limit = TooManyRanges::LIMIT)]
pub struct TooManyRanges(pub(crate) u32);

impl TooManyRanges {
    /// Most ranges of one answer.
    pub const LIMIT: u32 = 1 << 18;
}

/// An answer of a garbage map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// End of the last record that the map knows of.
    Position(u64),
    /// What is known of a relation.
    Relation(RelationAnswer),
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
    pub(crate) fn add(&mut self, counts: &Counts) {
        self.tuples += u64::from(counts.tuples);
        self.dead_tuples += u64::from(counts.dead_tuples);
        self.dead_bytes += u64::from(counts.dead_bytes);
        self.lp_dead += u64::from(counts.lp_dead);
        self.redirects += u64::from(counts.redirects);
        self.free_space += u64::from(counts.free_space);
    }
}
