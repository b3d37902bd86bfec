CREATE TABLE s (id int, t text, p point);
CREATE INDEX s_t ON s USING spgist (t);
CREATE INDEX s_p ON s USING spgist (p);
CREATE INDEX s_k ON s USING spgist (p kd_point_ops);
INSERT INTO s SELECT g, md5(g::text), point(g * 7919 % 2011, g * 104729 % 2011) FROM generate_series(1, 2000) g;
-- Long common prefixes, which later ones split.
INSERT INTO s SELECT g, 'http://example.org/' || g % 50 || '/' || repeat('x', g % 40) || g, NULL FROM generate_series(1, 2000) g;
INSERT INTO s SELECT g, 'http://example.com/' || g, point(g % 3, g % 5) FROM generate_series(1, 1000) g;
INSERT INTO s SELECT g, NULL, point(1, 1) FROM generate_series(1, 1000) g;
INSERT INTO s SELECT g, chr(32 + g % 90) || chr(32 + g % 80) || 'abcdefgh' || g, point(g, -g) FROM generate_series(1, 2000) g;
DELETE FROM s WHERE id % 3 = 0;
VACUUM s;
SELECT txid_current();
VACUUM s;
INSERT INTO s SELECT g, 'httq' || g, point(g, g) FROM generate_series(1, 500) g;
DELETE FROM s WHERE id > 100;
VACUUM s;
SELECT txid_current();
VACUUM s;
-- A root that is a leaf.
CREATE TABLE r (p point);
CREATE INDEX ON r USING spgist (p);
INSERT INTO r SELECT point(g, g) FROM generate_series(1, 50) g;
DELETE FROM r;
VACUUM r;
