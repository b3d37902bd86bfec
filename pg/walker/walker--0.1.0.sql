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
