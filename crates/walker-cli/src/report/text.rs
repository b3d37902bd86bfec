//! The report as lines to read.

use ::heatmap::text::{printable, shortened, width, wrapped};

use super::contents::Contents;

/// Columns of all but statements and queries, which are to be copied.
const WIDTH: usize = 80;

pub(super) fn write(contents: &Contents) -> String {
    let mut text = String::new();
    // A quoted identifier can hold escape sequences, and statements have several lines.
    let mut line = |lines: &str| {
        for line in lines.split('\n') {
            text.push_str(&printable(line));
            text.push('\n');
        }
    };
    line(&format!("Garbage in database {}", contents.database));
    line(&format!("{}, {}", contents.server, contents.time));
    line("");
    for words in std::iter::once(&contents.summary()).chain(&contents.exactness) {
        wrap(words, "", &mut line);
    }

    heading("Worst tables", &mut line);
    let rows: Vec<[String; 6]> = contents
        .tables
        .iter()
        .map(|table| {
            [
                table.title.clone(),
                table.size(),
                table.dead_tuples(),
                table.dead_share(),
                table.dead_bytes(),
                table.verdict().to_owned(),
            ]
        })
        .collect();
    let headings = ["table", "size", "dead", "share", "dead bytes", "autovacuum"].map(str::to_owned);
    columns(&headings, &rows, &mut line);
    if let Some(left_out) = &contents.left_out {
        wrap(left_out, "", &mut line);
    }

    heading("What blocks VACUUM", &mut line);
    wrap(&contents.blocking(), "", &mut line);
    for blocker in &contents.blockers {
        let who = blocker.who.as_ref().map(|who| format!(" ({who})")).unwrap_or_default();
        line(&format!("- {}{who}", blocker.name));
        wrap(&blocker.words(), "  ", &mut line);
        wrap(&blocker.advice, "  ", &mut line);
        line(&format!("  {}", blocker.statement));
    }

    heading("Autovacuum", &mut line);
    if let Some(advice) = &contents.server_advice {
        wrap(&advice.words, "", &mut line);
        line(&format!("  {}", advice.statement));
    }
    wrap(&contents.rule, "", &mut line);
    let statements = contents.statements();
    if statements.is_empty() {
        line("No settings are proposed; each table says why.");
    } else {
        line("Settings that are proposed; the reasons are with the tables:");
        statements.iter().for_each(|statement| line(&format!("  {statement}")));
    }

    for table in &contents.tables {
        heading(&table.title, &mut line);
        for (what, number) in table.lines() {
            let mut what = what;
            for part in wrapped(&number, WIDTH - 35) {
                line(&format!("  {what:<32} {part}"));
                what = "";
            }
        }
        for words in table.gain_words().iter().chain(&table.advice.words) {
            wrap(words, "  ", &mut line);
        }
        for statement in table.vacuum.iter().chain(&table.advice.statement) {
            line(&format!("  => {statement}"));
        }
    }

    heading("How to check it", &mut line);
    // The same for each table, so once is enough.
    let of_first = contents.tables.first();
    if let Some(table) = of_first {
        line(&format!("For {}; put another table's name in its place:", table.title));
    }
    let of_first = of_first.map(|table| table.checks.as_slice()).unwrap_or_default();
    for check in of_first.iter().chain(&contents.checks) {
        line(&format!("-- {}", check.what));
        line(&check.sql);
    }
    line("");
    wrap(Contents::INDEXES, "", &mut line);
    text
}

fn heading(text: &str, line: &mut impl FnMut(&str)) {
    line("");
    line(text);
    line(&"-".repeat(width(text)));
}

/// Broken between words.
fn wrap(text: &str, indent: &str, line: &mut impl FnMut(&str)) {
    wrapped(text, WIDTH - indent.len()).iter().for_each(|words| line(&format!("{indent}{words}")));
}

/// Names are shortened to what the other columns leave.
fn columns(headings: &[String; 6], rows: &[[String; 6]], line: &mut impl FnMut(&str)) {
    let mut widths = [0; 6];
    for row in rows.iter().chain([headings]) {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    let others: usize = widths[1..].iter().map(|width| width + GAP.len()).sum();
    widths[0] = widths[0].min(WIDTH.saturating_sub(others));
    for row in [headings].into_iter().chain(rows) {
        let cells = row.iter().zip(widths).enumerate().map(|(index, (cell, room))| {
            let cell = if index == 0 { shortened(cell, room) } else { cell.clone() };
            let spaces = " ".repeat(room.saturating_sub(width(&cell)));
            if (1..5).contains(&index) { spaces + &cell } else { cell + &spaces }
        });
        line(cells.collect::<Vec<_>>().join(GAP).trim_end());
    }
}

/// Between two columns.
const GAP: &str = "  ";

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rows: &[[String; 6]]) -> Vec<String> {
        let headings = ["table", "size", "dead", "share", "dead bytes", "autovacuum"].map(str::to_owned);
        let mut lines = Vec::new();
        columns(&headings, rows, &mut |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn the_table_of_tables_fits_however_long_names_are() {
        let row = |name: &str| {
            [name, "1.21 TiB", "4,294,967,295", "99.9 %", "1023 MiB", "statistics wrong"].map(str::to_owned)
        };
        let lines = shown(&[row(&"x".repeat(127)), row("public.日本"), row("t")]);
        assert_eq!(width(&lines[1]), WIDTH);
        assert!(lines.iter().all(|line| width(line) <= WIDTH), "{lines:#?}");
        let ends = |line: &String| line.ends_with("1.21 TiB  4,294,967,295  99.9 %    1023 MiB  statistics wrong");
        assert!(lines[1..].iter().all(ends), "{lines:#?}");
    }

    #[test]
    fn few_short_names_take_no_more_room_than_they_need() {
        let lines = shown(&[["t", "8 KiB", "1", "50 %", "28 B", "small"].map(str::to_owned)]);
        assert_eq!(lines[0], "table   size  dead  share  dead bytes  autovacuum");
        assert_eq!(lines[1], "t      8 KiB     1   50 %        28 B  small");
    }
}
