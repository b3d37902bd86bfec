//! What a client does with the server of a [`Cluster`].

use std::ffi::OsStr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgwal::{DEFAULT_BLOCK_SIZE, Lsn};

use crate::cluster::Cluster;
use crate::command::run;
use crate::poll::poll;
use crate::session::Session;

/// Characters that PostgreSQL's own output has only if a test puts them there.
const FIELD_SEPARATOR: char = '\u{1f}';
const RECORD_SEPARATOR: char = '\u{1e}';
/// Size of the longer header, that of a segment's first page (`SizeOfXLogLongPHD`).
const LONG_PAGE_HEADER: u32 = 40;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

impl Cluster {
    /// Runs a script with the installation's `psql`: one statement or many, each in a transaction of its own, and
    /// `psql`'s own commands. Returns what it printed: no header, columns separated by `|`, no line end at the end.
    /// The first error ends it.
    ///
    /// # Errors
    /// What `psql` wrote to stderr.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let mut printed = self.run_psql(database, &[], sql)?;
        if printed.ends_with('\n') {
            printed.pop();
        }
        Ok(printed)
    }

    /// Runs one query and returns its rows. A null is the empty string.
    ///
    /// # Errors
    /// What `psql` wrote to stderr.
    pub fn psql_rows(&self, database: &str, query: &str) -> Result<Vec<Vec<String>>> {
        let [field, record] = [FIELD_SEPARATOR, RECORD_SEPARATOR].map(String::from);
        let printed = self.run_psql(database, &["-F", &field, "-R", &record], query)?;
        Ok(rows(&printed))
    }

    /// Asks `query`, which returns one boolean, again and again until it is true.
    ///
    /// # Errors
    /// If it is not after `timeout`, or cannot be asked.
    pub fn wait_until_true(&self, database: &str, query: &str, timeout: Duration) -> Result<()> {
        let mut session = self.session(database)?;
        let is_true = poll(timeout, || Ok((session.execute(query)? == "t").then_some(())))?;
        is_true.with_context(|| format!("not true after {timeout:?}: {query}"))
    }

    /// Opens a connection that stays open.
    ///
    /// # Errors
    /// If no connection is possible.
    pub fn session(&self, database: &str) -> Result<Session> {
        Session::connect(self, database)
    }

    /// Runs the installation's `pgbench` and returns what it printed. The database is `postgres`, unless the last
    /// argument is another.
    ///
    /// # Errors
    /// What `pgbench` wrote to stderr.
    pub fn pgbench<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<String> {
        run(self.program("pgbench")?.args(arguments), "")
    }

    /// Runs the installation's `pg_waldump` on this cluster's WAL and returns what it printed.
    ///
    /// # Errors
    /// What `pg_waldump` wrote to stderr.
    pub fn pg_waldump<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<String> {
        run(self.program("pg_waldump")?.arg("--path").arg(self.wal_directory()).args(arguments), "")
    }

    /// Makes everything that was written up to now durable, by committing a transaction. Returns the insert position,
    /// which is the end of a record and flushed, so that a reader of WAL will reach it.
    ///
    /// # Errors
    /// If the server cannot be asked, or other sessions write without pause.
    pub fn flush_wal(&self) -> Result<Lsn> {
        // A transaction that has written WAL is flushed at its commit; having an xid alone is not enough
        // (src/backend/access/transam/xact.c, RecordTransactionCommit). `local`, to wait for no standby.
        let flush = "BEGIN;
            SET LOCAL synchronous_commit = local;
            SELECT pg_logical_emit_message(true, 'walker-testing', '') \\g /dev/null
            COMMIT;
            SELECT pg_current_wal_insert_lsn(), pg_current_wal_insert_lsn() <= pg_current_wal_flush_lsn();";
        let flushed = poll(FLUSH_TIMEOUT, || {
            let answer = self.psql("postgres", flush)?;
            let (lsn, is_flushed) = answer.split_once('|').with_context(|| format!("no position: {answer}"))?;
            let lsn: Lsn = lsn.parse()?;
            // Where a record ends with its page, the insert position is already behind the next page's header, where
            // no record ends.
            let behind_header = lsn.offset_in(DEFAULT_BLOCK_SIZE) <= LONG_PAGE_HEADER;
            Ok((is_flushed == "t" && !behind_header).then_some(lsn))
        })?;
        flushed.with_context(|| format!("others write WAL without pause for {FLUSH_TIMEOUT:?}"))
    }

    /// Asks the SQL expression `query`, which returns a `pg_lsn` (null counts as not yet), again and again until it
    /// is at least `lsn`.
    ///
    /// # Errors
    /// If it is not after `timeout`, or cannot be asked.
    pub fn wait_for_lsn(&self, query: &str, lsn: Lsn, timeout: Duration) -> Result<()> {
        let mut session = self.session("postgres")?;
        let mut last = String::new();
        let reached = poll(timeout, || {
            last = session.execute(&format!("SELECT {query}"))?;
            let position = if last.is_empty() { Lsn::INVALID } else { last.parse()? };
            Ok((position >= lsn).then_some(()))
        })?;
        ensure!(reached.is_some(), "{query} is \"{last}\" after {timeout:?}, not yet {lsn}");
        Ok(())
    }

    fn run_psql(&self, database: &str, options: &[&str], sql: &str) -> Result<String> {
        let mut psql = self.program("psql")?;
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]).args(options).args(["-d", database]);
        run(&mut psql, sql).with_context(|| format!("in database {database}: {}", shortened(sql)))
    }
}

/// A script's beginning, for a message.
fn shortened(sql: &str) -> String {
    const LONGEST: usize = 300;
    match sql.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &sql[..end]),
        None => sql.to_owned(),
    }
}

fn rows(printed: &str) -> Vec<Vec<String>> {
    // The last record ends with a line end instead of a separator; without any record there is none.
    let Some(records) = printed.strip_suffix('\n') else { return Vec::new() };
    let fields = |record: &str| record.split(FIELD_SEPARATOR).map(str::to_owned).collect();
    records.split(RECORD_SEPARATOR).map(fields).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_may_hold_line_ends_and_bars() {
        assert_eq!(rows("a\u{1f}b|c\nd\u{1e}e\u{1f}\n"), [["a", "b|c\nd"], ["e", ""]]);
        assert_eq!(rows("\n"), [[""]]);
        assert!(rows("").is_empty());
    }
}
