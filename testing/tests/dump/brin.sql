CREATE TABLE b (id int, t text) WITH (fillfactor = 10);
CREATE INDEX b_id ON b USING brin (id) WITH (pages_per_range = 1);
CREATE INDEX b_t ON b USING brin (t) WITH (pages_per_range = 1);
INSERT INTO b SELECT g, repeat(md5(g::text), 5) FROM generate_series(1, 7000) g;
SELECT brin_summarize_new_values('b_id'), brin_summarize_new_values('b_t');
-- Longer entries move to other pages.
UPDATE b SET id = -id, t = repeat(md5(id::text), 30) WHERE id % 20 = 0;
VACUUM b;
SELECT brin_desummarize_range('b_id', g) FROM generate_series(0, 100) g;
SELECT brin_summarize_range('b_id', 5);
