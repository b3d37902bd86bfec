//! `cargo xtask book`.

use anyhow::Result;

use crate::command::run as run_command;
use crate::tools;
use crate::workspace::Workspace;

/// Makes the book of docs/ with mdbook, as HTML in the directory `book` of the target directory.
///
/// The machine's own mdbook is used if it is of the right version; otherwise it is built into the cache, once, which takes
/// some minutes. That links and quotes are right is tested by `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// `cargo xtask book`.
pub(crate) fn run(_arguments: &Arguments) -> Result<()> {
    let workspace = Workspace::load()?;
    let directory = workspace.target().join("book");
    let mut mdbook = tools::mdbook()?;
    run_command(mdbook.arg("build").arg("--dest-dir").arg(&directory).arg(workspace.root()))?;
    println!("the book: {}", directory.join("index.html").display());
    Ok(())
}
