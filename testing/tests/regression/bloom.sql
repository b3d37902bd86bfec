-- Generic records.
CREATE EXTENSION bloom;
CREATE TABLE flowers AS SELECT g AS a, g % 17 AS b, g % 5 AS c FROM generate_series(1, 3000) g;
CREATE INDEX ON flowers USING bloom (a, b, c);
INSERT INTO flowers SELECT g, g % 17, g % 5 FROM generate_series(3001, 6000) g;
DELETE FROM flowers WHERE a % 3 = 0;
VACUUM flowers;
DROP TABLE flowers;
