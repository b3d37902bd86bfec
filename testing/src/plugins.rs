//! Plugins in C, compiled as an author outside of this repository would.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::run;
use crate::installation::Installation;

/// Compiles the one C file `source` against the headers of `installation` and those in `include_dir`, and writes the
/// shared library `output`. The compiler is `cc`, or what the environment variable `CC` names.
///
/// # Errors
/// If it does not compile; the error holds what the compiler said.
pub fn compile_c_plugin(installation: &Installation, source: &Path, include_dir: &Path, output: &Path) -> Result<()> {
    // Symbols stay visible: without PGDLLEXPORT on everything, a server up to 15 would not find the magic block.
    let mut compiler = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler
        .args(["-shared", "-O2", "-g", "-Wall"])
        .args(installation.value("CFLAGS_SL")?.split_whitespace())
        .arg("-I")
        .arg(include_dir)
        .arg("-I")
        .arg(installation.server_include_directory()?)
        .args(installation.value("CPPFLAGS")?.split_whitespace())
        .arg("-o")
        .arg(output)
        .arg(source);
    run(&mut compiler, "").with_context(|| format!("cannot compile {}", source.display()))?;
    Ok(())
}
