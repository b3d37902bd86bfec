CREATE TABLE g (id int, p point);
CREATE INDEX g_p ON g USING gist (p);
INSERT INTO g SELECT n, point(n * 7919 % 20011, n * 104729 % 20011) FROM generate_series(1, 8000) n;
CREATE INDEX g_buffered ON g USING gist (p) WITH (buffering = on);
INSERT INTO g SELECT n, point(n, n) FROM generate_series(1, 2000) n;
-- Pages deleted and used again.
DELETE FROM g WHERE p[0] < 15000;
VACUUM g;
SELECT txid_current();
SELECT txid_current();
VACUUM g;
INSERT INTO g SELECT n, point(n, n) FROM generate_series(1, 6000) n;
-- Entries that are known to be dead.
SET enable_seqscan = off;
SET enable_bitmapscan = off;
DELETE FROM g WHERE p <@ box '((0,0),(200,200))';
SELECT count(*) FROM g WHERE p <@ box '((0,0),(200,200))';
SELECT count(*) FROM g WHERE p <@ box '((0,0),(200,200))';
INSERT INTO g SELECT n, point(n % 200, n % 200) FROM generate_series(1, 2000) n;
