/* bloom_filter--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION bloom_filter" to load this file. \quit

CREATE FUNCTION bloom_filter_handler(internal)
RETURNS index_am_handler
AS 'MODULE_PATHNAME', 'bloom_filter_handler_wrapper'
LANGUAGE C;

CREATE ACCESS METHOD bloom_filter TYPE INDEX HANDLER bloom_filter_handler;

COMMENT ON ACCESS METHOD bloom_filter IS 'signatures of rows, for equality of any of many columns';

-- Function 1 is the extended hash function of the type. timestamptz has none of its own before 18; its values are hashed as those of
-- timestamp, with which they have the bytes in common.

-- Values of different types are compared too, as bigint columns are with constants: these hash functions give the same for what is equal.
CREATE OPERATOR FAMILY integer_ops USING bloom_filter;

CREATE OPERATOR CLASS int2_ops DEFAULT FOR TYPE int2 USING bloom_filter FAMILY integer_ops AS
    OPERATOR 1 pg_catalog.= (int2, int2),
    FUNCTION 1 pg_catalog.hashint2extended(int2, int8);

CREATE OPERATOR CLASS int4_ops DEFAULT FOR TYPE int4 USING bloom_filter FAMILY integer_ops AS
    OPERATOR 1 pg_catalog.= (int4, int4),
    FUNCTION 1 pg_catalog.hashint4extended(int4, int8);

CREATE OPERATOR CLASS int8_ops DEFAULT FOR TYPE int8 USING bloom_filter FAMILY integer_ops AS
    OPERATOR 1 pg_catalog.= (int8, int8),
    FUNCTION 1 pg_catalog.hashint8extended(int8, int8);

ALTER OPERATOR FAMILY integer_ops USING bloom_filter ADD
    OPERATOR 1 pg_catalog.= (int2, int4),
    OPERATOR 1 pg_catalog.= (int2, int8),
    OPERATOR 1 pg_catalog.= (int4, int2),
    OPERATOR 1 pg_catalog.= (int4, int8),
    OPERATOR 1 pg_catalog.= (int8, int2),
    OPERATOR 1 pg_catalog.= (int8, int4);

CREATE OPERATOR FAMILY float_ops USING bloom_filter;

CREATE OPERATOR CLASS float4_ops DEFAULT FOR TYPE float4 USING bloom_filter FAMILY float_ops AS
    OPERATOR 1 pg_catalog.= (float4, float4),
    FUNCTION 1 pg_catalog.hashfloat4extended(float4, int8);

CREATE OPERATOR CLASS float8_ops DEFAULT FOR TYPE float8 USING bloom_filter FAMILY float_ops AS
    OPERATOR 1 pg_catalog.= (float8, float8),
    FUNCTION 1 pg_catalog.hashfloat8extended(float8, int8);

ALTER OPERATOR FAMILY float_ops USING bloom_filter ADD
    OPERATOR 1 pg_catalog.= (float4, float8),
    OPERATOR 1 pg_catalog.= (float8, float4);

CREATE OPERATOR CLASS oid_ops DEFAULT FOR TYPE oid USING bloom_filter AS
    OPERATOR 1 pg_catalog.= (oid, oid),
    FUNCTION 1 pg_catalog.hashoidextended(oid, int8);

CREATE OPERATOR CLASS numeric_ops DEFAULT FOR TYPE numeric USING bloom_filter AS
    OPERATOR 1 pg_catalog.= (numeric, numeric),
    FUNCTION 1 pg_catalog.hash_numeric_extended(numeric, int8);

CREATE OPERATOR CLASS text_ops DEFAULT FOR TYPE text USING bloom_filter AS
    OPERATOR 1 pg_catalog.= (text, text),
    FUNCTION 1 pg_catalog.hashtextextended(text, int8);

CREATE OPERATOR CLASS bpchar_ops DEFAULT FOR TYPE bpchar USING bloom_filter AS
    OPERATOR 1 pg_catalog.= (bpchar, bpchar),
    FUNCTION 1 pg_catalog.hashbpcharextended(bpchar, int8);

CREATE OPERATOR CLASS bytea_ops DEFAULT FOR TYPE bytea USING bloom_filter AS
    OPERATOR 1 pg_catalog.= (bytea, bytea),
    FUNCTION 1 pg_catalog.hashvarlenaextended(internal, int8);

CREATE OPERATOR CLASS uuid_ops DEFAULT FOR TYPE uuid USING bloom_filter AS
    OPERATOR 1 pg_catalog.= (uuid, uuid),
    FUNCTION 1 pg_catalog.uuid_hash_extended(uuid, int8);

CREATE OPERATOR CLASS timestamp_ops DEFAULT FOR TYPE timestamp USING bloom_filter AS
    OPERATOR 1 pg_catalog.= (timestamp, timestamp),
    FUNCTION 1 pg_catalog.timestamp_hash_extended(timestamp, int8);

CREATE OPERATOR CLASS timestamptz_ops DEFAULT FOR TYPE timestamptz USING bloom_filter AS
    OPERATOR 1 pg_catalog.= (timestamptz, timestamptz),
    FUNCTION 1 pg_catalog.timestamp_hash_extended(timestamp, int8);

CREATE OPERATOR CLASS inet_ops DEFAULT FOR TYPE inet USING bloom_filter AS
    OPERATOR 1 pg_catalog.= (inet, inet),
    FUNCTION 1 pg_catalog.hashinetextended(inet, int8);

CREATE OPERATOR CLASS jsonb_ops DEFAULT FOR TYPE jsonb USING bloom_filter AS
    OPERATOR 1 pg_catalog.= (jsonb, jsonb),
    FUNCTION 1 pg_catalog.jsonb_hash_extended(jsonb, int8);
