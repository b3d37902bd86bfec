/* garbagemap--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION garbagemap" to load this file. \quit

-- Operators are looked up in pg_catalog only: whoever may create some elsewhere must not have them called by others.

-- All functions may be called by everyone, but tell only of the tables that the user owns, and of all to members of
-- pg_stat_scan_tables.

-- One row for each range of garbagemap.summary_size blocks. Numbers are of the known blocks only and NULL if there is
-- none; they hold for the position lsn. inexact says why they are not exact, and is NULL if they are.
CREATE FUNCTION garbage_summary(
    IN relname regclass,
    OUT rangeno int,
    OUT freespace bigint,
    OUT n_tuples bigint,
    OUT n_dead_tuples bigint,
    OUT n_all_visible int,
    OUT n_blocks int,
    OUT known_blocks int,
    OUT lsn pg_lsn,
    OUT inexact text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'garbage_summary_wrapper'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION garbage_summary(regclass) IS 'tuples and dead tuples of each block range, from WAL';

-- garbage_summary and the share of dead tuples.
CREATE FUNCTION gs(
    IN rel regclass,
    OUT rangeno int,
    OUT freespace bigint,
    OUT n_tuples bigint,
    OUT n_dead_tuples bigint,
    OUT n_all_visible int,
    OUT dead_tuple_ratio numeric(15,4),
    OUT n_blocks int,
    OUT known_blocks int,
    OUT lsn pg_lsn,
    OUT inexact text)
RETURNS SETOF record
AS $$
    SELECT rangeno, freespace, n_tuples, n_dead_tuples, n_all_visible,
           (n_dead_tuples::numeric / nullif(n_tuples, 0)::numeric)::numeric(15,4),
           n_blocks, known_blocks, lsn, inexact
    FROM @extschema@.garbage_summary(rel);
$$
LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION gs(regclass) IS 'garbage_summary with the share of dead tuples';

-- The ranges by dead tuples, most first: percent is the share of all dead tuples in this range and those before it.
CREATE FUNCTION gs_rank(
    IN rel regclass,
    OUT rownum int,
    OUT percent_blocks numeric(15,4),
    OUT rangeno int,
    OUT freespace bigint,
    OUT n_tuples bigint,
    OUT n_dead_tuples bigint,
    OUT n_all_visible int,
    OUT dead_tuple_ratio numeric(15,4),
    OUT percent numeric(15,4),
    OUT n_blocks int,
    OUT known_blocks int,
    OUT lsn pg_lsn,
    OUT inexact text)
RETURNS SETOF record
AS $$
    SELECT (row_number() OVER (ORDER BY n_dead_tuples DESC NULLS LAST, rangeno))::int,
           (percent_rank() OVER (ORDER BY n_dead_tuples DESC NULLS LAST) * 100)::numeric(15,4),
           rangeno, freespace, n_tuples, n_dead_tuples, n_all_visible, dead_tuple_ratio,
           round(sum(n_dead_tuples) OVER (ORDER BY n_dead_tuples DESC NULLS LAST)
                 / nullif(sum(n_dead_tuples) OVER (), 0) * 100, 2)::numeric(15,4),
           n_blocks, known_blocks, lsn, inexact
    FROM @extschema@.gs(rel)
    ORDER BY n_dead_tuples DESC NULLS LAST, rangeno;
$$
LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION gs_rank(regclass) IS 'block ranges by dead tuples, most first';

CREATE FUNCTION garbagemap_lsn()
RETURNS pg_lsn
AS 'MODULE_PATHNAME', 'garbagemap_lsn_wrapper'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION garbagemap_lsn() IS 'WAL position that the garbage map has reached';

CREATE FUNCTION garbagemap_wait(target pg_lsn, timeout_ms int DEFAULT 10000)
RETURNS boolean
AS 'MODULE_PATHNAME', 'garbagemap_wait_wrapper'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION garbagemap_wait(pg_lsn, int) IS 'waits until the garbage map has reached a WAL position';

-- One row for each block of the file from the first to the last one asked for, or only for those with dead tuples or dead
-- line pointers. Numbers of blocks that are not known are NULL. Of more than a million blocks each million holds for a
-- position of its own.
CREATE FUNCTION garbage_blocks(
    IN relname regclass,
    IN only_garbage boolean DEFAULT false,
    IN first_block bigint DEFAULT 0,
    IN last_block bigint DEFAULT 4294967294,
    OUT blkno bigint,
    OUT n_tuples int,
    OUT n_dead_tuples int,
    OUT dead_bytes int,
    OUT lp_dead int,
    OUT redirects int,
    OUT freespace int,
    OUT all_visible boolean,
    OUT known boolean,
    OUT lsn pg_lsn)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'garbage_blocks_wrapper'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 100000;

COMMENT ON FUNCTION garbage_blocks(regclass, boolean, bigint, bigint) IS 'tuples and dead tuples of each block, from WAL';

-- What the view garbagemap shows, without names. horizon is the kind of table: what may be removed from shared catalogs, from
-- catalogs and from other tables is not the same.
CREATE FUNCTION garbagemap_tables(
    OUT relid oid,
    OUT horizon text,
    OUT n_blocks bigint,
    OUT known_blocks bigint,
    OUT n_tuples bigint,
    OUT n_dead_tuples bigint,
    OUT dead_bytes bigint,
    OUT n_not_removable bigint,
    OUT lp_dead bigint,
    OUT redirects bigint,
    OUT freespace bigint,
    OUT n_all_visible bigint,
    OUT n_updates bigint,
    OUT n_hot_updates bigint,
    OUT n_dead_since_vacuum bigint,
    OUT n_dead_per_minute double precision,
    OUT last_vacuum timestamptz,
    OUT last_vacuum_lsn pg_lsn,
    OUT exact boolean,
    OUT inexact text,
    OUT lsn pg_lsn)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'garbagemap_tables_wrapper'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION garbagemap_tables() IS 'totals of each table of the database that the user may ask for, from WAL';

-- Who holds back the removal of dead tuples most, for each kind of table: as ComputeXidHorizons() in procarray.c looks at
-- it. Whoever writes or is prepared himself comes before those who only wait for his end; this session comes last.
CREATE FUNCTION garbagemap_horizon(
    OUT horizon text,
    OUT held_back_by text,
    OUT xmin xid,
    OUT xmin_age int)
RETURNS SETOF record
AS $$
    WITH holder (name, xmin, in_database, horizons, rank, since) AS (
        SELECT pg_catalog.format('replication slot "%s"', slot_name), xmin, true, '{shared,catalog,data}'::text[], 1,
               NULL::timestamptz
        FROM pg_catalog.pg_replication_slots
        WHERE wal_status IS DISTINCT FROM 'lost'
        UNION ALL
        SELECT pg_catalog.format('replication slot "%s"', slot_name), catalog_xmin, true, '{shared,catalog}', 1, NULL
        FROM pg_catalog.pg_replication_slots
        WHERE wal_status IS DISTINCT FROM 'lost'
        UNION ALL
        SELECT pg_catalog.format('prepared transaction %L', gid), transaction, database = pg_catalog.current_database(),
               '{shared,catalog,data}', 2, prepared
        FROM pg_catalog.pg_prepared_xacts
        UNION ALL
        -- Of other users' sessions only number, database and transactions are shown to everyone.
        SELECT CASE WHEN sends THEN 'walsender' ELSE coalesce(nullif(backend_type, 'client backend'), 'backend') END
                   || ' ' || pid || coalesce(' (' || CASE WHEN sends THEN application_name ELSE state END || ')', ''),
               CASE WHEN writes THEN backend_xid ELSE backend_xmin END,
               sends OR datname = pg_catalog.current_database(), '{shared,catalog,data}',
               CASE WHEN pid = pg_catalog.pg_backend_pid() THEN 5 WHEN writes THEN 3 ELSE 4 END, xact_start
        FROM (SELECT *, pid IN (SELECT pid FROM pg_catalog.pg_stat_replication) AS sends,
                     backend_xid IS NOT NULL
                     AND (backend_xmin IS NULL OR age(backend_xid) >= age(backend_xmin)) AS writes
              FROM pg_catalog.pg_stat_activity
              WHERE backend_type IS DISTINCT FROM 'parallel worker') AS activity
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum AS vacuum WHERE vacuum.pid = activity.pid)
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots AS slot
                          WHERE slot.active_pid = activity.pid AND slot_type = 'logical')
    )
    SELECT DISTINCT ON (horizon) horizon, name, xmin, age(xmin)
    FROM holder, pg_catalog.unnest(horizons) AS horizon
    WHERE xmin IS NOT NULL AND (in_database OR horizon = 'shared')
    ORDER BY horizon, age(xmin) DESC, rank, since NULLS LAST;
$$
LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION garbagemap_horizon() IS 'who holds back the removal of dead tuples';

-- Each table that the user may ask for: his own, and all for members of pg_stat_scan_tables. Numbers are NULL if nothing is
-- known. Partitioned tables are the sum of the tables below them, and are shown if all of those are.
CREATE VIEW garbagemap AS
WITH RECURSIVE of_table AS MATERIALIZED (
    SELECT * FROM @extschema@.garbagemap_tables()
), held_back AS MATERIALIZED (
    SELECT * FROM @extschema@.garbagemap_horizon()
), below (parent, relid) AS (
    SELECT i.inhparent, i.inhrelid
    FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'p'
    UNION ALL
    SELECT below.parent, i.inhrelid
    FROM below JOIN pg_inherits i ON i.inhparent = below.relid
), partition AS (
    SELECT below.parent, c.oid AS relid, c.relkind = 'r' AND a.amname = 'heap' AS is_heap
    FROM below
         JOIN pg_class c ON c.oid = below.relid AND c.relkind <> 'p'
         LEFT JOIN pg_am a ON a.oid = c.relam
), of_parent AS (
    SELECT p.oid AS relid, max(t.horizon) FILTER (WHERE t.n_not_removable > 0) AS horizon,
           CASE WHEN count(*) FILTER (WHERE is_heap AND t.n_blocks IS NULL) = 0 THEN coalesce(sum(t.n_blocks)::bigint, 0::bigint) END AS n_blocks,
           coalesce(sum(t.known_blocks)::bigint, 0::bigint) AS known_blocks,
           sum(t.n_tuples)::bigint AS n_tuples, sum(t.n_dead_tuples)::bigint AS n_dead_tuples, sum(t.dead_bytes)::bigint AS dead_bytes,
           sum(t.n_not_removable)::bigint AS n_not_removable, sum(t.lp_dead)::bigint AS lp_dead, sum(t.redirects)::bigint AS redirects,
           sum(t.freespace)::bigint AS freespace, sum(t.n_all_visible)::bigint AS n_all_visible, sum(t.n_updates)::bigint AS n_updates,
           sum(t.n_hot_updates)::bigint AS n_hot_updates, sum(t.n_dead_since_vacuum)::bigint AS n_dead_since_vacuum,
           sum(t.n_dead_per_minute)::double precision AS n_dead_per_minute, max(t.last_vacuum) AS last_vacuum,
           max(t.last_vacuum_lsn) AS last_vacuum_lsn,
           coalesce(bool_and(is_heap AND t.exact), true) AS exact,
           coalesce(min(t.inexact), 'not all partitions are stored by access method heap'
                    || CASE WHEN bool_and(is_heap) IS NOT FALSE THEN NULL ELSE '' END) AS inexact,
           min(t.lsn) AS lsn
    FROM pg_class p
         LEFT JOIN partition ON partition.parent = p.oid
         LEFT JOIN of_table t ON t.relid = partition.relid
    WHERE p.relkind = 'p' AND p.relpersistence <> 't'
      AND (pg_has_role(p.relowner, 'USAGE') OR pg_has_role('pg_stat_scan_tables', 'USAGE'))
    GROUP BY p.oid
    HAVING bool_and(NOT is_heap OR t.relid IS NOT NULL) IS NOT FALSE
), counted AS (
    SELECT * FROM of_table
    UNION ALL
    SELECT relid, horizon, n_blocks, known_blocks, n_tuples, n_dead_tuples, dead_bytes, n_not_removable, lp_dead, redirects,
           freespace, n_all_visible, n_updates, n_hot_updates, n_dead_since_vacuum, n_dead_per_minute, last_vacuum,
           last_vacuum_lsn, exact, inexact, lsn
    FROM of_parent
)
SELECT n.nspname AS schemaname,
       c.relname,
       c.oid AS relid,
       c.relkind,
       owner.oid::regclass AS toast_of,
       n_blocks,
       known_blocks,
       n_tuples - n_dead_tuples AS n_live_tuples,
       n_dead_tuples,
       dead_bytes,
       lp_dead,
       (n_dead_tuples::numeric / nullif(n_tuples, 0)::numeric)::numeric(15,4) AS dead_tuple_ratio,
       n_dead_tuples - n_not_removable AS n_removable_tuples,
       ((n_dead_tuples - n_not_removable)::numeric / nullif(n_dead_tuples, 0)::numeric)::numeric(15,4) AS removable_ratio,
       CASE WHEN n_not_removable > 0 THEN held_back_by END AS held_back_by,
       least(n_all_visible::numeric / nullif(known_blocks, 0)::numeric, 1::numeric)::numeric(15,4) AS all_visible_ratio,
       n_updates,
       (n_hot_updates::numeric / nullif(n_updates, 0)::numeric)::numeric(15,4) AS hot_update_ratio,
       n_dead_since_vacuum,
       round(n_dead_per_minute::numeric, 1) AS n_dead_per_minute,
       last_vacuum,
       last_vacuum_lsn,
       freespace,
       exact,
       inexact,
       lsn
FROM counted
     JOIN pg_class c ON c.oid = counted.relid
     JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_class owner ON c.relkind = 't' AND owner.reltoastrelid = c.oid
     LEFT JOIN held_back USING (horizon);

COMMENT ON VIEW garbagemap IS 'dead tuples of each table of the database, from WAL';

GRANT SELECT ON garbagemap TO PUBLIC;
