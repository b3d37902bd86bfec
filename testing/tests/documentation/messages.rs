//! Everything that worker, plugins and garbagemap may say is in the chapter "When something is wrong".
//!
//! What they say are the sentences in the files below: every string that has a space in it, but for what is listed here as no
//! message. A new message is missing in the chapter until somebody writes what to do.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::chapters::{Chapter, root, spans};

/// Directories and files that hold messages for the log or for whoever calls a function.
const SOURCES: &[&str] = &[
    "pg/walker/src",
    "pg/garbagemap/src",
    "pg/pgxlog/src/server_log.rs",
    "pg/pgxlog/src/xlog_reader.rs",
    "pg/pgxlog/src/replication_slot.rs",
    "pg/pgxlog/src/segment_file.rs",
    "pg/pgxlog/src/ask.rs",
    "pg/pgxlog/src/latch.rs",
    "crates/walker-core/src/event.rs",
    "crates/walker-core/src/failure.rs",
    "crates/walker-core/src/plugin_names.rs",
    "crates/walker-core/src/source.rs",
    "crates/walker-core/src/plugin_run.rs",
    "crates/walker-core/src/walker.rs",
    "crates/garbagemap/src/inexact.rs",
    "crates/garbagemap/src/snapshot.rs",
    "crates/garbagemap/src/codec.rs",
    "crates/garbagemap/src/question.rs",
    "crates/garbagemap/src/data_files.rs",
    "crates/garbagemap/src/log_line.rs",
];

/// Sentences in these files that are no messages, by their beginning, and why.
const NO_MESSAGES: &[&str] = &[
    // Descriptions of settings, which pg_settings shows.
    "Comma-separated names",
    "Each is a shared library",
    "Name of the physical replication slot",
    "The worker makes it.",
    "How long a plugin that failed",
    "Each time that it fails again",
    "After so many failures",
    "They are in a row",
    "How much WAL the worker's",
    "Beyond, it lets go",
    "Number of blocks that one row",
    "How much is read of tables",
    "Zero: nothing is read",
    "Memory that the map may take",
    "What does not fit",
    "Level of the messages",
    "A line for each table",
    // Details and hints that stand below a message, and say what to do themselves.
    "WAL that was not read yet",
    "An empty \"walker.slot_name\"",
    "Members of pg_stat_scan_tables",
    "Ask for its partitions.",
    // States and names.
    "catching up",
    "walker plugin",
    "in progress",
    // What the process is called, and what the worker is asked by walker_drop_slot.
    "walking over WAL, plugins",
    "drop slot",
    // What cannot happen, or not compile.
    "only PostgreSQL's default sizes",
    "there are no names",
    "the mailbox was there before",
    // Questions to the server.
    "SELECT ",
];

#[test]
fn every_message_is_explained() -> Result<()> {
    let chapter = Chapter::read("docs/troubleshooting.md")?;
    let explained: Vec<String> = spans(&chapter.text).into_iter().map(constant_parts).collect();
    let explained = explained.join("\n");
    let mut missing = Vec::new();
    let mut messages = 0;
    for (file, text) in sources()? {
        for literal in literals(&text) {
            let is_sentence = literal.contains(' ') && literal.chars().any(|character| character.is_ascii_lowercase());
            if !is_sentence || NO_MESSAGES.iter().any(|beginning| literal.trim().starts_with(beginning)) {
                continue;
            }
            messages += 1;
            let parts = constant_parts(&placeholders_as_dots(&literal));
            let longest = parts
                .split('\u{2026}')
                .map(|part| part.trim_matches([' ', ';']))
                .max_by_key(|part| part.len())
                .unwrap_or_default();
            if !explained.contains(longest) {
                missing.push(format!("{file}: {literal}"));
            }
        }
    }
    ensure!(missing.is_empty(), "not in docs/troubleshooting.md:\n{}", missing.join("\n"));
    ensure!(messages > 60, "only {messages} messages found");
    Ok(())
}

#[test]
fn every_message_that_is_explained_is_said() -> Result<()> {
    let mut said = String::new();
    for (_, text) in sources()? {
        for literal in literals(&text) {
            said.push_str(&constant_parts(&placeholders_as_dots(&literal)));
            said.push('\n');
        }
    }
    let chapter = Chapter::read("docs/troubleshooting.md")?;
    let (_, tables) = chapter.text.split_once("\n## The worker's lines in the log").context("no such section")?;
    // PostgreSQL's own, and one of the extension's script.
    let others = ["could not access file", "incorrect resource manager data checksum", "not all partitions are stored"];
    for line in tables.lines().filter(|line| line.starts_with("| `")) {
        let cell = line.trim_start_matches("| ").split(" | ").next().unwrap_or_default();
        for span in spans(cell).into_iter().filter(|span| span.contains(' ')) {
            let parts = constant_parts(span);
            for part in parts
                .split('\u{2026}')
                .flat_map(|part| part.split(';'))
                .map(|part| part.trim_matches([' ', ':', '"', ',', '(', ')']))
            {
                let is_known = said.contains(part) || others.iter().any(|other| part.starts_with(other));
                ensure!(part.len() < 6 || is_known, "nobody says \"{part}\": {line}");
            }
        }
    }
    Ok(())
}

/// Names and texts of all sources, without what is there for tests.
fn sources() -> Result<Vec<(String, String)>> {
    let mut sources = Vec::new();
    for name in SOURCES {
        let path = root()?.join(name);
        let mut files = vec![path.clone()];
        if path.is_dir() {
            files = fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        }
        for file in files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
            sources.push((file.strip_prefix(root()?)?.display().to_string(), code));
        }
    }
    Ok(sources)
}

/// The strings in Rust code, with their escapes resolved; not those in comments, and no characters or lifetimes.
fn literals(code: &str) -> Vec<String> {
    with_marks(code).split('\u{0}').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The code without comments, and with a NUL at each end of a string.
fn with_marks(code: &str) -> String {
    let mut marked = String::new();
    let mut characters = code.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '/' if characters.peek() == Some(&'/') => while characters.next().is_some_and(|next| next != '\n') {},
            // A quotation mark as a character.
            '\'' if characters.peek() == Some(&'"') => {
                characters.next();
            }
            '"' => {
                marked.push('\u{0}');
                while let Some(inner) = characters.next() {
                    match inner {
                        '"' => break,
                        '\\' => match characters.next() {
                            Some('\n') => while characters.next_if(|next| next.is_whitespace()).is_some() {},
                            Some('n') => marked.push(' '),
                            Some(escaped) => marked.push(escaped),
                            None => {}
                        },
                        inner => marked.push(inner),
                    }
                }
                marked.push('\u{0}');
            }
            other => marked.push(other),
        }
    }
    marked
}

/// A format string with an ellipsis in place of each value.
fn placeholders_as_dots(literal: &str) -> String {
    // A constant in crates/garbagemap/src/inexact.rs.
    let literal = literal.replace("{MAX_MEMORY}", "garbagemap.max_memory");
    let mut text = String::new();
    let mut rest = literal.as_str();
    while let Some((before, behind)) = rest.split_once('{') {
        text.push_str(before);
        text.push('\u{2026}');
        rest = behind.split_once('}').map_or("", |(_, rest)| rest);
    }
    text + rest
}

/// Without the word that begins each line of the worker.
fn constant_parts(text: &str) -> String {
    text.trim().trim_start_matches("walker: ").to_owned()
}

#[test]
fn strings_are_found() {
    let code = "// \"no\"\nlog!(\"a {b} \\\"c\\\" \\\n    d\"); let q = '\"'; f(\"e\")";
    assert_eq!(literals(code), ["a {b} \"c\" d", "e"]);
    assert_eq!(placeholders_as_dots("a {b:?} c {}"), "a \u{2026} c \u{2026}");
}
