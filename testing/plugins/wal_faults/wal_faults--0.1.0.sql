/* wal_faults--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION wal_faults" to load this file. \quit

CREATE FUNCTION wal_faults_make(regclass, int) RETURNS void
AS 'MODULE_PATHNAME', 'wal_faults_make_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_page(regclass, int) RETURNS bytea
AS 'MODULE_PATHNAME', 'wal_faults_page_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_blocks(regclass) RETURNS int
AS 'MODULE_PATHNAME', 'wal_faults_blocks_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_counters(regclass) RETURNS text
AS 'MODULE_PATHNAME', 'wal_faults_counters_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_try_lock(regclass, int) RETURNS bool
AS 'MODULE_PATHNAME', 'wal_faults_try_lock_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_counts() RETURNS text
AS 'MODULE_PATHNAME', 'wal_faults_counts_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_read(regclass, int, bigint) RETURNS void
AS 'MODULE_PATHNAME', 'wal_faults_read_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_add(regclass, int[], bigint, text DEFAULT '', text DEFAULT '') RETURNS text
AS 'MODULE_PATHNAME', 'wal_faults_add_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_remake(regclass, int, bigint) RETURNS text
AS 'MODULE_PATHNAME', 'wal_faults_remake_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_message(text) RETURNS text
AS 'MODULE_PATHNAME', 'wal_faults_message_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_hold(regclass, int, int) RETURNS void
AS 'MODULE_PATHNAME', 'wal_faults_hold_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_swallow(regclass, int, text, text, text) RETURNS text
AS 'MODULE_PATHNAME', 'wal_faults_swallow_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_swallow_while_locked(regclass, int[], text, text) RETURNS text
AS 'MODULE_PATHNAME', 'wal_faults_swallow_while_locked_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_outlive_subtransaction(regclass, int) RETURNS text
AS 'MODULE_PATHNAME', 'wal_faults_outlive_subtransaction_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_limit(regclass, regclass, text) RETURNS text
AS 'MODULE_PATHNAME', 'wal_faults_limit_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_generic(regclass, int[], bigint, text DEFAULT '', text DEFAULT '') RETURNS text
AS 'MODULE_PATHNAME', 'wal_faults_generic_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_generic_of_two(regclass, regclass, int) RETURNS text
AS 'MODULE_PATHNAME', 'wal_faults_generic_of_two_wrapper' LANGUAGE C VOLATILE STRICT;

CREATE FUNCTION wal_faults_random(regclass, bigint, bigint, int, bool) RETURNS void
AS 'MODULE_PATHNAME', 'wal_faults_random_wrapper' LANGUAGE C VOLATILE STRICT;

