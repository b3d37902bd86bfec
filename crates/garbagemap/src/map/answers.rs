//! What the map answers to which question.

use pgwal::{RelFileLocator, TransactionId};

use super::GarbageMap;
use crate::question::{
    Answer, BlockCounts, BlocksAnswer, DatabaseAnswer, Question, RelationAnswer, RelationTotals, TooManyRanges,
};
use crate::relation::Relation;

impl GarbageMap {
    /// Answers a question for the present position.
    ///
    /// # Errors
    /// [`TooManyRanges`] if the answer would be too large.
    pub fn ask(&self, question: &Question) -> Result<Answer, TooManyRanges> {
        Ok(match question {
            Question::Position => Answer::Position(self.position.get()),
            Question::Relation { relation, blocks_per_range, total_blocks } => {
                let ranges = total_blocks.div_ceil((*blocks_per_range).max(1));
                if ranges > TooManyRanges::LIMIT {
                    return Err(TooManyRanges(ranges));
                }
                self.with_relation(*relation, |relation| {
                    Answer::Relation(RelationAnswer {
                        position: self.position.get(),
                        ranges: relation.range_summaries(*blocks_per_range, *total_blocks),
                        inexact: self.cause(relation),
                    })
                })
            }
            Question::Blocks { relation, first, last, only_garbage } => {
                let blocks = last.saturating_sub(*first).saturating_add(1);
                if blocks > TooManyRanges::LIMIT {
                    return Err(TooManyRanges(blocks));
                }
                self.with_relation(*relation, |relation| {
                    let mut blocks = Vec::new();
                    relation.for_each_block(*first..=*last, |number, counts, all_visible| {
                        let block = BlockCounts { number, counts, all_visible };
                        if !only_garbage || block.has_garbage() {
                            blocks.push(block);
                        }
                    });
                    blocks.sort_unstable_by_key(|block| block.number);
                    Answer::Blocks(BlocksAnswer {
                        position: self.position.get(),
                        complete: relation.complete,
                        blocks,
                        inexact: self.cause(relation),
                    })
                })
            }
            Question::Database { database, horizons, time } => {
                let of_it =
                    self.relations.iter().filter(|(locator, _)| [0, *database].contains(&locator.database.get()));
                Answer::Database(DatabaseAnswer {
                    position: self.position.get(),
                    relations: of_it.map(|(locator, of_it)| self.totals(*locator, of_it, horizons, *time)).collect(),
                    inexact: self.everywhere.map(|cause| cause.to_string()),
                })
            }
        })
    }

    /// With an empty one if nothing is known of it.
    fn with_relation<T>(&self, (tablespace, database, number): (u32, u32, u32), call: impl Fn(&Relation) -> T) -> T {
        match self.relations.get(&RelFileLocator::new(tablespace, database, number)) {
            Some(relation) => call(relation),
            None => call(&Relation::default()),
        }
    }

    fn cause(&self, relation: &Relation) -> Option<String> {
        relation.cause(self.everywhere).map(|cause| cause.to_string())
    }

    fn totals(
        &self,
        locator: RelFileLocator,
        relation: &Relation,
        horizons: &[TransactionId],
        time: i64,
    ) -> RelationTotals {
        let summary = relation.summary(self.everywhere);
        let activity = relation.activity.summary(time);
        // What is not before the horizon is among the dead tuples that are there.
        let not_removable =
            |horizon: &TransactionId| relation.activity.not_removable(*horizon).min(summary.dead_tuples);
        RelationTotals {
            relation: (locator.tablespace.get(), locator.database.get(), locator.relation.get()),
            complete: summary.complete,
            known_blocks: summary.known_blocks,
            lost_blocks: summary.lost_blocks,
            known_end: relation.known_end().into(),
            tuples: summary.tuples,
            dead_tuples: summary.dead_tuples,
            dead_bytes: summary.dead_bytes,
            lp_dead: summary.lp_dead,
            redirects: summary.redirects,
            free_space: summary.free_space,
            all_visible: summary.all_visible_blocks,
            not_removable: horizons.iter().map(not_removable).collect(),
            updates: activity.updates,
            hot_updates: activity.hot_updates,
            deaths_since_vacuum: activity.deaths_since_vacuum,
            deaths_per_minute: activity.deaths_per_minute,
            vacuumed: activity.vacuumed.map(|vacuumed| (vacuumed.lsn.get(), vacuumed.time)),
            inexact: summary.inexact,
        }
    }
}
