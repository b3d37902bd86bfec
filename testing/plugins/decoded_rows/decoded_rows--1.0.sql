/* decoded_rows--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION decoded_rows" to load this file. \quit

CREATE FUNCTION decoded_rows_insert(relation regclass, new_row anyelement, with_origin bool DEFAULT true)
RETURNS void AS 'MODULE_PATHNAME', 'decoded_rows_insert_wrapper' LANGUAGE C STRICT;

CREATE FUNCTION decoded_rows_update(relation regclass, old_row anyelement, new_row anyelement)
RETURNS void AS 'MODULE_PATHNAME', 'decoded_rows_update_wrapper' LANGUAGE C STRICT;

CREATE FUNCTION decoded_rows_delete(relation regclass, old_row anyelement)
RETURNS void AS 'MODULE_PATHNAME', 'decoded_rows_delete_wrapper' LANGUAGE C STRICT;

-- An insertion for each row that lies in the table, as it lies there.
CREATE FUNCTION decoded_rows_insert_all(relation regclass)
RETURNS void AS 'MODULE_PATHNAME', 'decoded_rows_insert_all_wrapper' LANGUAGE C STRICT;

-- A record of an insertion, behind whose table is what is no tuple.
CREATE FUNCTION decoded_rows_insert_bytes(relation regclass, bytes bytea)
RETURNS void AS 'MODULE_PATHNAME', 'decoded_rows_insert_bytes_wrapper' LANGUAGE C STRICT;

CREATE FUNCTION decoded_rows_message(transactional bool, content text, with_origin bool DEFAULT true)
RETURNS void AS 'MODULE_PATHNAME', 'decoded_rows_message_wrapper' LANGUAGE C STRICT;
