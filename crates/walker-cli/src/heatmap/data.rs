//! Block ranges as data: CSV with a row, JSON with an object for each.

use ::heatmap::{LeftOut, Map, Origin};
use anyhow::Result;
use serde::Serialize;

use super::HeatmapFormat;
use crate::summary::Detail;

/// Tables with their ranges.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    server: String,
    database: String,
    time: String,
    tables: Vec<Table>,
    /// Tables that are not here since --limit was given.
    left_out: Left,
}

#[derive(Debug, Default, Serialize)]
struct Left {
    tables: u64,
    blocks: u64,
    dead_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Table {
    table: String,
    lsn: String,
    inexact: Option<String>,
    blocks_per_range: u32,
    ranges: Vec<Row>,
}

/// One range. Counts are those of its known blocks.
#[derive(Debug, Serialize)]
struct Row {
    first_block: u64,
    last_block: u64,
    known_blocks: u32,
    tuples: u64,
    dead_tuples: u64,
    /// `None` if it could not be told for the same moment.
    dead_bytes: Option<u64>,
    free_bytes: u64,
    all_visible_blocks: u64,
}

impl Data {
    /// Tables may be added.
    pub(super) fn new(origin: &Origin, left_out: LeftOut) -> Self {
        let Origin { server, database, time } = origin.clone();
        let LeftOut { tables, blocks, dead_bytes } = left_out;
        Self { server, database, time, tables: Vec::new(), left_out: Left { tables, blocks, dead_bytes } }
    }

    pub(super) fn of_table(origin: &Origin, map: &Map, details: &[Detail]) -> Self {
        let mut data = Self::new(origin, LeftOut::default());
        data.add(map, details);
        data
    }

    pub(super) fn add(&mut self, map: &Map, details: &[Detail]) {
        let row = |(index, range): (usize, &::heatmap::Range)| {
            let detail = details.get(index).copied().unwrap_or_default();
            let first_block = map.first_block(index);
            Row {
                first_block,
                last_block: (first_block + u64::from(range.blocks)).saturating_sub(1),
                known_blocks: range.known_blocks,
                tuples: range.tuples,
                dead_tuples: range.dead_tuples,
                dead_bytes: detail.dead_bytes,
                free_bytes: detail.free_bytes,
                all_visible_blocks: detail.all_visible_blocks,
            }
        };
        let Map { table, lsn, blocks_per_range, inexact, .. } = map.clone();
        let ranges = map.ranges.iter().enumerate().map(row).collect();
        self.tables.push(Table { table, lsn, inexact, blocks_per_range, ranges });
    }

    pub(super) fn write(&self, format: HeatmapFormat) -> Result<Vec<u8>> {
        if format == HeatmapFormat::Json {
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            return Ok(text);
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "table",
            "first_block",
            "last_block",
            "known_blocks",
            "tuples",
            "dead_tuples",
            "dead_bytes",
            "free_bytes",
            "all_visible_blocks",
            "lsn",
            "inexact",
        ])?;
        for table in &self.tables {
            for row in &table.ranges {
                // Tuples are the only compound that the crate writes in one row.
                let places = (&table.table, row.first_block, row.last_block, row.known_blocks);
                let counts = (row.tuples, row.dead_tuples, row.dead_bytes, row.free_bytes, row.all_visible_blocks);
                writer.serialize((places, counts, &table.lsn, &table.inexact))?;
            }
        }
        Ok(writer.into_inner()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::heatmap::Range;

    fn data() -> Data {
        let range = Range { blocks: 8, known_blocks: 8, tuples: 100, dead_tuples: 7 };
        let map = Map {
            table: "public.\"a<b>&'; --\"\"\"".into(),
            lsn: "0/1".into(),
            blocks_per_range: 8,
            ranges: vec![range, Range { blocks: 3, ..range }, Range::default()],
            inexact: Some("a, b".into()),
        };
        let detail = Detail { dead_bytes: Some(300), free_bytes: 1, all_visible_blocks: 2 };
        Data::of_table(&Origin::default(), &map, &[detail, Detail::default()])
    }

    #[test]
    fn csv_has_a_row_for_each_range_and_quotes_names() {
        let text = String::from_utf8(data().write(HeatmapFormat::Csv).unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        let name = "\"public.\"\"a<b>&'; --\"\"\"\"\"\"\"";
        assert_eq!(lines[1], format!("{name},0,7,8,100,7,300,1,2,0/1,\"a, b\""));
        assert_eq!(lines[2], format!("{name},8,10,8,100,7,,0,0,0/1,\"a, b\""));
        assert!(lines.iter().all(|line| line.starts_with(name) || line.starts_with("table,")));
    }

    #[test]
    fn json_says_the_same() {
        let json: serde_json::Value = serde_json::from_slice(&data().write(HeatmapFormat::Json).unwrap()).unwrap();
        assert_eq!(json["tables"][0]["ranges"][1]["last_block"], 10);
        assert_eq!(json["tables"][0]["ranges"][1]["dead_bytes"], serde_json::Value::Null);
        assert_eq!(json["tables"][0]["table"], "public.\"a<b>&'; --\"\"\"");
        assert_eq!(json["left_out"]["tables"], 0);
    }
}
