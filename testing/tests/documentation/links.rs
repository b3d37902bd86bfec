//! Links lead somewhere.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::chapters::{Chapter, root};

#[test]
fn every_link_leads_to_a_file_and_a_heading() -> Result<()> {
    let root = root()?;
    let mut texts = Chapter::of_book()?;
    for name in ["docs/SUMMARY.md", "README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        texts.push(Chapter::read(name)?);
    }
    let mut links = 0;
    for text in &texts {
        let directory = text.path.parent().context("no directory")?;
        for link in links_of(&text.text).filter(|link| !link.contains("://")) {
            links += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { text.path.clone() } else { directory.join(file) };
            let place = || format!("{}: {link}", text.path.display());
            let target = fs::canonicalize(&target).with_context(place)?;
            // The book and the packages have nothing else.
            let in_book = directory.ends_with("docs");
            ensure!(
                !in_book || target.starts_with(root.join("docs").canonicalize()?),
                "{} leads out of the book",
                place()
            );
            if !heading.is_empty() {
                ensure!(anchors(&target)?.iter().any(|anchor| anchor == heading), "{}: no such heading", place());
            }
        }
    }
    ensure!(links > 20, "only {links} links");
    Ok(())
}

/// Targets of links and pictures outside of code.
fn links_of(text: &str) -> impl Iterator<Item = &str> {
    let mut in_block = false;
    let lines = text.lines().filter(move |line| {
        in_block ^= line.starts_with("```");
        !in_block && !line.starts_with("    ")
    });
    // In `code` nothing is a link; the code in the text of a link has no parenthesis.
    lines.flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()))
}

/// The names of headings as mdbook and GitHub make them.
fn anchors(file: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(file)?;
    let mut in_block = false;
    let headings = text.lines().filter(|line| {
        in_block ^= line.starts_with("```");
        !in_block && line.starts_with('#')
    });
    Ok(headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect())
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
    kept.map(|character| if character == ' ' { '-' } else { character.to_ascii_lowercase() }).collect()
}

#[test]
fn headings_become_anchors() {
    assert_eq!(anchor("The view `pg_stat_walker`"), "the-view-pg_stat_walker");
    assert_eq!(anchor("All of it bright, and VACUUM does not help"), "all-of-it-bright-and-vacuum-does-not-help");
}
