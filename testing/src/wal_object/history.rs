//! What sessions did, and what became of it.

use std::collections::HashSet;

use anyhow::{Result, ensure};

use super::workload::{DATABASE, SCHEMA};
use crate::cluster::Cluster;

/// All that was done since the setup.
#[derive(Debug, Clone, Default)]
pub struct History {
    attempts: Vec<Attempt>,
}

/// One operation of a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// Its number, see [`Turn::number`](super::Turn::number).
    pub number: u64,
    /// The session's number, from 0.
    pub session: usize,
    /// The name of the operation.
    pub operation: String,
    /// Its statements.
    pub sql: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether a row of ours tells of its transaction.
    pub(super) in_transaction: bool,
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Its transaction was committed: either the server said so, or it crashed meanwhile and the transaction is there.
    /// Maintenance: it came to its end.
    Committed,
    /// Its transaction was rolled back at its end, on purpose.
    RolledBack,
    /// It ended with an error that is expected.
    Failed,
    /// The server crashed before the end: its transaction is not there, but what it did outside of transactions may be.
    Interrupted,
}

impl History {
    /// All of them; those of one session in their order.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Those that were committed.
    pub fn committed(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Committed)
    }

    /// Those that were not committed: of an object that takes no part in transactions, their effect may be there or not.
    pub fn not_committed(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| attempt.outcome != Outcome::Committed)
    }

    pub(super) fn add(&mut self, attempts: impl IntoIterator<Item = Attempt>) {
        self.attempts.extend(attempts);
    }

    /// The highest number there is; zero at the beginning.
    pub(super) fn last_number(&self) -> u64 {
        self.attempts.iter().map(|attempt| attempt.number).max().unwrap_or(0)
    }

    /// Looks which transactions are there: all that the server said to be committed must be; of those that were
    /// interrupted, it now becomes known.
    pub(super) fn compare(&mut self, server: &Cluster) -> Result<()> {
        let numbers = server.psql(DATABASE, &format!("SELECT number FROM {SCHEMA}.operations"))?;
        let there = numbers.lines().map(str::parse).collect::<Result<HashSet<u64>, _>>()?;
        for attempt in &mut self.attempts {
            let is_there = there.contains(&attempt.number);
            let Attempt { number, session, operation, sql, .. } = &*attempt;
            match attempt.outcome {
                Outcome::Committed => ensure!(
                    is_there || !attempt.in_transaction,
                    "operation {number} ({operation}) of session {session} was committed and is lost: {sql}"
                ),
                Outcome::RolledBack | Outcome::Failed => ensure!(
                    !is_there,
                    "operation {number} ({operation}) of session {session} was rolled back and is there: {sql}"
                ),
                Outcome::Interrupted if is_there => attempt.outcome = Outcome::Committed,
                Outcome::Interrupted => {}
            }
        }
        Ok(())
    }
}
