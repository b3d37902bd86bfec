//! The exit codes of each command are those that the book says.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use walker_testing::{Cluster, Installation, walker};

use crate::chapters::{Chapter, rows};

/// What is run: a server's connection stands for SERVER, its data directory for DATA, and its WAL for WAL.
const CASES: &[(&str, &str, i32)] = &[
    ("walker dump", "dump --path WAL --limit 1", 0),
    ("walker dump", "dump --path /nowhere", 1),
    ("walker dump", "dump --no-such-option", 1),
    ("walker stats", "stats --path WAL", 0),
    ("walker stats", "stats --path /nowhere", 1),
    ("walker garbage", "garbage --path WAL", 0),
    ("walker garbage", "garbage --path /nowhere", 1),
    ("walker heatmap", "heatmap --dbname SERVER --table pg_class", 0),
    ("walker heatmap", "heatmap --dbname SERVER --table nosuchtable", 1),
    ("walker heatmap", "heatmap --dbname host=/nowhere --table t", 1),
    ("walker report", "report --dbname SERVER", 0),
    ("walker report", "report --dbname host=/nowhere", 1),
    ("walker top", "top --dbname SERVER --once", 0),
    ("walker top", "top --dbname host=/nowhere --once", 1),
    // Where nothing is wrong it is served until a signal, which its own tests send.
    ("walker serve", "serve --help", 0),
    ("walker serve", "serve --dbname host=/nowhere --listen 127.0.0.1:0", 1),
    ("walker preflight", "preflight --pgdata DATA", 0),
    ("walker preflight", "preflight /nowhere", 1),
    ("walker preflight", "preflight WAL --shared-preload-libraries mine", 2),
    ("walker completion", "completion bash", 0),
    ("walker completion", "completion nosuchshell", 1),
];

#[test]
fn commands_exit_as_the_book_says() -> Result<()> {
    let cluster = Cluster::builder(&Installation::for_tests()?)
        .setting("shared_preload_libraries", "walker, test_custom_rmgrs")
        .setting("walker.plugins", "garbagemap")
        .setting("autovacuum", "off")
        .start()?;
    cluster
        .psql("postgres", "CREATE EXTENSION walker; CREATE EXTENSION garbagemap; CREATE EXTENSION test_custom_rmgrs")?;
    // The checkpoint lets recovery begin behind it.
    cluster.psql("postgres", "SELECT test_custom_rmgrs_insert_wal_record('x'); CHECKPOINT")?;
    let wal = cluster.wal_directory();
    let values = [
        ("WAL", wal.display().to_string()),
        ("DATA", cluster.data_directory().display().to_string()),
        ("SERVER", cluster.connection_string("postgres")),
    ];
    let mut seen = BTreeSet::new();
    for (name, line, expected) in CASES {
        let argument = |word: &str| {
            values.iter().find(|(value, _)| *value == word).map_or(word.to_owned(), |(_, value)| value.clone())
        };
        let mut command: Command = walker()?;
        let output = command.args(line.split(' ').map(argument)).stdin(Stdio::null()).output()?;
        let code = output.status.code().context("killed")?;
        assert_eq!(code, *expected, "{line}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(code != 1 || !output.stderr.is_empty(), "{line} fails without a word");
        assert!(!output.stdout.contains(&b'\x1b') && !output.stderr.contains(&b'\x1b'), "{line}: colours in a pipe");
        seen.insert(((*name).to_owned(), code));
    }
    // So it is where nobody reads what went wrong.
    let mut unheard = walker()?.args(["dump", "--path", "/nowhere"]).stderr(Stdio::piped()).spawn()?;
    drop(unheard.stderr.take());
    assert_eq!(unheard.wait()?.code(), Some(1));
    let chapter = Chapter::read("docs/commands.md")?;
    let mut documented = BTreeSet::new();
    for row in rows(chapter.section("Exit codes")?) {
        let commands = crate::chapters::spans(row[0]);
        for command in commands {
            for (code, meaning) in (0..).zip(&row[1..]) {
                if !meaning.is_empty() {
                    documented.insert((command.to_owned(), code));
                }
            }
        }
    }
    // Those of which there are cases; whoever adds a command adds some.
    assert_eq!(documented, seen);
    Ok(())
}
