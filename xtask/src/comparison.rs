//! WALker's counts beside those of pgstattuple, which reads the tables.

use std::fmt;

use anyhow::{Context as _, Result};
use pgwal::Lsn;
use walker_testing::{Cluster, Session};

use crate::load::{DATABASE, TABLES};

/// Both counts of each table, true at the same position of the WAL.
#[derive(Debug)]
pub(crate) struct Comparison {
    lsn: Lsn,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    table: &'static str,
    blocks: u64,
    by_walker: u64,
    by_pgstattuple: u64,
    /// Why WALker's number is not exact, if it says so.
    inexact: String,
}

impl Comparison {
    /// Compares at a quiet moment, which it waits for.
    pub(crate) fn at_a_quiet_moment(cluster: &Cluster) -> Result<Self> {
        // No table is read before or meanwhile: a SELECT may prune the pages that it reads, and so change the counts.
        cluster.at_a_quiet_moment(DATABASE, |session, lsn| {
            let rows = TABLES.into_iter().map(|table| Row::read(session, table)).collect::<Result<_>>()?;
            Ok(Self { lsn, rows })
        })
    }

    pub(crate) fn is_equal(&self) -> bool {
        self.rows.iter().all(Row::is_equal)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "dead tuples at LSN {}, where both were asked:\n", self.lsn)?;
        writeln!(formatter, "{:18} {:>8} {:>10} {:>12}  equal", "table", "blocks", "WALker", "pgstattuple")?;
        for row in &self.rows {
            let Row { table, blocks, by_walker, by_pgstattuple, inexact } = row;
            let equal = if row.is_equal() { "yes" } else { "NO" };
            write!(formatter, "{table:18} {blocks:>8} {by_walker:>10} {by_pgstattuple:>12}  {equal}")?;
            let mark = if inexact.is_empty() { String::new() } else { format!("  (inexact: {inexact})") };
            writeln!(formatter, "{mark}")?;
        }
        Ok(())
    }
}

impl Row {
    fn read(session: &mut Session, table: &'static str) -> Result<Self> {
        let query = format!(
            "SELECT coalesce(sum(n_blocks), 0), coalesce(sum(n_dead_tuples), 0),
                    (SELECT dead_tuple_count FROM pgstattuple('{table}'::regclass)),
                    coalesce(string_agg(DISTINCT nullif(inexact, ''), ', '), '')
             FROM garbage_summary('{table}'::regclass)"
        );
        let answer = session.execute(&query)?;
        Self::parse(table, &answer).with_context(|| format!("{table}: {answer}"))
    }

    fn parse(table: &'static str, answer: &str) -> Result<Self> {
        let mut columns = answer.splitn(4, '|');
        let mut next = || columns.next().context("a column is missing");
        Ok(Self {
            table,
            blocks: next()?.parse()?,
            by_walker: next()?.parse()?,
            by_pgstattuple: next()?.parse()?,
            inexact: next()?.to_owned(),
        })
    }

    fn is_equal(&self) -> bool {
        self.by_walker == self.by_pgstattuple
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_seen_and_marked() {
        let rows = vec![
            Row::parse("orders", "3000|17000|17000|").unwrap(),
            Row::parse("queue", "10|5|6|unknown blocks").unwrap(),
        ];
        let comparison = Comparison { lsn: Lsn::new(0x1_0000_0000), rows };
        assert!(!comparison.is_equal());
        let shown = comparison.to_string();
        let lines: Vec<_> = shown.lines().map(str::trim_end).collect();
        assert_eq!(lines[0], "dead tuples at LSN 1/0, where both were asked:");
        assert!(lines[3].starts_with("orders ") && lines[3].ends_with("17000  yes"), "{shown}");
        assert!(lines[4].ends_with("6  NO  (inexact: unknown blocks)"), "{shown}");
    }

    #[test]
    fn an_answer_with_too_few_columns_is_refused() {
        assert!(Row::parse("orders", "3000|17000").is_err());
    }
}
