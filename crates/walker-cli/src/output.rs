//! Standard output: locked once, buffered, and with an error of its own so that a broken pipe can be told apart.

use std::io::{self, StdoutLock, Write as _};
use std::sync::Arc;

use pgwal::{Descriptors, TextBuffer};
use serde::Serialize;

use crate::exit::system_message;
use crate::time;

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

/// Standard output. What is appended is written when there is enough of it, at the end, and where an error ends the
/// command.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: StdoutLock<'static>,
    text: TextBuffer,
}

impl Output {
    /// So many bytes are written at a time.
    const ENOUGH: usize = 64 * 1024;

    /// Takes standard output for as long as this lives.
    pub(crate) fn lock() -> Self {
        Self { stdout: io::stdout().lock(), text: time::local_text() }
    }

    /// The same, where records of custom resource managers are described by these.
    pub(crate) fn describing(mut self, descriptors: Arc<Descriptors>) -> Self {
        self.text = std::mem::take(&mut self.text).with_descriptors(descriptors);
        self
    }

    /// Where to append.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<&mut TextBuffer, OutputError> {
        if self.text.len() >= Self::ENOUGH {
            self.write_out()?;
        }
        Ok(&mut self.text)
    }

    /// Writes text as it is.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), OutputError> {
        Ok(self.text()?.write_all(text.as_bytes())?)
    }

    /// Writes bytes as they are, behind what was appended.
    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.write_out()?;
        Ok(self.stdout.write_all(bytes)?)
    }

    /// Writes a value as JSON over several lines.
    pub(crate) fn write_json(&mut self, value: &impl Serialize) -> Result<(), OutputError> {
        serde_json::to_writer_pretty(self.text()?, value).map_err(io::Error::from)?;
        self.write("\n")
    }

    /// Writes what is still here; more may follow.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        self.write_out()?;
        Ok(self.stdout.flush()?)
    }

    /// Writes what is still here. Must be the last call, because dropping hides errors.
    pub(crate) fn finish(mut self) -> Result<(), OutputError> {
        self.flush()
    }

    fn write_out(&mut self) -> Result<(), OutputError> {
        let written = self.stdout.write_all(self.text.as_bytes());
        // Once only, even if it failed.
        self.text.clear();
        Ok(written?)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let _ = self.write_out();
    }
}
