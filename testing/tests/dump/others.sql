-- Pages of the commit log and of commit timestamps.
CREATE TABLE x (id int);
DO $$ BEGIN FOR i IN 1..33000 LOOP
    BEGIN INSERT INTO x VALUES (i); EXCEPTION WHEN unique_violation THEN NULL; END;
END LOOP; END $$;
-- Sequences, messages, origins.
CREATE SEQUENCE s;
SELECT count(nextval('s')) FROM generate_series(1, 100);
SELECT setval('s', 1000);
ALTER SEQUENCE s RESTART;
SELECT pg_logical_emit_message(true, 'prefix', 'content');
SELECT pg_logical_emit_message(false, 'other', ''::bytea);
SELECT pg_logical_emit_message(false, '', '\x00ff10'::bytea);
SELECT pg_logical_emit_message(true, 'a "quoted" prefix, ä', repeat('long ', 3000));
SELECT pg_replication_origin_create('one'), pg_replication_origin_create('two');
SELECT pg_replication_origin_advance('one', '1/23ABCDE'), pg_replication_origin_advance('two', '0/15');
SELECT pg_replication_origin_drop('one'), pg_replication_origin_drop('two');
-- Page changes of an extension.
CREATE EXTENSION bloom;
CREATE TABLE l (a int, b int);
CREATE INDEX l_bloom ON l USING bloom (a, b);
INSERT INTO l SELECT g, g FROM generate_series(1, 2000) g;
DELETE FROM l WHERE a % 3 = 0;
VACUUM l;
-- Catalogues without an entry in pg_class, tablespaces, databases.
VACUUM FULL pg_class;
REINDEX TABLE pg_class;
VACUUM FULL pg_database;
CREATE TABLESPACE place LOCATION '';
CREATE TABLE far (a int PRIMARY KEY) TABLESPACE place;
INSERT INTO far VALUES (1);
CREATE DATABASE logged STRATEGY wal_log;
CREATE DATABASE copied STRATEGY file_copy;
ALTER DATABASE copied SET TABLESPACE place;
DROP DATABASE logged;
DROP DATABASE copied;
TRUNCATE far;
DROP TABLE far;
DROP TABLESPACE place;
CREATE UNLOGGED TABLE u (a int PRIMARY KEY);
INSERT INTO u VALUES (1);
-- Catalogues rewritten while a slot may still decode by their old versions.
SELECT pg_create_logical_replication_slot('slot', 'test_decoding');
CREATE TABLE made (a int);
ALTER TABLE made ADD b int;
DROP TABLE made;
VACUUM FULL pg_class;
VACUUM FULL pg_attribute;
SELECT pg_drop_replication_slot('slot');
