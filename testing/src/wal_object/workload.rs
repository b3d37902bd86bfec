//! What is done with an object, and what must be true of it.

use std::env;
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use pgwal::{CustomRmgr, RmgrId};

use super::history::History;
use crate::cluster::Cluster;

/// Seed of the random numbers; another one by this variable, to repeat what failed or to look further.
pub const SEED_VARIABLE: &str = "WALKER_SEED";

/// Where everything happens.
pub(super) const DATABASE: &str = "postgres";
/// Where the harness keeps which transactions were committed.
pub(super) const SCHEMA: &str = "walker_testing";

type WriteSql = Box<dyn Fn(&mut Turn<'_>) -> String + Send + Sync>;
type Holds = Box<dyn Fn(&Cluster, &History) -> Result<()> + Send + Sync>;

/// What is done with an object, and what must be true of it. [`CrashTest`](super::CrashTest) and
/// [`StandbyTest`](super::StandbyTest) run it.
pub struct Workload {
    pub(super) rmgr: RmgrId,
    pub(super) rmgr_name: String,
    pub(super) setup: Vec<String>,
    pub(super) operations: Vec<Operation>,
    pub(super) sessions: usize,
    pub(super) roll_back_one_in: Option<u64>,
    pub(super) expected_errors: Vec<String>,
    pub(super) digest: Option<String>,
    pub(super) invariants: Vec<Invariant>,
    pub(super) seed: u64,
}

/// One kind of what sessions do.
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) in_transaction: bool,
    pub(super) write_sql: WriteSql,
}

/// What must hold whenever nobody changes the object.
pub(super) struct Invariant {
    name: String,
    holds: Holds,
}

/// A session is about to do something.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Random numbers of this session: the same ones for the same seed.
    pub random: &'a mut Rng,
    /// Number of the operation: no other one of the test has it. They begin with 1.
    pub number: u64,
    /// Number of the session, from 0: what a session alone touches, no other one locks.
    pub session: usize,
}

impl Workload {
    /// Of an object on Generic WAL.
    #[must_use]
    pub fn of_generic_wal() -> Self {
        Self::of_rmgr(RmgrId::GENERIC, "Generic")
    }

    /// Of an object with the custom resource manager `R`.
    #[must_use]
    pub fn of<R: CustomRmgr>() -> Self {
        Self::of_rmgr(R::ID.into(), &R::NAME.to_string_lossy())
    }

    /// Of an object whose records belong to the resource manager `rmgr`, which is called `name`
    /// (`RmgrData.rm_name`).
    #[must_use]
    pub fn of_rmgr(rmgr: RmgrId, name: &str) -> Self {
        Self {
            rmgr,
            rmgr_name: name.to_owned(),
            setup: Vec::new(),
            operations: Vec::new(),
            sessions: 4,
            roll_back_one_in: None,
            expected_errors: Vec::new(),
            digest: None,
            invariants: Vec::new(),
            seed: env::var(SEED_VARIABLE).ok().and_then(|seed| seed.parse().ok()).unwrap_or(1),
        }
    }

    /// SQL that makes what the operations need: extensions, tables, indexes. It is run once, by `psql`, in the database
    /// `postgres`, as all of the workload; what is said by several calls is run in their order.
    #[must_use]
    pub fn setup(mut self, sql: &str) -> Self {
        self.setup.push(sql.to_owned());
        self
    }

    /// Something that sessions do again and again, in a transaction each: `sql` writes one or more statements without
    /// `BEGIN` and `COMMIT`. Each session chooses among all operations with equal chance; one that is added twice is
    /// chosen twice as often.
    ///
    /// The harness adds a row of its own to each transaction. So it knows after a crash which of them were committed,
    /// and each of them has an xid: its commit waits until its WAL is written, also if the object itself takes no part in
    /// transactions.
    #[must_use]
    pub fn operation(self, name: &str, sql: impl Fn(&mut Turn<'_>) -> String + Send + Sync + 'static) -> Self {
        self.add(name, true, Box::new(sql))
    }

    /// As [`Workload::operation`], but outside of a transaction: one statement that cannot run in a transaction block,
    /// such as `VACUUM` or `REINDEX CONCURRENTLY`. Only one session at a time is at maintenance; one that comes second
    /// does something else.
    ///
    /// `VACUUM` waits up to five seconds for a moment when nobody uses the table, to make its file shorter: say
    /// `VACUUM (TRUNCATE false)` where that is not what shall be tested.
    #[must_use]
    pub fn maintenance(self, name: &str, sql: impl Fn(&mut Turn<'_>) -> String + Send + Sync + 'static) -> Self {
        self.add(name, false, Box::new(sql))
    }

    /// How many sessions do so at the same time: 4, if nothing is said.
    #[must_use]
    pub fn sessions(mut self, sessions: usize) -> Self {
        self.sessions = sessions.max(1);
        self
    }

    /// One in so many transactions is rolled back at its end instead of committed; none, if nothing is said.
    #[must_use]
    pub fn roll_back_one_in(mut self, transactions: u64) -> Self {
        self.roll_back_one_in = Some(transactions.max(1));
        self
    }

    /// An error that operations may end with because of others that run beside them, such as `deadlock detected`: a part
    /// of its text. Any other error ends the test.
    #[must_use]
    pub fn expected_error(mut self, part: &str) -> Self {
        self.expected_errors.push(part.to_owned());
        self
    }

    /// A query whose answer stands for the object's whole content. At a quiet moment it must be the same before a crash and
    /// after it, and on primary and standby.
    ///
    /// It is to ask the object itself: of an index, what it finds (see [`Workload::same_answer`]), not what its table holds.
    /// Rows must come in a certain order. Settings (`SET enable_seqscan = off;`) may stand before the query.
    #[must_use]
    pub fn digest(mut self, query: &str) -> Self {
        self.digest = Some(query.to_owned());
        self
    }

    /// Two ways to ask the same, which must give the same answer whenever nobody changes anything: with the index and
    /// without, for example. Settings may stand before each query; it is run by `psql`.
    #[must_use]
    pub fn same_answer(self, name: &str, one: &str, other: &str) -> Self {
        let (one, other) = (one.to_owned(), other.to_owned());
        self.invariant(name, move |server, _| {
            let (first, second) = (server.psql(DATABASE, &one)?, server.psql(DATABASE, &other)?);
            ensure!(first == second, "{}", Differing(&one, &first, &other, &second));
            Ok(())
        })
    }

    /// What must hold whenever nobody changes the object: after each recovery, on the primary before it, and on a standby,
    /// where nothing can be written. `holds` is told the server and what was done so far.
    #[must_use]
    pub fn invariant(
        mut self,
        name: &str,
        holds: impl Fn(&Cluster, &History) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.invariants.push(Invariant { name: name.to_owned(), holds: Box::new(holds) });
        self
    }

    /// The seed of all random numbers. If nothing is said, the environment variable `WALKER_SEED` tells it, or it is 1.
    /// The same seed gives each session the same operations; which session comes first is left to chance.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    fn add(mut self, name: &str, in_transaction: bool, write_sql: WriteSql) -> Self {
        self.operations.push(Operation { name: name.to_owned(), in_transaction, write_sql });
        self
    }

    /// An error if a test of it could not fail.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(!self.operations.is_empty(), "the workload has no operation");
        ensure!(
            self.digest.is_some() || !self.invariants.is_empty(),
            "the workload has neither a digest nor an invariant: nothing would be compared"
        );
        Ok(())
    }

    /// Runs the setup, and makes what the harness needs itself.
    pub(super) fn set_up(&self, server: &Cluster) -> Result<()> {
        for sql in &self.setup {
            server.psql(DATABASE, sql).context("the setup of the workload")?;
        }
        let own = format!("CREATE SCHEMA {SCHEMA}; CREATE TABLE {SCHEMA}.operations (number bigint NOT NULL)");
        server.psql(DATABASE, &own).map(drop)
    }

    /// The digest now, if there is one.
    pub(super) fn take_digest(&self, server: &Cluster) -> Result<Option<String>> {
        let query = self.digest.as_deref();
        query.map(|query| server.psql(DATABASE, query).context("the workload's digest")).transpose()
    }

    /// All invariants, at a moment when nobody changes the object.
    pub(super) fn check_invariants(&self, server: &Cluster, history: &History) -> Result<()> {
        for Invariant { name, holds } in &self.invariants {
            holds(server, history).with_context(|| format!("the invariant \"{name}\" does not hold"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations: Vec<_> = self.operations.iter().map(|operation| &operation.name).collect();
        let invariants: Vec<_> = self.invariants.iter().map(|invariant| &invariant.name).collect();
        formatter
            .debug_struct("Workload")
            .field("rmgr", &self.rmgr)
            .field("rmgr_name", &self.rmgr_name)
            .field("operations", &operations)
            .field("invariants", &invariants)
            .field("sessions", &self.sessions)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// Two answers that should be the same: the first line where they differ.
pub(super) struct Differing<'a>(pub(super) &'a str, pub(super) &'a str, pub(super) &'a str, pub(super) &'a str);

impl fmt::Display for Differing<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(one, first, other, second) = self;
        let (mut first, mut second) = (first.lines(), second.lines());
        let mut number = 1;
        loop {
            match (first.next(), second.next()) {
                (Some(line), Some(same)) if line == same => number += 1,
                (line, differing) => {
                    let [line, differing] = [line, differing].map(|line| line.unwrap_or("nothing more"));
                    return write!(
                        formatter,
                        "line {number} of the answers is different:\n{one}: {line}\n{other}: {differing}"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_told() {
        let text = Differing("index", "1\n2\n3", "table", "1\n2").to_string();
        assert_eq!(text, "line 3 of the answers is different:\nindex: 3\ntable: nothing more");
    }

    #[test]
    fn a_workload_that_compares_nothing_is_refused() {
        let workload = Workload::of_generic_wal().operation("insert", |_| "SELECT 1".to_owned());
        assert!(workload.check().unwrap_err().to_string().contains("nothing would be compared"));
        assert!(workload.digest("SELECT 1").check().is_ok());
        assert!(Workload::of_generic_wal().digest("SELECT 1").check().is_err());
    }
}
