//! A table with a Bloom-filter index, random rows, and a look whether the index finds what the table holds.

use anyhow::{Result, ensure};
use walker_testing::{Cluster, ClusterBuilder, Installation};

pub(crate) const DATABASE: &str = "postgres";

/// A table with columns of several types and some NULLs, a function that fills it, and one that compares.
///
/// `differences(number)` asks for as many rows, by a random choice of their columns, once by the index and once not; and for values
/// that there are not. It returns the conditions whose answers differ.
pub(crate) const SETUP: &str = "
    CREATE EXTENSION bloom_filter;
    CREATE TABLE t (id int8, a int4, b int8, c text, d uuid, e timestamptz) WITH (autovacuum_enabled = off);
    CREATE INDEX t_filter ON t USING bloom_filter (a, b, c, d, e) WITH (length = 120, col1 = 3, col3 = 4);
    CREATE SEQUENCE ids;
    CREATE FUNCTION fill(number int) RETURNS void LANGUAGE sql AS $$
        INSERT INTO t SELECT nextval('ids'), (random() * 1000)::int, nullif((random() * 50)::int8, 7),
            CASE WHEN random() < 0.9 THEN md5((random() * 1000)::int::text) END,
            md5((random() * 500)::int::text)::uuid, '2020-01-01'::timestamptz + (random() * 300)::int * '1 hour'::interval
        FROM generate_series(1, number) $$;
    CREATE FUNCTION answer(condition text, by_index bool) RETURNS text LANGUAGE plpgsql
        SET max_parallel_workers_per_gather = 0 AS $$
    DECLARE answer text; line text; plan text := '';
    BEGIN
        PERFORM set_config('enable_seqscan', (NOT by_index)::text, true), set_config('enable_bitmapscan', by_index::text, true);
        FOR line IN EXECUTE 'EXPLAIN SELECT FROM t WHERE ' || condition LOOP plan := plan || line; END LOOP;
        IF plan LIKE '%Bitmap Index Scan on t_filter%' IS DISTINCT FROM by_index THEN RAISE 'another plan: %', plan; END IF;
        EXECUTE 'SELECT count(*) || '' '' || coalesce(sum(id), 0) FROM t WHERE ' || condition INTO answer;
        RETURN answer;
    END $$;
    CREATE FUNCTION differences(number int) RETURNS SETOF text LANGUAGE plpgsql AS $$
    DECLARE sample t; condition text; by_index text; by_table text; found int := 0;
    BEGIN
        FOR sample IN SELECT * FROM t ORDER BY random() LIMIT number LOOP
            condition := concat_ws(' AND ', 'true',
                CASE WHEN random() < 0.5 THEN 'a = ' || sample.a END, CASE WHEN random() < 0.3 THEN 'b = ' || sample.b END,
                CASE WHEN random() < 0.3 THEN format('c = %L', sample.c) END,
                CASE WHEN random() < 0.3 THEN format('d = %L', sample.d) END,
                CASE WHEN random() < 0.3 THEN format('e = %L', sample.e) END);
            CONTINUE WHEN condition = 'true' OR condition LIKE '%NULL%';
            IF random() < 0.1 THEN condition := format('a = -1 AND e = %L', sample.e); END IF;
            by_index := answer(condition, true);
            by_table := answer(condition, false);
            found := found + 1;
            IF by_index <> by_table THEN RETURN NEXT concat_ws(' | ', condition, by_index, by_table); END IF;
        END LOOP;
        IF found < number / 3 THEN RETURN NEXT 'only ' || found || ' conditions'; END IF;
    END $$;";

/// How a server for it is to be.
pub(crate) fn builder() -> Result<ClusterBuilder> {
    Ok(Cluster::builder(&Installation::for_tests()?).setting("autovacuum", "off").setting("lock_timeout", "30s"))
}

/// An error if some of 60 conditions have another answer by the index than without.
pub(crate) fn assert_index_right(cluster: &Cluster) -> Result<()> {
    let differences = cluster.psql(DATABASE, "SELECT * FROM differences(60)")?;
    ensure!(differences.is_empty(), "condition | by the index | by the table\n{differences}");
    Ok(())
}
