//! The chapters, and what tests look for in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The repository.
pub(crate) fn root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no parent")?;
    Ok(root.to_owned())
}

/// A chapter of the book, or another text.
pub(crate) struct Chapter {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Chapter {
    /// One named by its path in the repository.
    pub(crate) fn read(name: &str) -> Result<Self> {
        let path = root()?.join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, text })
    }

    /// All of docs/, but for the summary.
    pub(crate) fn of_book() -> Result<Vec<Self>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(root()?.join("docs"))? {
            let name = entry?.file_name().into_string().ok().context("a name that is no UTF-8")?;
            if name.ends_with(".md") && name != "SUMMARY.md" {
                names.push(name);
            }
        }
        names.sort();
        names.iter().map(|name| Self::read(&format!("docs/{name}"))).collect()
    }

    /// The part below the heading of this text, up to the next one of any level.
    pub(crate) fn section(&self, heading: &str) -> Result<&str> {
        let mut at = 0;
        for line in self.text.split_inclusive('\n') {
            at += line.len();
            if line.starts_with('#') && line.trim_start_matches('#').trim() == heading {
                let rest = &self.text[at..];
                return Ok(rest.split("\n#").next().unwrap_or(rest));
            }
        }
        Err(anyhow::anyhow!("{}: no section \"{heading}\"", self.path.display()))
    }

    /// What stands between single backquotes outside of blocks of code.
    pub(crate) fn spans(&self) -> Vec<&str> {
        spans(&self.text)
    }
}

/// As [`Chapter::spans`], of a part.
pub(crate) fn spans(text: &str) -> Vec<&str> {
    let mut spans = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            spans.extend(line.split('`').skip(1).step_by(2));
        }
    }
    spans
}

/// The rows of the tables in a text, without their headings: what is in each cell.
pub(crate) fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<_> = text.lines().collect();
    let mut rows = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let is_heading = lines.get(index + 1).is_some_and(|next| next.starts_with("|---"));
        if line.starts_with("| ") && !is_heading {
            let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
            rows.push(inner.split('|').map(str::trim).collect());
        }
    }
    rows
}

/// The words between backquotes in a cell.
pub(crate) fn words(cell: &str) -> BTreeSet<&str> {
    spans(cell).into_iter().collect()
}

#[test]
fn every_chapter_is_in_the_summary_and_every_entry_of_it_exists() -> Result<()> {
    let summary = Chapter::read("docs/SUMMARY.md")?;
    let entries: Vec<_> = summary.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let mut sorted = entries.clone();
    sorted.sort_unstable();
    let chapters = Chapter::of_book()?;
    let names: Vec<_> = chapters.iter().filter_map(|chapter| chapter.path.file_name()?.to_str()).collect();
    assert_eq!(sorted, names);
    Ok(())
}

#[test]
fn lines_of_examples_fit_into_eighty_columns() -> Result<()> {
    let mut texts = Chapter::of_book()?;
    texts.push(Chapter::read("README.md")?);
    for Chapter { path, text } in texts {
        let mut language = None;
        for (number, line) in text.lines().enumerate() {
            if let Some(name) = line.strip_prefix("```") {
                language = if language.is_some() { None } else { Some(name) };
            }
            // Code that is quoted has the width of its file.
            let is_example = match language {
                Some(language) => ["", "text", "console", "sh"].contains(&language),
                None => line.starts_with("    "),
            };
            let width = line.trim_start_matches("    ").chars().count();
            assert!(!is_example || width <= 80, "{}:{}: {width} columns", path.display(), number + 1);
        }
    }
    Ok(())
}
