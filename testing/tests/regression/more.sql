-- What the regression tests have not.
CREATE TABLE more (id int PRIMARY KEY, n int);
INSERT INTO more SELECT g, 0 FROM generate_series(1, 2000) g;
BEGIN; UPDATE more SET n = 1 WHERE id < 100; CREATE TABLE made (a int); PREPARE TRANSACTION 'one'; COMMIT PREPARED 'one';
BEGIN; DROP TABLE made; PREPARE TRANSACTION 'two'; ROLLBACK PREPARED 'two';
-- A set of one transaction and its own subtransaction.
BEGIN; SELECT count(*) FROM (SELECT FROM more WHERE id < 500 FOR KEY SHARE) s;
SAVEPOINT s; UPDATE more SET n = 2 WHERE id < 500; COMMIT;
SELECT pg_replication_origin_create('elsewhere'), pg_replication_origin_session_setup('elsewhere');
BEGIN; SELECT pg_replication_origin_xact_setup('0/AFFE', '2026-01-02 03:04:05.678901+00');
INSERT INTO more VALUES (5000); COMMIT;
SELECT pg_replication_origin_session_reset();
SELECT pg_replication_origin_advance('elsewhere', '0/BEEF');
SELECT pg_replication_origin_drop('elsewhere');
-- More transactions than a page of the commit log has room for.
DO $$ BEGIN FOR i IN 1..20000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$;
VACUUM FULL pg_class;
CREATE TABLESPACE place LOCATION ''; CREATE TABLE far (a int) TABLESPACE place; INSERT INTO far VALUES (1);
TRUNCATE far; DROP TABLE far; DROP TABLESPACE place;
CREATE DATABASE copied STRATEGY wal_log; CREATE DATABASE copied_files STRATEGY file_copy; DROP DATABASE copied;
SELECT pg_create_restore_point('here'); SELECT pg_switch_wal();
CHECKPOINT;
