//! `walker manual-pages`: a page for the command and one for each subcommand, from the definition that help comes from.
//!
//! What stands behind the options in help becomes sections: a heading with indented lines below it is one, examples keep
//! their lines, and what tells of the exit status is its own.

use std::env;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use jiff::Timestamp;

use crate::arguments::{Arguments, ManualPagesArguments};

/// What programs for users are in.
const SECTION: &str = "1";

/// `walker manual-pages`.
pub(crate) fn run(arguments: &ManualPagesArguments) -> Result<()> {
    let date = date()?;
    let directory = &arguments.directory;
    fs::create_dir_all(directory).with_context(|| format!("could not create directory \"{}\"", directory.display()))?;
    for (name, page) in pages(&date)? {
        write(&directory.join(format!("{name}.{SECTION}")), &page)?;
    }
    Ok(())
}

fn write(path: &Path, page: &[u8]) -> Result<()> {
    fs::write(path, page).with_context(|| format!("could not write file \"{}\"", path.display()))
}

/// The day that the sources are of, as packages set it; empty if nothing is said.
fn date() -> Result<String> {
    let Some(epoch) = env::var_os("SOURCE_DATE_EPOCH") else { return Ok(String::new()) };
    let seconds =
        epoch.to_str().and_then(|epoch| epoch.parse().ok()).and_then(|epoch| Timestamp::from_second(epoch).ok());
    let day = seconds.context("SOURCE_DATE_EPOCH is not a number of seconds")?;
    Ok(day.strftime("%Y-%m-%d").to_string())
}

/// Names and texts.
fn pages(date: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let shown: Vec<_> = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()).collect();
    let mut pages = vec![(command.get_name().to_owned(), page(&command, date)?)];
    for subcommand in shown {
        pages.push((display_name(subcommand).to_owned(), page(subcommand, date)?));
    }
    Ok(pages)
}

/// `walker-dump` of `walker dump`.
fn display_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, date: &str) -> io::Result<Vec<u8>> {
    let version = concat!("walker ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(for_paper(command))
        .title(display_name(command).to_uppercase())
        .section(SECTION)
        .date(date)
        .source(version)
        .manual("WALker's manual");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    // Neither broken at hyphens nor stretched: names of options and programs are to be found.
    Roff::new().control("nh", []).control("ad", ["l"]).to_writer(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let has_subcommands = command.get_subcommands().any(|subcommand| !subcommand.is_hide_set());
    if has_subcommands {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = command.get_after_help() {
        for section in sections(&text.to_string()) {
            section.render().to_writer(&mut page)?;
        }
    }
    let others = if has_subcommands { "pg_waldump(1), postgres(1), psql(1)" } else { "walker(1)" };
    Roff::new().control("SH", ["SEE ALSO"]).text([roman(others)]).to_writer(&mut page)?;
    Ok(tidied(&String::from_utf8_lossy(&page)).into_bytes())
}

/// The definition, in the words of a page instead of those of help.
fn for_paper(command: &Command) -> Command {
    // The line of help, which is shorter than one with every option.
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().replace("[OPTIONS]", "[OPTION]...");
    // Its first line is in the page already, as what the name stands for.
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let long_about = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let description = match long_about.strip_prefix(&about).map(str::trim) {
        Some(more) if !more.is_empty() => more.to_owned(),
        _ => about + ".",
    };
    command.clone().override_usage(usage).long_about(description).mut_args(|argument| {
        let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let takes_values = argument.get_num_args().is_some_and(|number| number.takes_values());
        if argument.get_id() == "help" {
            argument.help("Print help").long_help(None)
        } else if takes_values && !defaults.is_empty() && !argument.is_hide_default_value_set() {
            // Beside the option it would make lines that are too long.
            let help = format!("{} [default: {}]", argument.get_help().unwrap_or_default(), defaults.join(","));
            argument.help(help).hide_default_value(true)
        } else {
            argument
        }
    })
}

/// Source with lines of 80 bytes at most, where they are filled anyway, and without the preamble of each part.
fn tidied(page: &str) -> String {
    let mut tidied = String::new();
    let mut is_filled = true;
    for (number, line) in page.lines().enumerate() {
        match line {
            PREAMBLE_IF | PREAMBLE_ELSE if number > 1 => continue,
            ".nf" => is_filled = false,
            ".fi" => is_filled = true,
            _ => {}
        }
        if is_filled && !line.starts_with(['.', '\'']) {
            for part in folded(line, SOURCE_WIDTH) {
                tidied.push_str(part);
                tidied.push('\n');
            }
        } else {
            tidied.push_str(line);
            tidied.push('\n');
        }
    }
    tidied
}

/// What each part that is written begins with: how an apostrophe is written.
const PREAMBLE_IF: &str = r".ie \n(.g .ds Aq \(aq";
const PREAMBLE_ELSE: &str = ".el .ds Aq '";

/// Longest line of a page's source.
const SOURCE_WIDTH: usize = 80;

/// Parts of a line, broken at spaces; none begins with what would make it a request, or with an escape,
/// which programs that list the names of pages do not join to what stands before.
fn folded(line: &str, width: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = line;
    while rest.len() > width {
        let places = || rest.match_indices(' ').filter(|(at, _)| !rest[at + 1..].starts_with([' ', '.', '\'', '\\']));
        let Some((at, _)) = places().take_while(|(at, _)| *at <= width).last().or_else(|| places().next()) else {
            break;
        };
        parts.push(rest[..at].trim_end());
        rest = &rest[at + 1..];
    }
    parts.push(rest);
    parts
}

/// A part of what stands behind the options in help.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    heading: String,
    /// Whether each line is one of its own.
    is_verbatim: bool,
    paragraphs: Vec<String>,
}

/// What has no heading gets one.
fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for paragraph in text.split("\n\n").map(str::trim_end).filter(|paragraph| !paragraph.is_empty()) {
        let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        let section = match first.strip_suffix(':') {
            Some(heading) if rest.starts_with("  ") => {
                let rest = rest.lines().map(str::trim).collect::<Vec<_>>().join("\n");
                let is_verbatim = heading == "Examples";
                Section { heading: heading.to_uppercase(), is_verbatim, paragraphs: vec![rest] }
            }
            _ => {
                let heading = if paragraph.starts_with("The exit status") { "EXIT STATUS" } else { "NOTES" };
                Section { heading: heading.to_owned(), is_verbatim: false, paragraphs: vec![paragraph.to_owned()] }
            }
        };
        match sections.iter_mut().find(|other| other.heading == section.heading) {
            Some(other) => other.paragraphs.extend(section.paragraphs),
            None => sections.push(section),
        }
    }
    sections
}

impl Section {
    fn render(&self) -> Roff {
        let mut roff = Roff::new();
        roff.control("SH", [self.heading.as_str()]);
        for (index, paragraph) in self.paragraphs.iter().enumerate() {
            if index > 0 {
                roff.control("PP", []);
            }
            if self.is_verbatim {
                roff.control("nf", []);
            }
            for line in paragraph.lines() {
                if self.is_verbatim {
                    for part in continued(line) {
                        roff.text([bold(part)]);
                    }
                } else {
                    roff.text([roman(line)]);
                }
            }
            if self.is_verbatim {
                roff.control("fi", []);
            }
        }
        roff
    }
}

/// A command line as a shell reads it over several lines, broken before options, so that it fits where there are 80
/// columns.
fn continued(line: &str) -> Vec<String> {
    /// Behind the margin, and before a backslash.
    const WIDTH: usize = 80 - 7 - 2;
    let mut lines = vec![String::new()];
    for (index, part) in line.split(" -").enumerate() {
        let part = if index == 0 { part.to_owned() } else { format!(" -{part}") };
        match lines.last_mut() {
            Some(last) if last.is_empty() || last.len() + part.len() <= WIDTH => last.push_str(&part),
            last => {
                last.into_iter().for_each(|last| last.push_str(" \\"));
                lines.push(format!("   {part}"));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_that_help_shows_has_a_page_with_all_its_options() {
        let pages = pages("2026-01-02").unwrap();
        let text = |name: &str| {
            let page = pages.iter().find(|(page, _)| page == name);
            page.map(|(_, text)| String::from_utf8(text.clone()).unwrap().replace(r"\-", "-"))
        };
        let overview = text("walker").unwrap();
        assert!(overview.contains("2026-01-02"), "{overview}");
        for subcommand in Arguments::command().get_subcommands() {
            let name = format!("walker-{}", subcommand.get_name());
            let page = text(&name);
            assert_eq!(
                (page.is_some(), overview.contains(&name)),
                (!subcommand.is_hide_set(), page.is_some()),
                "{name}"
            );
            let options = subcommand.get_arguments().filter_map(|argument| argument.get_long());
            for option in options.filter(|_| page.is_some()) {
                assert!(page.as_ref().is_some_and(|page| page.contains(&format!("--{option}"))), "{name} {option}");
            }
        }
    }

    #[test]
    fn what_stands_behind_the_options_becomes_sections() {
        let text = "Examples:\n  walker x\n  walker y\n\nBy relation:\n  One,\n  two.\n\nSomething.\n\n\
                    The exit status is 0.\n\nMore.";
        let section = |heading: &str, is_verbatim, paragraphs: &[&str]| Section {
            heading: heading.to_owned(),
            is_verbatim,
            paragraphs: paragraphs.iter().map(|&paragraph| paragraph.to_owned()).collect(),
        };
        let expected = [
            section("EXAMPLES", true, &["walker x\nwalker y"]),
            section("BY RELATION", false, &["One,\ntwo."]),
            section("NOTES", false, &["Something.", "More."]),
            section("EXIT STATUS", false, &["The exit status is 0."]),
        ];
        assert_eq!(sections(text), expected);
    }

    #[test]
    fn examples_fit() {
        assert_eq!(continued("walker x --a b"), ["walker x --a b"]);
        let long = continued(
            "walker dump --path archive --since '2026-01-02 03:00' --until '2026-01-02 03:05' --stats=record",
        );
        let expected = [
            r"walker dump --path archive --since '2026-01-02 03:00' \",
            "    --until '2026-01-02 03:05' --stats=record",
        ];
        assert_eq!(long, expected);
    }

    #[test]
    fn long_lines_of_source_are_broken_where_that_changes_nothing() {
        assert_eq!(folded("one two three", 7), ["one two", "three"]);
        assert_eq!(folded("one .two three", 5), ["one .two", "three"]);
        assert_eq!(folded(r"as x \-\-stats does", 9), ["as", r"x \-\-stats", "does"]);
        assert_eq!(folded("unbreakable", 3), ["unbreakable"]);
        let preamble = format!("{PREAMBLE_IF}\n{PREAMBLE_ELSE}\n");
        assert_eq!(tidied(&format!("{preamble}.SH A\n{preamble}b\n")), format!("{preamble}.SH A\nb\n"));
    }
}
