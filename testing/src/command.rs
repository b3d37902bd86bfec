//! Child processes that say what went wrong: which program, with which status, and what it wrote to stderr.

use std::io::{self, Write as _};
use std::process::{Command, Output, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};

/// Runs `command` with `input` on its standard input, and returns what it printed.
pub(crate) fn run(command: &mut Command, input: &str) -> Result<String> {
    let output = output(command, input)?;
    if !output.status.success() {
        bail!("{} failed ({})\n{}", name(command), output.status, text(&output).trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Program name without its folder, as it is said in messages.
pub(crate) fn name(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned()
}

fn output(command: &mut Command, input: &str) -> Result<Output> {
    let name = name(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let mut stdin = child.stdin.take().context("the child has no standard input")?;
    // A thread of its own feeds the child: it may print more than a pipe holds before it has read everything.
    thread::scope(|scope| {
        let feeder = scope.spawn(move || match stdin.write_all(input.as_bytes()) {
            // It ended before it had read everything: its exit status tells why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        });
        let output = child.wait_with_output().with_context(|| format!("cannot read the output of {name}"))?;
        match feeder.join() {
            Ok(written) => written.with_context(|| format!("cannot write to {name}"))?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(output)
    })
}

/// What the child wrote to stderr, or else to stdout: some programs (`initdb`) put half of the story there.
fn text(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.trim().is_empty() { String::from_utf8_lossy(&output.stdout).into_owned() } else { stderr.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_program_its_status_and_its_stderr() {
        let error = run(Command::new("sh").args(["-c", "echo the reason >&2; exit 3"]), "").unwrap_err().to_string();
        assert_eq!(error, "sh failed (exit status: 3)\nthe reason");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("/nowhere/psql"), "").unwrap_err().to_string();
        assert_eq!(error, "cannot run /nowhere/psql");
    }

    #[test]
    fn more_input_and_output_than_a_pipe_holds() {
        let input = "x".repeat(1 << 20);
        assert_eq!(run(&mut Command::new("cat"), &input).unwrap(), input);
    }

    #[test]
    fn a_child_that_does_not_read_its_input_is_no_error() {
        assert_eq!(run(&mut Command::new("true"), &"x".repeat(1 << 20)).unwrap(), "");
    }
}
