//! What both programs print of the same WAL, compared line by line as it comes.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use pgwal::Lsn;
use walker_testing::{Cluster, walker};

use crate::differences::Differences;

/// So many lines that differ are looked at.
const DIFFERENT_LINES: u64 = 100_000;
/// Of so many operations is the first such line shown.
const SHOWN: usize = 20;

/// The range of a stopped cluster's WAL, and what may differ in it.
pub(crate) struct Comparison<'a> {
    cluster: &'a Cluster,
    range: [String; 2],
    differences: Differences,
}

impl<'a> Comparison<'a> {
    pub(crate) fn new(cluster: &'a Cluster, start: Lsn, end: Lsn) -> Result<Self> {
        let differences = Differences::of(cluster.installation().version().major)?;
        Ok(Self { cluster, range: [format!("--start={start}"), format!("--end={end}")], differences })
    }

    /// Compares the counts of each kind of record, and shows them. There must be at least that many records, and one
    /// at least of each resource manager of this major that can occur.
    pub(crate) fn statistics(&self, records: u64, can_occur: impl Fn(&str) -> bool) -> Result<()> {
        let [ours, theirs] = [self.walker("stats", &["--per-record"])?, self.pg_waldump(&["--stats=record"])?].map(
            |mut program| -> Result<String> {
                let output = program.stderr(Stdio::inherit()).output()?;
                ensure!(output.status.success(), "{:?}: {}", program.get_program(), output.status);
                Ok(String::from_utf8(output.stdout)?)
            },
        );
        let (ours, theirs) = (ours?, theirs?);
        for (our, their) in ours.lines().zip(theirs.lines()) {
            ensure!(our == their, "pg_waldump:\n{their}\nwalker:\n{our}");
        }
        ensure!(ours == theirs, "one of the tables has more lines:\n{theirs}\n{ours}");

        let counts = Counts::parse(&ours)?;
        counts.show();
        ensure!(counts.total >= records, "only {} records", counts.total);
        let mut list = self.cluster.program("pg_waldump")?;
        let list = String::from_utf8(list.arg("--rmgr=list").output()?.stdout)?;
        // After its own, from 15 on pg_waldump also names those of extensions.
        for name in list.lines().filter(|name| !name.starts_with("custom") && can_occur(name)) {
            ensure!(counts.by_resource_manager.contains_key(name), "the load has no record of {name}");
        }
        Ok(())
    }

    /// Compares the whole text, plain and with the details of each block.
    pub(crate) fn text(&self) -> Result<()> {
        for options in [&[][..], &["--bkp-details"]] {
            let lines = self.compare(options)?;
            eprintln!("    the same {lines} lines of walker dump and pg_waldump {}", options.join(" "));
        }
        self.differences.ensure_all_occurred()
    }

    /// Returns how many lines there were.
    fn compare(&self, options: &[&str]) -> Result<u64> {
        let mut ours = Lines::of(self.walker("dump", options)?)?;
        let mut theirs = Lines::of(self.pg_waldump(options)?)?;
        let mut found = Found::default();
        // The last line of pg_waldump's that begins a record: lines of details follow it.
        let mut record = Vec::new();
        let mut count = 0;
        loop {
            let (our, their) = match (ours.next()?, theirs.next()?) {
                (Some(our), Some(their)) => (our, their),
                (None, None) => break,
                _ => bail!("one text ends after {count} lines, the other does not\n{found}"),
            };
            count += 1;
            if their.starts_with(b"rmgr:") {
                record.clear();
                record.extend_from_slice(their);
            }
            if our == their {
                continue;
            }
            let operation = operation(&String::from_utf8_lossy(&record));
            let [our, their] = [our, their].map(String::from_utf8_lossy);
            if !self.differences.allow(&operation, &their, &our) {
                found.add(operation, &their, &our)?;
            }
        }
        ensure!(found.0.is_empty(), "{found}");
        ours.end()?;
        theirs.end()?;
        Ok(count)
    }

    fn walker(&self, command: &str, options: &[&str]) -> Result<Command> {
        let mut walker = walker()?;
        walker.arg(command).args(&self.range).args(options).arg("--path").arg(self.cluster.wal_directory());
        Ok(walker)
    }

    fn pg_waldump(&self, options: &[&str]) -> Result<Command> {
        let mut pg_waldump = self.cluster.program("pg_waldump")?;
        pg_waldump.env("TZ", "UTC").args(&self.range).args(options).arg("--path").arg(self.cluster.wal_directory());
        Ok(pg_waldump)
    }
}

/// The lines that a program prints.
struct Lines {
    program: String,
    child: Child,
    output: BufReader<ChildStdout>,
    line: Vec<u8>,
}

impl Lines {
    fn of(mut command: Command) -> Result<Self> {
        let program = command.get_program().display().to_string();
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run {program}"))?;
        let output = child.stdout.take().context("the child has no output")?;
        Ok(Self { program, child, output: BufReader::with_capacity(1 << 20, output), line: Vec::new() })
    }

    /// Without its end.
    fn next(&mut self) -> Result<Option<&[u8]>> {
        self.line.clear();
        if self
            .output
            .read_until(b'\n', &mut self.line)
            .with_context(|| format!("cannot read from {}", self.program))?
            == 0
        {
            return Ok(None);
        }
        Ok(Some(self.line.strip_suffix(b"\n").unwrap_or(&self.line)))
    }

    fn end(mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "{}: {status}", self.program);
        Ok(())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // Where the comparison has ended before the program.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines that differ and are not listed: how many of each operation, and the first of them.
#[derive(Default)]
struct Found(BTreeMap<String, (u64, String)>);

impl Found {
    fn add(&mut self, operation: String, theirs: &str, ours: &str) -> Result<()> {
        let first = || (0, format!("pg_waldump: {theirs}\n    walker:     {ours}"));
        self.0.entry(operation).or_insert_with(first).0 += 1;
        let all: u64 = self.0.values().map(|(count, _)| count).sum();
        ensure!(all < DIFFERENT_LINES, "{all} lines differ, the rest was not compared\n{self}");
        Ok(())
    }
}

impl fmt::Display for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (operation, (count, first)) in self.0.iter().take(SHOWN) {
            writeln!(formatter, "{operation}: {count} lines differ, the first is\n    {first}")?;
        }
        Ok(())
    }
}

/// `Heap/INSERT` of a line like `rmgr: Heap  len (rec/tot): ... desc: INSERT off: 1 ...`, as in the statistics.
fn operation(line: &str) -> String {
    let word_after = |label: &str| line.split_once(label)?.1.split_whitespace().next();
    [word_after("rmgr:"), word_after("desc:")].map(Option::unwrap_or_default).join("/")
}

/// What the table of statistics says.
struct Counts {
    total: u64,
    /// Operations with their counts, in the order of the table.
    by_resource_manager: BTreeMap<String, Vec<(String, u64)>>,
}

impl Counts {
    /// Lines are like `Heap/INSERT   1234 ( 12.34)  ...`; the last one is the total.
    fn parse(table: &str) -> Result<Self> {
        let mut counts = Self { total: 0, by_resource_manager: BTreeMap::new() };
        for line in table.lines() {
            let mut words = line.split_whitespace();
            let (Some(name), Some(count)) = (words.next(), words.next().and_then(|count| count.parse::<u64>().ok()))
            else {
                continue;
            };
            if name == "Total" {
                counts.total = count;
            } else if let Some((resource_manager, operation)) = name.split_once('/') {
                let operations = counts.by_resource_manager.entry(resource_manager.to_owned()).or_default();
                operations.push((operation.to_owned(), count));
            }
        }
        ensure!(counts.total > 0, "no total in\n{table}");
        Ok(counts)
    }

    fn show(&self) {
        eprintln!("    {} records", self.total);
        for (resource_manager, operations) in &self.by_resource_manager {
            let operations: Vec<_> = operations.iter().map(|(name, count)| format!("{name} {count}")).collect();
            eprintln!("    {resource_manager}: {}", operations.join(", "));
        }
    }
}

#[test]
fn operations_are_named_as_in_the_statistics() {
    let line = "rmgr: Heap2       len (rec/tot):     56/    56, tx: 0, lsn: 0/1, prev 0/0, desc: PRUNE snapshot: 1";
    assert_eq!(operation(line), "Heap2/PRUNE");
    assert_eq!(operation("\tblkref #0: rel 1/2/3 blk 0"), "/");
}

#[test]
fn counts_of_a_table() {
    let table = "WAL statistics between 0/1 and 0/2:\nType  N (%)\n----  -\nHeap/INSERT  7 ( 70.00)  0\n\
                 Heap/INSERT+INIT 3 ( 30.00) 0\n        --------\nTotal  10  500 [50%]\n";
    let counts = Counts::parse(table).unwrap();
    assert_eq!(counts.total, 10);
    assert_eq!(counts.by_resource_manager["Heap"], [("INSERT".to_owned(), 7), ("INSERT+INIT".to_owned(), 3)]);
    assert!(Counts::parse("nothing").is_err());
}
