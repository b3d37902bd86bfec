//! Getting in the way of WALker's worker.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::poll::poll;
use crate::process;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A worker that stands still until this is dropped.
#[derive(Debug)]
pub struct StoppedWorker {
    process: u32,
}

impl Cluster {
    /// Process id of the worker.
    ///
    /// # Errors
    /// If none runs.
    pub fn worker(&self) -> Result<u32> {
        self.background_workers("walker")?.first().copied().context("the worker does not run")
    }

    /// Waits until the plugin's row in `pg_stat_walker` fulfils a condition.
    ///
    /// # Errors
    /// If it never does.
    pub fn wait_for_plugin_row(&self, plugin: &str, condition: &str) -> Result<()> {
        let row = |columns: &str| format!("SELECT {columns} FROM pg_stat_walker WHERE plugin = '{plugin}'");
        let is_so = poll(TIMEOUT, || Ok((self.psql("postgres", &row(condition))? == "t").then_some(())))?;
        is_so.with_context(|| {
            format!("{plugin} is not {condition}: {:?}", self.psql("postgres", &row("pg_stat_walker.*")))
        })
    }

    /// Makes the worker stand still where it is (SIGSTOP).
    ///
    /// # Errors
    /// If none runs.
    pub fn stop_worker(&self) -> Result<StoppedWorker> {
        let stopped = StoppedWorker { process: self.worker()? };
        process::send_signal(stopped.process, Signal::STOP)?;
        let stands = poll(TIMEOUT, || Ok(process::stands_still(stopped.process).then_some(())))?;
        stands.context("the worker does not stand still")?;
        Ok(stopped)
    }

    /// Lets the worker's files grow to so many bytes only, or `unlimited`: as on a disk that is full.
    ///
    /// # Errors
    /// If none runs, or `prlimit` is missing.
    pub fn limit_worker_files(&self, bytes: &str) -> Result<()> {
        let worker = self.worker()?;
        // The server's user may do so, with a process of its own.
        self.psql("postgres", &format!("COPY (SELECT) TO PROGRAM 'prlimit --pid {worker} --fsize={bytes}:'"))?;
        Ok(())
    }
}

impl Drop for StoppedWorker {
    fn drop(&mut self) {
        // It may be gone: then the server has crashed.
        let _ = process::send_signal(self.process, Signal::CONT);
    }
}
