//! The differences that are known and have a reason: those listed in `differences.txt`.

use std::cell::Cell;

use anyhow::{Context as _, Result, ensure};

const LIST: &str = include_str!("differences.txt");
const SEPARATOR: &str = " | ";

/// What is listed for one major.
pub(crate) struct Differences(Vec<Difference>);

struct Difference {
    operation: String,
    theirs: String,
    ours: String,
    occurred: Cell<u64>,
}

impl Differences {
    pub(crate) fn of(major: u32) -> Result<Self> {
        Self::parse(LIST, major)
    }

    fn parse(list: &str, major: u32) -> Result<Self> {
        let lines = list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let parsed = lines.map(|line| Difference::parse(line).with_context(|| format!("not a difference: {line}")));
        let of_major = |(majors, difference): (String, Difference)| {
            (majors == "*" || majors == major.to_string()).then_some(difference)
        };
        Ok(Self(parsed.collect::<Result<Vec<_>>>()?.into_iter().filter_map(of_major).collect()))
    }

    /// Whether lines that differ do so in a listed way.
    pub(crate) fn allow(&self, operation: &str, theirs: &str, ours: &str) -> bool {
        let listed = self.0.iter().find(|difference| difference.explains(operation, theirs, ours));
        if let Some(difference) = listed {
            difference.occurred.set(difference.occurred.get() + 1);
        }
        listed.is_some()
    }

    /// Shows how often each occurred.
    ///
    /// # Errors
    /// If one did not: then it has no place in the list.
    pub(crate) fn ensure_all_occurred(&self) -> Result<()> {
        for Difference { operation, theirs, ours, occurred } in &self.0 {
            eprintln!("    listed difference, {} lines: {operation}: \"{theirs}\" is \"{ours}\"", occurred.get());
            ensure!(occurred.get() > 0, "{operation}: \"{theirs}\" is listed as a difference, but does not occur");
        }
        Ok(())
    }
}

impl Difference {
    fn parse(line: &str) -> Result<(String, Self)> {
        let parts: Vec<_> = line.split(SEPARATOR).collect();
        let [majors, operation, theirs, ours, reason] = parts[..] else { anyhow::bail!("not five parts") };
        ensure!(majors == "*" || majors.parse::<u32>().is_ok(), "no major: {majors}");
        ensure!(!theirs.is_empty() && !reason.trim().is_empty(), "no text or no reason");
        let [operation, theirs, ours] = [operation, theirs, ours].map(str::to_owned);
        Ok((majors.to_owned(), Self { operation, theirs, ours, occurred: Cell::new(0) }))
    }

    fn explains(&self, operation: &str, theirs: &str, ours: &str) -> bool {
        self.operation == operation && theirs.contains(&self.theirs) && theirs.replace(&self.theirs, &self.ours) == ours
    }
}

#[test]
fn only_what_is_listed_is_allowed() {
    let list = "# a comment\n\n16 | Heap/LOCK | infobits: [] | infobits: [x] | because\n";
    let differences = Differences::parse(list, 16).unwrap();
    assert!(differences.ensure_all_occurred().is_err());
    assert!(differences.allow("Heap/LOCK", "xmax 1 infobits: [] end", "xmax 1 infobits: [x] end"));
    assert!(!differences.allow("Heap/LOCK", "xmax 1 infobits: [] end", "xmax 2 infobits: [x] end"));
    assert!(!differences.allow("Heap/INSERT", "xmax 1 infobits: [] end", "xmax 1 infobits: [x] end"));
    differences.ensure_all_occurred().unwrap();
    assert!(!Differences::parse(list, 15).unwrap().allow("Heap/LOCK", "infobits: []", "infobits: [x]"));
    assert!(Differences::parse("16 | Heap/LOCK | a | b | \n", 16).is_err());
    assert!(Differences::parse("16 | Heap/LOCK | a | b\n", 16).is_err());
}
