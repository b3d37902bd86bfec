//! Standard output: locked once, buffered, and with an error of its own so that a broken pipe can be told apart.

use std::io::{self, BufWriter, StdoutLock, Write as _};

use serde::Serialize;

use crate::exit::system_message;

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write to standard output: {}", system_message(.0))]
pub(crate) struct OutputError(io::Error);

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl OutputError {
    /// Whether the reader has gone.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Standard output.
#[derive(Debug)]
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    /// Takes standard output for as long as this lives.
    pub(crate) fn lock() -> Self {
        Self(BufWriter::with_capacity(64 * 1024, io::stdout().lock()))
    }

    /// Writes text as it is.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), OutputError> {
        Ok(self.0.write_all(text.as_bytes())?)
    }

    /// Writes bytes as they are.
    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        Ok(self.0.write_all(bytes)?)
    }

    /// Writes a value as JSON over several lines.
    pub(crate) fn write_json(&mut self, value: &impl Serialize) -> Result<(), OutputError> {
        serde_json::to_writer_pretty(&mut self.0, value).map_err(io::Error::from)?;
        self.write("\n")
    }

    /// Writes what is still buffered. Must be the last call, because dropping hides errors.
    pub(crate) fn finish(mut self) -> Result<(), OutputError> {
        Ok(self.0.flush()?)
    }
}
