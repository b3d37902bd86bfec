-- Records of every resource manager, a few of each.
CREATE TABLE t (id int, v text, p point, a int[]);
CREATE INDEX ON t USING btree (id);
CREATE INDEX ON t USING hash (id);
CREATE INDEX ON t USING gin (a);
CREATE INDEX ON t USING gist (p);
CREATE INDEX ON t USING spgist (p);
CREATE INDEX ON t USING brin (id);
INSERT INTO t SELECT g, 'x', point(g, g), ARRAY[g % 10] FROM generate_series(1, 2000) g;
DELETE FROM t WHERE id % 3 = 0;
VACUUM t;
-- A row that is locked by a transaction and changed by its subtransaction.
BEGIN;
SELECT id FROM t WHERE id = 1 FOR KEY SHARE;
SAVEPOINT s;
UPDATE t SET v = 'y' WHERE id = 1;
COMMIT;
-- As many transactions as need a new page of pg_xact and of pg_commit_ts.
DO $$ BEGIN FOR i IN 1..33000 LOOP
    BEGIN INSERT INTO t (id) VALUES (i); EXCEPTION WHEN unique_violation THEN NULL; END;
END LOOP; END $$;
CREATE SEQUENCE s;
SELECT count(nextval('s')) FROM generate_series(1, 100);
SELECT pg_logical_emit_message(false, 'prefix', 'content');
SELECT pg_replication_origin_create('one');
SELECT pg_replication_origin_advance('one', '1/23ABCDE');
SELECT pg_replication_origin_drop('one');
VACUUM FULL pg_class;
CREATE TABLESPACE place LOCATION '';
CREATE DATABASE other;
DROP DATABASE other;
DROP TABLESPACE place;
CREATE FUNCTION write_record(text) RETURNS pg_lsn AS 'custom_rmgr' LANGUAGE C;
SELECT count(write_record('content')) FROM generate_series(1, 10);
CHECKPOINT;
