-- With and without a list of entries not sorted in yet.
CREATE TABLE g (id int, a int[]);
CREATE INDEX g_fast ON g USING gin (a) WITH (fastupdate = on, gin_pending_list_limit = 64);
CREATE INDEX g_slow ON g USING gin (a) WITH (fastupdate = off);
INSERT INTO g SELECT n, ARRAY[1, 2, n % 100, n] FROM generate_series(1, 5000) n;
SELECT gin_clean_pending_list('g_fast');
-- Posting trees that split, shrink and lose pages.
INSERT INTO g SELECT n, ARRAY[1, 2, n % 7] FROM generate_series(1, 12000) n;
DELETE FROM g WHERE id % 5 = 0;
VACUUM g;
INSERT INTO g SELECT n, ARRAY[1, 3] FROM generate_series(1, 15000) n;
VACUUM g;
CHECKPOINT;
INSERT INTO g SELECT n, ARRAY[1, 3] FROM generate_series(1, 300) n;
DELETE FROM g WHERE a @> ARRAY[3];
VACUUM g;
DELETE FROM g;
VACUUM g;
INSERT INTO g SELECT n, ARRAY[1, 3] FROM generate_series(1, 500) n;
-- Images for verification.
SET wal_consistency_checking = 'gin';
INSERT INTO g SELECT n, ARRAY[1, 3, n] FROM generate_series(1, 500) n;
VACUUM g;
