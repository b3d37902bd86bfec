//! The logs that are read.

use anyhow::Result;
use walker_testing::Cluster;

const DATABASE: &str = "postgres";

/// What the server does while its log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Load {
    /// pgbench's own transactions, without full-page writes
    #[value(name = "tpc-b")]
    TpcB,
    /// Tables with all types of indexes, two-phase commits, savepoints, DDL
    Mixed,
    /// Mostly full-page images
    Images,
}

impl Load {
    pub(crate) const ALL: [Self; 3] = [Self::TpcB, Self::Mixed, Self::Images];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::TpcB => "tpc-b",
            Self::Mixed => "mixed",
            Self::Images => "images",
        }
    }

    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::TpcB => "TPC-B by pgbench, full_page_writes off",
            Self::Mixed => "all types of indexes, two-phase commits, savepoints, DDL",
            Self::Images => "updates after checkpoints: mostly full-page images",
        }
    }

    pub(crate) fn settings(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let full_page_writes = if self == Self::TpcB { "off" } else { "on" };
        [
            ("full_page_writes", full_page_writes),
            ("autovacuum", "off"),
            ("synchronous_commit", "off"),
            ("max_prepared_transactions", "10"),
            ("track_commit_timestamp", "on"),
            ("wal_keep_size", "10GB"),
            ("max_wal_size", "10GB"),
            ("checkpoint_timeout", "1h"),
        ]
        .into_iter()
    }

    /// Makes the tables.
    pub(crate) fn prepare(self, cluster: &Cluster) -> Result<()> {
        cluster.pgbench(["--initialize", "--scale=10", "--quiet"])?;
        if self == Self::Mixed {
            cluster.psql(DATABASE, TABLES)?;
        }
        Ok(())
    }

    /// Runs it, or about a tenth of it.
    pub(crate) fn run(self, cluster: &Cluster, quick: bool) -> Result<()> {
        match self {
            Self::TpcB => {
                let transactions = if quick { 15_000 } else { 150_000 };
                let transactions = format!("--transactions={transactions}");
                cluster.pgbench(["--client=4", &transactions, "--no-vacuum"])?;
            }
            Self::Mixed => {
                for _ in 0..if quick { 2 } else { 12 } {
                    cluster.psql(DATABASE, CHANGES)?;
                }
            }
            Self::Images => {
                for _ in 0..if quick { 2 } else { 8 } {
                    cluster
                        .psql(DATABASE, "CHECKPOINT; UPDATE pgbench_accounts SET abalance = 1 WHERE aid % 61 = 0")?;
                }
            }
        }
        Ok(())
    }
}

const TABLES: &str = "
    CREATE TABLE items (id int PRIMARY KEY, words tsvector, place point, range int4range, day int, name text);
    CREATE INDEX ON items USING hash (name);
    CREATE INDEX ON items USING gin (words);
    CREATE INDEX ON items USING gist (range);
    CREATE INDEX ON items USING spgist (place);
    CREATE INDEX ON items USING brin (day) WITH (pages_per_range = 4, autosummarize = off);
    CREATE SEQUENCE numbers;";

const CHANGES: &str = "
    INSERT INTO items SELECT n, to_tsvector('simple', 'word' || n % 500 || ' other' || n % 77), point(n % 1000, n % 777),
            int4range(n % 1000, n % 1000 + 10), n / 100, 'name ' || n
        FROM (SELECT nextval('numbers')::int AS n FROM generate_series(1, 20000)) AS s;
    UPDATE items SET name = name || '!' WHERE id % 5 = 0;
    UPDATE items SET day = day + 1 WHERE id % 7 = 0;
    BEGIN; DELETE FROM items WHERE id % 11 = 0; SAVEPOINT s; DELETE FROM items WHERE id % 13 = 0; ROLLBACK TO s; COMMIT;
    BEGIN; UPDATE items SET day = 0 WHERE id % 17 = 0; PREPARE TRANSACTION 'two phases'; COMMIT PREPARED 'two phases';
    BEGIN; UPDATE items SET day = 1 WHERE id % 19 = 0; ROLLBACK;
    VACUUM items; SELECT brin_summarize_new_values('items_day_idx');
    CREATE TABLE made AS SELECT * FROM items WHERE id % 10 = 0; CREATE INDEX ON made (day, name); DROP TABLE made;
    SELECT count(pg_logical_emit_message(false, 'bench', 'a message')) FROM generate_series(1, 1000);";
