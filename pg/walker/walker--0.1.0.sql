/* walker--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION walker" to load this file. \quit

CREATE FUNCTION walker_ask(plugin text, question text DEFAULT '', timeout_ms int DEFAULT 10000)
RETURNS text
AS 'MODULE_PATHNAME', 'walker_ask_text_wrapper'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION walker_ask(text, text, int) IS 'puts a question to a plugin of the walker';

REVOKE EXECUTE ON FUNCTION walker_ask(text, text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION walker_ask(text, text, int) TO pg_monitor;

-- Statistics of the worker: of each plugin, and of each resource manager. They are counted in shared memory, and live as
-- long as the server.

CREATE FUNCTION pg_stat_get_walker(
    OUT plugin text,
    OUT pid int,
    OUT state text,
    OUT received_lsn pg_lsn,
    OUT applied_lsn pg_lsn,
    OUT flushed_lsn pg_lsn,
    OUT lag_bytes bigint,
    OUT lag interval,
    OUT records bigint,
    OUT bytes bigint,
    OUT records_per_second double precision,
    OUT total_time double precision,
    OUT failures bigint,
    OUT last_error text,
    OUT last_error_time timestamptz,
    OUT retry_time timestamptz,
    OUT wal_kept boolean,
    OUT stats_reset timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pg_stat_get_walker_wrapper'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 4;

COMMENT ON FUNCTION pg_stat_get_walker() IS 'statistics: plugins of the walker';

CREATE FUNCTION pg_stat_get_walker_rmgr(
    OUT rm_id int,
    OUT rm_name text,
    OUT records bigint,
    OUT bytes bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pg_stat_get_walker_rmgr_wrapper'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 22;

COMMENT ON FUNCTION pg_stat_get_walker_rmgr() IS 'statistics: records that the walker read, by resource manager';

CREATE FUNCTION pg_stat_walker_reset()
RETURNS void
AS 'MODULE_PATHNAME', 'pg_stat_walker_reset_wrapper'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION pg_stat_walker_reset() IS 'statistics: begin anew those of pg_stat_walker and pg_stat_walker_rmgr';

CREATE VIEW pg_stat_walker AS
SELECT w.plugin,
       w.pid,
       w.state,
       w.received_lsn,
       w.applied_lsn,
       w.flushed_lsn,
       w.lag_bytes,
       w.lag,
       w.records,
       w.bytes,
       w.records_per_second,
       w.total_time,
       w.failures,
       w.last_error,
       w.last_error_time,
       w.retry_time,
       w.wal_kept,
       w.stats_reset
FROM pg_stat_get_walker() w;

COMMENT ON VIEW pg_stat_walker IS 'plugins of the walker, in their order';

CREATE VIEW pg_stat_walker_rmgr AS
SELECT r.rm_id,
       r.rm_name,
       r.records,
       r.bytes
FROM pg_stat_get_walker_rmgr() r;

COMMENT ON VIEW pg_stat_walker_rmgr IS 'records that the walker read, by resource manager';

-- As of pg_stat_reset(), only superusers may call the reset unless somebody is granted it.
REVOKE EXECUTE ON FUNCTION pg_stat_get_walker(), pg_stat_get_walker_rmgr(), pg_stat_walker_reset() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pg_stat_get_walker(), pg_stat_get_walker_rmgr() TO pg_monitor;
GRANT SELECT ON pg_stat_walker, pg_stat_walker_rmgr TO pg_monitor;

CREATE FUNCTION walker_drop_slot()
RETURNS void
AS 'MODULE_PATHNAME', 'walker_drop_slot_wrapper'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION walker_drop_slot() IS
    'drops the replication slot of the walker, which makes it anew after a reload of the configuration or a restart';

REVOKE EXECUTE ON FUNCTION walker_drop_slot() FROM PUBLIC;
