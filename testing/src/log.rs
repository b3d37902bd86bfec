//! The server's log.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cluster::Cluster;
use crate::poll::poll;

/// So many lines of the log are put into an error.
const TAIL: usize = 30;

/// A place in the server's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogMark(usize);

impl LogMark {
    /// Before the first line.
    pub const BEGINNING: Self = Self(0);
}

impl Cluster {
    /// The file with the server's log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.directory().join("server.log")
    }

    /// The server's log since the cluster was made, over all its restarts.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn log(&self) -> Result<String> {
        self.log_since(LogMark::BEGINNING)
    }

    /// The end of the log as it is now, to look later only at what was added.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn log_mark(&self) -> Result<LogMark> {
        Ok(LogMark(self.log_bytes()?.len()))
    }

    /// What was added to the log since `mark`.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn log_since(&self, mark: LogMark) -> Result<String> {
        let bytes = self.log_bytes()?;
        Ok(String::from_utf8_lossy(bytes.get(mark.0..).unwrap_or_default()).into_owned())
    }

    /// Waits until a whole line of the log contains `pattern`, and returns the first such line.
    ///
    /// # Errors
    /// If there is none after `timeout`.
    pub fn wait_for_log(&self, pattern: &str, timeout: Duration) -> Result<String> {
        self.wait_for_log_since(LogMark::BEGINNING, pattern, timeout)
    }

    /// As [`Cluster::wait_for_log`], looking only at what was added since `mark`.
    ///
    /// # Errors
    /// If there is none after `timeout`.
    pub fn wait_for_log_since(&self, mark: LogMark, pattern: &str, timeout: Duration) -> Result<String> {
        let found = poll(timeout, || {
            let log = self.log_since(mark)?;
            // A line without its end is still being written.
            let lines = log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            Ok(lines.into_iter().find(|line| line.contains(pattern)).map(str::to_owned))
        })?;
        found.with_context(|| {
            let tail = self.log_tail(mark);
            format!("nothing with \"{pattern}\" in the server's log after {timeout:?}; its end:\n{tail}")
        })
    }

    /// The last lines since `mark`, for a message.
    pub(crate) fn log_tail(&self, mark: LogMark) -> String {
        match self.log_since(mark) {
            Ok(log) => {
                let lines: Vec<_> = log.lines().collect();
                lines[lines.len().saturating_sub(TAIL)..].join("\n")
            }
            Err(error) => format!("{error:#}"),
        }
    }

    fn log_bytes(&self) -> Result<Vec<u8>> {
        let file = self.log_file();
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    }
}
