-- Splits to both sides, posting lists, deduplication.
CREATE TABLE b (id int, n int, filler text);
CREATE UNIQUE INDEX b_id ON b (id);
CREATE INDEX b_n ON b (n);
CREATE INDEX b_filler ON b (filler, id);
CHECKPOINT;
INSERT INTO b SELECT g * 7919 % 8009, g % 10, repeat(md5(g::text), 6) FROM generate_series(1, 8008) g;
INSERT INTO b SELECT g, g % 10, 'x' FROM generate_series(8009, 10000) g;
INSERT INTO b SELECT g, g % 10, 'x' FROM generate_series(-1, -3000, -1) g;
UPDATE b SET n = n + 1 WHERE id % 9 = 0;
-- Entries and posting lists vacuumed, pages deleted and used again.
DELETE FROM b WHERE id % 7 = 3;
VACUUM b;
DELETE FROM b WHERE id BETWEEN 1000 AND 7000;
VACUUM b;
SELECT txid_current();
SELECT txid_current();
VACUUM b;
INSERT INTO b SELECT g, g % 10, repeat(md5(g::text), 6) FROM generate_series(1000, 6000) g;
DELETE FROM b;
VACUUM b;
SELECT txid_current();
VACUUM b;
-- Entries that are known to be dead, and those of many versions of a row.
CREATE TABLE v (id int PRIMARY KEY, n int, m int);
CREATE INDEX v_m ON v (m);
CREATE INDEX v_n ON v (n);
INSERT INTO v SELECT g, 0, g FROM generate_series(1, 600) g;
DO $$ BEGIN FOR i IN 1..25 LOOP UPDATE v SET n = i; COMMIT; END LOOP; END $$;
-- A fast root: the tree stays high where few pages are left.
CREATE TABLE f (id int, filler text);
ALTER TABLE f ALTER filler SET STORAGE PLAIN;
CREATE INDEX f_filler ON f (filler, id);
INSERT INTO f SELECT g, repeat(chr(65 + g % 20), 1500) FROM generate_series(1, 2000) g;
DELETE FROM f;
VACUUM f;
SELECT txid_current();
VACUUM f;
INSERT INTO f SELECT g, repeat('z', 1500) FROM generate_series(1, 200) g;
