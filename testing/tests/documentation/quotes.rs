//! What is quoted from the sources is there.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// The line before a quoted block of code: the file that it is from.
const MARK: (&str, &str) = ("<!-- quoted: ", " -->");

#[test]
fn quoted_code_is_in_its_file() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no parent")?;
    let mut quotes = 0;
    for entry in fs::read_dir(root.join("docs"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        for quote in text.split(MARK.0).skip(1) {
            let (file, rest) = quote.split_once(MARK.1).context("a mark without an end")?;
            let code = rest.split("```").nth(1).context("no code behind the mark")?;
            // Behind the name of the language.
            let code = code.split_once('\n').context("no line of code")?.1;
            let source = fs::read_to_string(root.join(file)).with_context(|| file.to_owned())?;
            ensure!(lines(&source).contains(&lines(code)), "{}: not in {file}:\n{code}", path.display());
            quotes += 1;
        }
    }
    ensure!(quotes > 0, "the documentation quotes nothing");
    Ok(())
}

/// Without indentation, which differs.
fn lines(code: &str) -> String {
    code.lines().map(|line| format!("{}\n", line.trim())).collect()
}
