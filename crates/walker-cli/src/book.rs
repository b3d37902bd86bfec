//! The book against the definition of the command line: what it says of commands and options is what the command says of
//! itself.
//!
//! Behind `<!-- help: COMMAND -->` in docs/commands.md stands what `walker COMMAND --help` prints. After a change of the
//! definition, `WALKER_REWRITE=1 cargo test -p walker-cli book` writes it anew.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};

use crate::arguments::Arguments;

const MARK: (&str, &str) = ("<!-- help: ", " -->\n```text\n");
const FENCE: &str = "```";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Names and helps of the commands that help shows.
fn helps() -> Vec<(String, String)> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let shown = command.get_subcommands_mut().filter(|subcommand| !subcommand.is_hide_set());
    shown
        .map(|subcommand| {
            let help = subcommand.render_long_help().to_string();
            let lines: Vec<_> = help.trim().lines().map(str::trim_end).collect();
            (subcommand.get_name().to_owned(), lines.join("\n") + "\n")
        })
        .collect()
}

#[test]
fn every_command_is_in_the_book_with_its_help() {
    let path = root().join("docs/commands.md");
    let text = fs::read_to_string(&path).unwrap();
    let helps = helps();
    let mut parts = text.split(MARK.0);
    let mut rewritten = parts.next().unwrap_or_default().to_owned();
    let mut described = Vec::new();
    for part in parts {
        let (name, rest) = part.split_once(MARK.1).expect("a block of text behind the mark");
        let (_, behind) = rest.split_once(FENCE).expect("the end of the block");
        let (_, help) = helps.iter().find(|(command, _)| command == name).expect(name);
        rewritten += &format!("{}{name}{}{help}{FENCE}{behind}", MARK.0, MARK.1);
        described.push(name);
    }
    for (name, help) in &helps {
        assert!(
            described.contains(&name.as_str()),
            "docs/commands.md has no \"{}{name}{}\"",
            MARK.0,
            MARK.1.trim_end()
        );
        assert!(text.contains(&format!("\n## walker {name}\n")), "docs/commands.md has no section \"walker {name}\"");
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "help of {name} is wider than 80 columns:\n{help}"
        );
    }
    if env::var_os("WALKER_REWRITE").is_some() {
        fs::write(&path, &rewritten).unwrap();
    } else {
        assert!(rewritten == text, "docs/commands.md is not what help says: see crates/walker-cli/src/book.rs");
    }
}

#[test]
fn every_command_has_its_exit_codes_in_the_book() {
    let text = fs::read_to_string(root().join("docs/commands.md")).unwrap();
    let (_, section) = text.split_once("## Exit codes\n").unwrap();
    let section = section.split("\n## ").next().unwrap_or_default();
    for (name, _) in helps() {
        assert!(section.contains(&format!("| `walker {name}`")), "no exit codes of walker {name} in docs/commands.md");
    }
}

#[test]
fn every_command_line_in_the_documentation_is_accepted() {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    files.push(root().join("README.md"));
    let mut lines = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for line in command_lines(&text) {
            lines += 1;
            if let Err(error) = Arguments::try_parse_from(words(&line)) {
                assert!(!error.use_stderr(), "{}: {line}: {error}", file.display());
            }
        }
    }
    assert!(lines > 30, "only {lines} command lines found");
}

/// Lines of examples, those behind a prompt too, and code in sentences that has options; the names of commands alone are none.
fn command_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut help = false;
    for line in text.lines() {
        // Its examples are among them.
        help = (help || line.starts_with(MARK.0)) && !(help && line == FENCE);
        let example = line.trim_start().trim_start_matches("$ ");
        let spans = line.split('`').skip(1).step_by(2);
        for candidate in [example].into_iter().chain(spans) {
            let is_command = candidate.starts_with("walker ") && candidate.contains(" -");
            let is_sentence = !help && candidate == line && candidate.ends_with(['.', ',']);
            // An ellipsis stands for what the reader has.
            if is_command && !is_sentence && !candidate.contains(['$', '\\', '|', '>']) {
                let command = candidate.split(" #").next().unwrap_or_default();
                lines.push(command.replace('\u{2026}', "0/1").trim_end().to_owned());
            }
        }
    }
    lines
}

/// The words of a line as a shell splits them at spaces, with its single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut in_quotes = false;
    for character in line.chars() {
        match character {
            '\'' => in_quotes = !in_quotes,
            ' ' if !in_quotes => words.push(String::new()),
            other => words.last_mut().expect("there is one").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn command_lines_are_found() {
    let text = "`walker dump --start \u{2026}` shows\n    walker top -d 'a b'  # all\nwalker reads -- and writes.\n`walker top`\n";
    assert_eq!(command_lines(text), ["walker dump --start 0/1", "walker top -d 'a b'"]);
    assert_eq!(words("walker top -d 'a b'"), ["walker", "top", "-d", "a b"]);
}
