//! Asking the map, which is in the worker.

use std::time::Duration;

use garbagemap::{Answer, Question};
use pgwal::Lsn;

/// How long an answer may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A `pg_lsn`: pgrx has no type for it, but it is eight bytes by value as `bigint` is.
pub(crate) type PgLsn = i64;

pub(crate) fn pg_lsn(lsn: Lsn) -> PgLsn {
    lsn.get().cast_signed()
}

/// Puts the question to the map and waits for its answer.
///
/// # Panics
/// With a PostgreSQL ERROR if there is none.
pub(crate) fn ask(question: &Question, timeout: Duration) -> Answer {
    let answer = pgxlog::ask("garbagemap", &question.to_bytes(), timeout);
    Answer::from_bytes(&answer).unwrap_or_else(|error| pgrx::error!("{error}"))
}

/// # Panics
/// With a PostgreSQL ERROR: the worker has another version of the library than this backend.
pub(crate) fn other_answer() -> ! {
    pgrx::error!("plugin garbagemap answered another question")
}

/// A count as SQL has it.
pub(crate) fn bigint(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
