//! The report as lines to read.

use super::contents::Contents;

/// Columns of what is wrapped; statements and queries are not.
const WIDTH: usize = 100;

pub(super) fn write(contents: &Contents) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    line(&format!("Garbage in database {}", contents.database));
    line(&format!("{}, {}", contents.server, contents.time));
    line("");
    for words in std::iter::once(&contents.summary()).chain(&contents.exactness) {
        wrapped(words, "", &mut line);
    }

    heading("Worst tables", &mut line);
    let rows: Vec<[String; 8]> = contents
        .tables
        .iter()
        .map(|table| {
            [
                table.title.clone(),
                table.size(),
                table.dead_tuples(),
                table.dead_share(),
                table.dead_bytes(),
                table.deaths(),
                table.given_back(),
                table.verdict().to_owned(),
            ]
        })
        .collect();
    let headings =
        ["table", "size", "dead", "share", "dead bytes", "deaths/h", "given back", "autovacuum"].map(str::to_owned);
    columns(&headings, &rows, &mut line);
    line("given back: empty blocks at the end that VACUUM would give back to the file system");
    if let Some(left_out) = &contents.left_out {
        line(left_out);
    }

    heading("What blocks VACUUM", &mut line);
    wrapped(&contents.blocking(), "", &mut line);
    for blocker in &contents.blockers {
        let who = blocker.who.as_ref().map(|who| format!(" ({who})")).unwrap_or_default();
        line(&format!("- {}{who}", blocker.name));
        wrapped(&blocker.words(), "  ", &mut line);
        wrapped(&blocker.advice, "  ", &mut line);
        line(&format!("  {}", blocker.statement));
    }

    heading("Autovacuum", &mut line);
    if let Some(advice) = &contents.server_advice {
        wrapped(&advice.words, "", &mut line);
        line(&format!("  {}", advice.statement));
    }
    wrapped(&contents.rule, "", &mut line);
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
            line(&format!("  {what:<32} {number}"));
        }
        for words in table.gain_words().iter().chain(&table.advice.words) {
            wrapped(words, "  ", &mut line);
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
    wrapped(Contents::INDEXES, "", &mut line);
    harmless(&text)
}

fn heading(text: &str, line: &mut impl FnMut(&str)) {
    line("");
    line(text);
    line(&"-".repeat(text.chars().count()));
}

/// Broken between words.
fn wrapped(text: &str, indent: &str, line: &mut impl FnMut(&str)) {
    let mut current = indent.to_owned();
    for word in text.split_whitespace() {
        if current.len() > indent.len() && current.chars().count() + 1 + word.chars().count() > WIDTH {
            line(&current);
            current = indent.to_owned();
        }
        if current.len() > indent.len() {
            current.push(' ');
        }
        current.push_str(word);
    }
    line(&current);
}

fn columns(headings: &[String; 8], rows: &[[String; 8]], line: &mut impl FnMut(&str)) {
    let mut widths = [0; 8];
    for row in rows.iter().chain([headings]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in [headings].into_iter().chain(rows) {
        let mut text = String::new();
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            match index {
                0 => text.push_str(&format!("{cell:<width$}")),
                7 => text.push_str(&format!("  {cell}")),
                _ => text.push_str(&format!("  {cell:>width$}")),
            }
        }
        line(&text);
    }
}

/// A quoted identifier can hold escape sequences.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && c.is_control() { '\u{fffd}' } else { c }).collect()
}
