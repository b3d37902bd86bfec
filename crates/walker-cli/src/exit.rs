//! How the command ends: the exit code, and the message on stderr in PostgreSQL's manner.

use std::fmt;
use std::io::{Write as _, stderr};
use std::process::ExitCode;

use anyhow::{Error, Result};
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::output::OutputError;

/// What the command tells its caller by its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All was done, or nobody wanted to read more.
    Success = 0,
    /// Something could not be done, or the command line was wrong; stderr says what. PostgreSQL's programs do not tell
    /// the two apart. Or the answer to the question is no.
    Failure = 1,
    /// A question whose answer is yes or no could not be answered by what is known.
    Undecided = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with a piece of advice.
#[derive(Debug)]
pub(crate) struct Hinted {
    message: String,
    hint: String,
}

impl Hinted {
    /// An error that says `message` and advises `hint`.
    pub(crate) fn error(message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::new(Self { message: message.into(), hint: hint.into() })
    }

    /// The advice.
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// Reports an error, if there is one, and says how the command ends.
pub(crate) fn finish(outcome: Result<Exit>) -> ExitCode {
    let exit = match outcome {
        Ok(exit) => exit,
        Err(error) if is_broken_pipe(&error) => Exit::Success,
        Err(error) => {
            tell(&report(&error));
            Exit::Failure
        }
    };
    exit.into()
}

/// Tells stderr of something that does not end the command.
pub(crate) fn warn(message: &dyn fmt::Display) {
    tell(&format!("walker: warning: {message}\n"));
}

/// Writes to stderr. Where that has gone, as behind `2>&1 | head`, the exit code alone has to tell.
pub(crate) fn tell(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

/// Prints clap's answer to the command line: the help or version that was asked for, or what is wrong.
pub(crate) fn refuse(mut answer: clap::Error) -> ExitCode {
    if let Some(table) = table_without_option(&answer) {
        let advice = format!("to name a table, use '--table {table}'");
        answer.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
    }
    // Where it cannot be printed, the code alone has to tell.
    let _ = answer.print();
    if answer.use_stderr() { Exit::Failure.into() } else { Exit::Success.into() }
}

/// What was given as an argument to a command that takes none, and wants a table by `--table`.
fn table_without_option(answer: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(argument)) = answer.get(ContextKind::InvalidArg) else { return None };
    let usage = answer.get(ContextKind::Usage)?.to_string();
    let is_name = answer.kind() == ErrorKind::UnknownArgument && !argument.starts_with('-');
    (is_name && usage.contains("--table")).then(|| argument.clone())
}

/// The lines that stderr shows.
fn report(error: &Error) -> String {
    let mut text = format!("walker: error: {error:#}\n");
    for hinted in error.chain().filter_map(|cause| cause.downcast_ref::<Hinted>()) {
        text.push_str(&format!("walker: hint: {}\n", hinted.hint));
    }
    text
}

/// What the system says about an error, without its number.
pub(crate) fn system_message(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Whether the reader of our output, such as `head`, has seen enough.
fn is_broken_pipe(error: &Error) -> bool {
    error.downcast_ref::<OutputError>().is_some_and(OutputError::is_broken_pipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn causes_follow_on_one_line_and_hints_below() {
        let error = Err::<(), _>(Hinted::error("no such file", "look elsewhere")).context("could not open it");
        let expected = "walker: error: could not open it: no such file\nwalker: hint: look elsewhere\n";
        assert_eq!(report(&error.unwrap_err()), expected);
    }

    #[test]
    fn who_forgets_the_name_of_an_option_is_told_it() {
        use clap::Parser as _;
        let refused = |line: &str| {
            let error = crate::arguments::Arguments::try_parse_from(line.split(' ')).unwrap_err();
            table_without_option(&error)
        };
        assert_eq!(refused("walker heatmap orders").as_deref(), Some("orders"));
        assert_eq!(refused("walker heatmap --orders"), None);
        assert_eq!(refused("walker top orders"), None);
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let gone = OutputError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&gone.into()));
        let full = OutputError::from(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert!(!is_broken_pipe(&full.into()));
    }
}
