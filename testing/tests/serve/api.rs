//! The API against the views, pgstattuple and its own description.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use walker_testing::poll;

use super::{DATABASE, TIMEOUT, cluster, serve, table, validate};

#[test]
fn the_api_tells_what_the_views_say_as_its_schema_says() -> Result<()> {
    let cluster = cluster()?;
    let served = serve(&cluster, &[])?;
    let description = served.json("schema.json")?;
    assert_eq!(description["openapi"], "3.1.0");

    // Each number of the view, for each table.
    let compare = |json: &Value| {
        cluster.psql(
            DATABASE,
            &format!(
                "SELECT count(*) > 5 AND bool_and(
                     (t->>'dead_tuples')::bigint IS NOT DISTINCT FROM n_dead_tuples
                     AND (t->>'live_tuples')::bigint IS NOT DISTINCT FROM n_live_tuples
                     AND (t->>'dead_bytes')::bigint IS NOT DISTINCT FROM dead_bytes
                     AND (t->>'blocks')::bigint IS NOT DISTINCT FROM n_blocks
                     AND (t->>'removable_tuples')::bigint IS NOT DISTINCT FROM n_removable_tuples
                     AND (t->>'free_bytes')::bigint IS NOT DISTINCT FROM freespace
                     AND (t->>'exact')::bool IS NOT DISTINCT FROM exact
                     AND t->>'name' = format('%I.%I', schemaname, relname))
                 FROM garbagemap LEFT JOIN json_array_elements($json${json}$json$::json->'tables') t ON (t->>'id')::oid = relid
                 WHERE relkind <> 'p' AND schemaname IN ('public', 'pg_toast') AND relid >= 16384"
            ),
        )
    };
    let observation = served.json("observation")?;
    validate(&description, "Observation", &observation)?;
    let is_equal = poll(TIMEOUT, || {
        Ok(Some(()).filter(|()| compare(&served.json("observation").unwrap()).is_ok_and(|equal| equal == "t")))
    })?;
    ensure!(is_equal.is_some(), "{observation:#}");
    assert_eq!(observation["plugins"][0]["name"], "garbagemap");
    ensure!(observation["trouble"].is_null(), "{observation:#}");
    let quoted =
        cluster.psql(DATABASE, "SELECT format('%I.%I', 'public', relname) FROM pg_class WHERE relname LIKE '<img%'")?;
    assert_eq!(table(&observation, &quoted)?["dead_tuples"], 400);

    // The heat map: cells of one block are the rows of garbage_blocks, larger ones their sums, and all of them what
    // pgstattuple counts.
    let id = table(&observation, "public.orders")?["id"].to_string();
    let rows =
        cluster.psql(DATABASE, "SELECT coalesce(json_agg(b ORDER BY blkno), '[]') FROM garbage_blocks('orders') b")?;
    let rows: Vec<Value> = serde_json::from_str(&rows)?;
    let of = |rows: &[Value], field: &str| rows.iter().map(|row| row[field].as_i64().unwrap_or(0)).sum::<i64>();
    for query in ["cells=4096", "cells=100", "from=100&to=900&cells=64", "from=333&to=334", "from=3000&to=99999"] {
        let map = served.json(&format!("tables/{id}/heatmap?{query}"))?;
        validate(&description, "HeatMap", &map)?;
        let first = usize::try_from(map["from"].as_u64().context("from")?)?;
        let size = usize::try_from(map["blocks_per_cell"].as_u64().context("size")?)?;
        let part = &rows[first..usize::try_from(map["to"].as_u64().context("to")?)?];
        let cells = map["cells"].as_array().context("no cells")?;
        assert_eq!(cells.len(), part.len().div_ceil(size), "{query}");
        for (cell, rows) in cells.iter().zip(part.chunks(size)) {
            assert_eq!(cell["first_block"], rows[0]["blkno"], "{query}");
            assert_eq!(cell["known_blocks"], rows.len(), "{query}");
            for (field, column) in [
                ("tuples", "n_tuples"),
                ("dead_tuples", "n_dead_tuples"),
                ("dead_bytes", "dead_bytes"),
                ("free_bytes", "freespace"),
            ] {
                assert_eq!(cell[field], of(rows, column), "{query} {field} {cell}");
            }
        }
    }
    let whole = served.json("tables/public/orders/heatmap")?;
    let dead = of(whole["cells"].as_array().context("no cells")?, "dead_tuples");
    let found = cluster.psql(DATABASE, "SELECT dead_tuple_count FROM pgstattuple('orders')")?;
    ensure!(dead.to_string() == found && dead > 5000, "{dead} and {found}");
    let blocks = served.json(&format!("tables/{id}/blocks?from=333&to=336"))?;
    validate(&description, "Blocks", &blocks)?;
    for (block, row) in blocks["blocks"].as_array().context("no blocks")?.iter().zip(&rows[333..336]) {
        for (field, column) in [
            ("block", "blkno"),
            ("dead_tuples", "n_dead_tuples"),
            ("lp_dead", "lp_dead"),
            ("redirects", "redirects"),
            ("all_visible", "all_visible"),
        ] {
            assert_eq!(block[field], row[column], "{field}");
        }
    }
    assert_eq!(served.json("tables/public/empty/heatmap")?["cells"], Value::Array(Vec::new()));
    let unlogged = served.json("tables/public/unlogged/heatmap")?;
    ensure!(unlogged["cells"][0]["known_blocks"] == 0 && unlogged["cells"][0]["dead_tuples"].is_null(), "{unlogged}");

    let history = served.wait_for(&format!("history?table={id}"), |told| {
        told["times"].as_array().is_some_and(|times| times.len() > 2)
    })?;
    validate(&description, "History", &history)?;
    assert_eq!(history["table"]["dead_bytes"][0], table(&observation, "public.orders")?["dead_bytes"]);
    cluster.psql(DATABASE, "INSERT INTO parts SELECT generate_series(1, 20000)")?;
    let heap = |told: &Value| {
        let rmgrs = told["resource_managers"].as_array().into_iter().flatten();
        rmgrs
            .filter(|rmgr| rmgr["name"] == "Heap")
            .flat_map(|rmgr| rmgr["bytes_per_second"].as_array().into_iter().flatten())
            .filter_map(Value::as_f64)
            .fold(0.0, f64::max)
    };
    served.wait_for("history", |told| heap(told) > 100_000.0)?;

    for (path, status) in [
        ("/api/v1/nothing", 404),
        ("/api/v1/tables/1/heatmap", 404),
        ("/api/v1/tables/public/none/heatmap", 404),
        ("/api/v1/tables/none/heatmap", 400),
        ("/api/v1/tables/1/heatmap?cells=0", 400),
        ("/api/v1/tables/1/heatmap?cells=5000", 400),
        ("/api/v1/tables/1/heatmap?from=2&to=1", 400),
        ("/api/v1/tables/1/heatmap?from=-1", 400),
        ("/api/v1/tables/1/heatmap?other=1", 400),
        ("/api/v1/tables/a%00b/c/heatmap", 400),
        ("/api/v1/tables/%ff/c/heatmap", 400),
        ("/api/v1/history?since=x", 400),
        ("/api/v1/tables/2662/heatmap", 422),
    ] {
        let answer = served.get(path)?;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        validate(&description, "Error", &answer.json()?)?;
    }
    assert_eq!(served.get("/nothing")?.status, 404);
    Ok(())
}

#[test]
fn large_parts_are_ranges_of_the_summary_and_smaller_ones_their_blocks() -> Result<()> {
    let cluster = cluster()?;
    // One row on each page.
    cluster.psql(
        DATABASE,
        "CREATE TABLE large WITH (fillfactor = 10) AS SELECT id, repeat('x', 700) AS note FROM generate_series(1, 33000) AS id;
         DELETE FROM large WHERE id % 11 = 0 OR id > 32900",
    )?;
    let served = serve(&cluster, &[])?;
    let found = cluster.psql(DATABASE, "SELECT dead_tuple_count FROM pgstattuple('large')")?;
    let sum = |map: &Value, field: &str| {
        let cells = map["cells"].as_array().into_iter().flatten();
        cells.map(|cell| cell[field].as_i64().unwrap_or(0)).sum::<i64>()
    };
    let whole = served.wait_for("tables/public/large/heatmap", |map| sum(map, "dead_tuples").to_string() == found)?;
    // From 16 on there may be some empty blocks at the end.
    let blocks: i64 = cluster.psql(DATABASE, "SELECT pg_relation_size('large') / 8192")?.parse()?;
    ensure!(blocks >= 33_000, "{blocks}");
    assert_eq!((&whole["blocks_per_cell"], sum(&whole, "blocks"), sum(&whole, "tuples")), (&64.into(), blocks, 33_000));
    ensure!(whole["cells"][0]["dead_bytes"].is_null() && whole["lsn"].is_string(), "{whole}");
    validate(&served.json("schema.json")?, "HeatMap", &whole)?;
    let cells = whole["cells"].as_array().context("no cells")?;
    let last = cells.last().context("no cell")?;
    assert_eq!(
        (&last["first_block"], &last["blocks"]),
        (&((blocks - 1) / 64 * 64).into(), &((blocks - 1) % 64 + 1).into())
    );

    // The same numbers from both, cell by cell.
    let part = served.json("tables/public/large/heatmap?from=3200&to=99999&cells=500")?;
    assert_eq!((&part["from"], &part["blocks_per_cell"]), (&3200.into(), &64.into()));
    ensure!(part["cells"][0]["dead_bytes"].is_number(), "{part}");
    let added = part["cells"].as_array().context("no cells")?;
    ensure!(added.len() == cells.len() - 50, "{part}");
    for (added, range) in added.iter().zip(cells.iter().skip(50)) {
        for field in
            ["first_block", "blocks", "known_blocks", "tuples", "dead_tuples", "free_bytes", "all_visible_blocks"]
        {
            assert_eq!(added[field], range[field], "{field}");
        }
    }
    // A part of a large table that is large itself.
    let part = served.json("tables/public/large/heatmap?from=100&to=33000&cells=4096")?;
    assert_eq!((&part["from"], &part["blocks_per_cell"]), (&96.into(), &16.into()));
    assert_eq!(sum(&part, "dead_tuples"), found.parse::<i64>()? - 8);
    Ok(())
}
