-- Buckets split as the index grows.
CREATE TABLE h (id int, n int);
CREATE INDEX h_id ON h USING hash (id) WITH (fillfactor = 10);
INSERT INTO h SELECT g, g FROM generate_series(1, 4000) g;
-- Overflow pages, squeezed together again.
INSERT INTO h SELECT 5, 7 FROM generate_series(1, 3000) g;
DELETE FROM h WHERE id = 5 AND n = 7 AND ctid >= '(25,0)';
VACUUM h;
INSERT INTO h SELECT 5, g FROM generate_series(1, 4000) g;
DELETE FROM h WHERE id = 5 AND n % 5 < 3;
VACUUM h;
DELETE FROM h WHERE id % 3 = 0;
VACUUM h;
INSERT INTO h SELECT g, g FROM generate_series(20000, 22000) g;
-- Entries that are known to be dead.
CREATE TABLE d (id int);
CREATE INDEX d_id ON d USING hash (id);
INSERT INTO d SELECT 1 FROM generate_series(1, 400);
DELETE FROM d;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM d WHERE id = 1;
SELECT count(*) FROM d WHERE id = 1;
INSERT INTO d SELECT 1 FROM generate_series(1, 500);
