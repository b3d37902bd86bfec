/* hyperloglog--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION hyperloglog" to load this file. \quit

CREATE FUNCTION hyperloglog_handler(internal)
RETURNS index_am_handler
AS 'MODULE_PATHNAME', 'hyperloglog_handler_wrapper'
LANGUAGE C;

CREATE ACCESS METHOD hyperloglog TYPE INDEX HANDLER hyperloglog_handler;

COMMENT ON ACCESS METHOD hyperloglog IS 'counts distinct values, about';

-- Function 1 is a hash of 64 bits with a seed, which is equal for equal values.

CREATE OPERATOR CLASS int2_ops DEFAULT FOR TYPE int2 USING hyperloglog AS
    FUNCTION 1 hashint2extended(int2, int8);

CREATE OPERATOR CLASS int4_ops DEFAULT FOR TYPE int4 USING hyperloglog AS
    FUNCTION 1 hashint4extended(int4, int8);

CREATE OPERATOR CLASS int8_ops DEFAULT FOR TYPE int8 USING hyperloglog AS
    FUNCTION 1 hashint8extended(int8, int8);

CREATE OPERATOR CLASS float8_ops DEFAULT FOR TYPE float8 USING hyperloglog AS
    FUNCTION 1 hashfloat8extended(float8, int8);

CREATE OPERATOR CLASS numeric_ops DEFAULT FOR TYPE numeric USING hyperloglog AS
    FUNCTION 1 hash_numeric_extended(numeric, int8);

CREATE OPERATOR CLASS oid_ops DEFAULT FOR TYPE oid USING hyperloglog AS
    FUNCTION 1 hashoidextended(oid, int8);

CREATE OPERATOR CLASS text_ops DEFAULT FOR TYPE text USING hyperloglog AS
    FUNCTION 1 hashtextextended(text, int8);

CREATE OPERATOR CLASS bpchar_ops DEFAULT FOR TYPE bpchar USING hyperloglog AS
    FUNCTION 1 hashbpcharextended(bpchar, int8);

CREATE OPERATOR CLASS bytea_ops DEFAULT FOR TYPE bytea USING hyperloglog AS
    FUNCTION 1 hashvarlenaextended(internal, int8);

CREATE OPERATOR CLASS uuid_ops DEFAULT FOR TYPE uuid USING hyperloglog AS
    FUNCTION 1 uuid_hash_extended(uuid, int8);

CREATE OPERATOR CLASS inet_ops DEFAULT FOR TYPE inet USING hyperloglog AS
    FUNCTION 1 hashinetextended(inet, int8);

CREATE OPERATOR CLASS date_ops DEFAULT FOR TYPE date USING hyperloglog AS
    FUNCTION 1 hashint4extended(int4, int8);

CREATE OPERATOR CLASS timestamp_ops DEFAULT FOR TYPE timestamp USING hyperloglog AS
    FUNCTION 1 timestamp_hash_extended(timestamp, int8);

CREATE OPERATOR CLASS timestamptz_ops DEFAULT FOR TYPE timestamptz USING hyperloglog AS
    FUNCTION 1 timestamp_hash_extended(timestamp, int8);

-- What follows may be called by the index's owner; what changes nothing by members of pg_stat_scan_tables too.

CREATE FUNCTION hyperloglog_count(index regclass, column_number int DEFAULT 1)
RETURNS double precision
AS 'MODULE_PATHNAME', 'hyperloglog_count_wrapper'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION hyperloglog_count(regclass, int) IS 'about how many distinct values an index''s column ever had';

CREATE FUNCTION hyperloglog_registers(index regclass, column_number int DEFAULT 1)
RETURNS bytea
AS 'MODULE_PATHNAME', 'hyperloglog_registers_wrapper'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION hyperloglog_registers(regclass, int) IS 'registers of the sketch of an index''s column';

CREATE FUNCTION hyperloglog_merge(index regclass, column_number int, registers bytea)
RETURNS void
AS 'MODULE_PATHNAME', 'hyperloglog_merge_wrapper'
LANGUAGE C VOLATILE STRICT;

COMMENT ON FUNCTION hyperloglog_merge(regclass, int, bytea) IS 'take in what another sketch of the same precision has counted';

CREATE FUNCTION hyperloglog_reset(index regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'hyperloglog_reset_wrapper'
LANGUAGE C VOLATILE STRICT;

COMMENT ON FUNCTION hyperloglog_reset(regclass) IS 'begin to count anew, as if no row had ever been';
