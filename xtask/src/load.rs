//! A load that leaves garbage of every kind, in places that make an interesting picture.

use anyhow::Result;
use walker_testing::Cluster;

/// The database that the load runs in.
pub(crate) const DATABASE: &str = "postgres";

/// The tables that it fills. The first is the one that is drawn.
pub(crate) const TABLES: [&str; 6] =
    ["orders", "visits", "queue", "pgbench_accounts", "pgbench_tellers", "pgbench_branches"];

/// In the order in which they run. Nothing is random, so that a demo shows the same each time.
const SCRIPTS: [(&str, &str); 7] = [
    (
        "200,000 orders, the newest last",
        "CREATE TABLE orders (id bigint PRIMARY KEY, placed_at timestamptz NOT NULL, state text NOT NULL, note text)
             WITH (fillfactor = 90);
         CREATE INDEX ON orders (state);
         INSERT INTO orders
             SELECT id, timestamptz '2026-01-01' + id * interval '1 minute', 'new', repeat('x', 60)
             FROM generate_series(1, 200000) AS id;",
    ),
    (
        "old orders deleted: some months as a whole, others in part",
        "DELETE FROM orders WHERE id BETWEEN 20001 AND 32000;
         DELETE FROM orders WHERE id BETWEEN 60001 AND 90000 AND id % 3 = 0;
         DELETE FROM orders WHERE id BETWEEN 100001 AND 104000 AND id % 10 <> 0;",
    ),
    (
        "recent orders updated, the more recent the more often",
        // By a column that is indexed: not HOT.
        "UPDATE orders SET state = 'paid' WHERE id > 140000 AND id * 7919 % 60000 < (id - 140000);
         UPDATE orders SET state = 'shipped' WHERE id > 170000 AND id * 104729 % 30000 < (id - 170000);
         -- By one that is not: HOT, as long as the page has room.
         UPDATE orders SET note = 'gift' WHERE id BETWEEN 40001 AND 60000 AND id % 20 = 0;
         UPDATE orders SET note = 'fragile' WHERE id > 195000;",
    ),
    (
        "a bulk insert of 25,000 orders rolled back",
        "BEGIN;
         INSERT INTO orders SELECT id, now(), 'import', repeat('y', 60) FROM generate_series(200001, 225000) AS id;
         ROLLBACK;",
    ),
    (
        "a transaction that rolls back to a savepoint",
        "BEGIN;
         DELETE FROM orders WHERE id BETWEEN 120001 AND 122000;
         SAVEPOINT before_the_mistake;
         DELETE FROM orders WHERE id BETWEEN 122001 AND 130000;
         INSERT INTO orders SELECT id, now(), 'mistake', NULL FROM generate_series(300001, 303000) AS id;
         ROLLBACK TO before_the_mistake;
         INSERT INTO orders SELECT id, now(), 'new', NULL FROM generate_series(300001, 301000) AS id;
         COMMIT;",
    ),
    (
        "visits, vacuumed once, with new garbage since",
        "CREATE TABLE visits (id bigint PRIMARY KEY, page text);
         INSERT INTO visits SELECT id, 'page ' || id % 100 FROM generate_series(1, 100000) AS id;
         DELETE FROM visits WHERE id <= 30000;
         VACUUM visits;
         INSERT INTO visits SELECT id, 'page ' || id % 100 FROM generate_series(100001, 110000) AS id;
         DELETE FROM visits WHERE id BETWEEN 50001 AND 110000 AND id % 4 = 0;",
    ),
    (
        "a queue that is filled and emptied",
        "CREATE TABLE queue (id bigint PRIMARY KEY, job text);
         INSERT INTO queue SELECT id, 'job' FROM generate_series(1, 20000) AS id;
         DELETE FROM queue WHERE id <= 19000;
         INSERT INTO queue SELECT id, 'job' FROM generate_series(20001, 30000) AS id;
         DELETE FROM queue WHERE id <= 29900;",
    ),
];

/// Runs it, telling each step on stderr.
pub(crate) fn run(cluster: &Cluster) -> Result<()> {
    eprintln!("    pgbench: bank accounts, then 4,000 transactions of two clients");
    cluster.pgbench(["--initialize", "--scale=2", "--quiet"])?;
    cluster.pgbench(["--client=2", "--transactions=2000", "--random-seed=1"])?;
    run_scripts(cluster)
}

/// What of it is the same each time, to the last tuple.
pub(crate) fn run_scripts(cluster: &Cluster) -> Result<()> {
    for (description, script) in SCRIPTS {
        eprintln!("    {description}");
        cluster.psql(DATABASE, script)?;
    }
    Ok(())
}
