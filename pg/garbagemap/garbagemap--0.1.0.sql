/* garbagemap--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION garbagemap" to load this file. \quit

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
           (n_dead_tuples::numeric / nullif(n_tuples, 0))::numeric(15,4),
           n_blocks, known_blocks, lsn, inexact
    FROM @extschema@.garbage_summary(rel);
$$
LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED;

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
LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED;

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

-- The same rights as for pgstattuple: they tell about tables that one may not read.
REVOKE EXECUTE ON FUNCTION garbage_summary(regclass) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION gs(regclass) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION gs_rank(regclass) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION garbagemap_lsn() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION garbagemap_wait(pg_lsn, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION garbagemap_lsn() TO pg_stat_scan_tables;
GRANT EXECUTE ON FUNCTION garbagemap_wait(pg_lsn, int) TO pg_stat_scan_tables;
GRANT EXECUTE ON FUNCTION garbage_summary(regclass) TO pg_stat_scan_tables;
GRANT EXECUTE ON FUNCTION gs(regclass) TO pg_stat_scan_tables;
GRANT EXECUTE ON FUNCTION gs_rank(regclass) TO pg_stat_scan_tables;
