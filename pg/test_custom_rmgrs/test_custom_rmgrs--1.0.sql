/* test_custom_rmgrs--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION test_custom_rmgrs" to load this file. \quit

CREATE FUNCTION test_custom_rmgrs_insert_wal_record(payload text)
RETURNS pg_lsn
AS 'MODULE_PATHNAME', 'test_custom_rmgrs_insert_wal_record_wrapper'
LANGUAGE C STRICT;
