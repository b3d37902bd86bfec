//! A standby that replays a workload, checked while it does and compared afterwards.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use pgwal::{BlockNumber, DataPage, Lsn, RelFileLocator};

use super::crash_test::DEFAULTS;
use super::history::History;
use super::load;
use super::recovery::Replayed;
use super::relation_pages::{self, Mask};
use super::workload::{DATABASE, Workload};
use crate::builder::ClusterBuilder;
use crate::cluster::{Cluster, Mode};
use crate::command::run;
use crate::log::LogMark;
use crate::poll::poll;

/// For all that was written to be replayed.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Runs a [`Workload`] on a primary whose WAL a standby streams and replays.
///
/// The primary has `wal_consistency_checking` for the object's resource manager: each of its records holds the page as it is to
/// be, and the standby compares that with what redo has made, after both went through the mask (`rm_mask`). In the midst of
/// the workload the standby is killed and started again, so that it replays a part of the records twice.
///
/// At the end all is replayed, and then: the standby is alive, pages were compared, the digest is the same on both, and the
/// invariants hold on both. Both are stopped, and pages of relations are compared byte for byte, where that is asked for. At
/// last the standby is promoted: digest and invariants again, and operations go on there.
pub struct StandbyTest<'a> {
    workload: &'a Workload,
    operations: u64,
    consistency_checking: bool,
    relations: Vec<(String, Mask)>,
}

/// What was replayed and compared in a [`StandbyTest`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StandbyReport {
    /// What the standby replayed of the object.
    pub replayed: Replayed,
    /// How many pages of files were compared.
    pub pages_compared: u32,
    /// All operations, also those on the promoted standby.
    pub history: History,
}

impl fmt::Display for StandbyReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operations, pages) = (self.history.attempts().len(), self.pages_compared);
        write!(formatter, "{operations} operations; {}; {pages} pages compared in files", self.replayed)
    }
}

impl fmt::Debug for StandbyTest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relations: Vec<_> = self.relations.iter().map(|(relation, _)| relation).collect();
        formatter
            .debug_struct("StandbyTest")
            .field("workload", &self.workload)
            .field("operations", &self.operations)
            .field("consistency_checking", &self.consistency_checking)
            .field("relations", &relations)
            .finish()
    }
}

impl<'a> StandbyTest<'a> {
    /// Of this workload: 600 operations, if nothing else is said.
    #[must_use]
    pub fn new(workload: &'a Workload) -> Self {
        Self { workload, operations: 600, consistency_checking: true, relations: Vec::new() }
    }

    /// So many operations, in all sessions together.
    #[must_use]
    pub fn operations(mut self, operations: u64) -> Self {
        self.operations = operations.max(2);
        self
    }

    /// Without `wal_consistency_checking`: for a resource manager that has no mask, or whose records change no pages.
    #[must_use]
    pub fn without_consistency_checking(mut self) -> Self {
        self.consistency_checking = false;
        self
    }

    /// Compares all pages of the relation `name` in the files of both servers, its main fork. `mask` makes equal what may
    /// be different, such as bits that are set without a record: `|_, _| {}` if nothing may be, and redo is to give the same
    /// page, LSN and unused space too. Helpers for masks are at [`DataPage`]. Pages that were never initialised are not masked.
    #[must_use]
    pub fn compare_pages(
        mut self,
        name: &str,
        mask: impl Fn(&mut DataPage, BlockNumber) + Send + Sync + 'static,
    ) -> Self {
        self.relations.push((name.to_owned(), Box::new(mask)));
        self
    }

    /// Makes a primary as `builder` describes it (with `shared_preload_libraries`, where the object needs that) and its
    /// standby, and runs the workload.
    ///
    /// # Errors
    /// What is wrong.
    pub fn run(&self, builder: ClusterBuilder) -> Result<StandbyReport> {
        let seed = self.workload.seed;
        self.workload.check()?;
        self.run_with(builder.defaults(DEFAULTS)).with_context(|| format!("standby, seed {seed}"))
    }

    fn run_with(&self, mut builder: ClusterBuilder) -> Result<StandbyReport> {
        let (workload, mut history) = (self.workload, History::default());
        if self.consistency_checking {
            // A list of identifiers: without quotes, the name could not hold a space.
            builder = builder.setting("wal_consistency_checking", &format!("\"{}\"", workload.rmgr_name));
        }
        let mut primary = builder.start()?;
        let mut standby = primary.base_backup(Cluster::builder(primary.installation()))?;
        standby.follow(&primary)?;
        standby.start()?;

        let start = primary.flush_wal()?;
        workload.set_up(&primary)?;
        load::run(workload, &mut primary, &mut history, |_, progress| {
            progress.wait_for(self.operations / 2)?;
            require_alive(&standby)?;
            standby.crash()?;
            standby.start().map_err(|error| explain(&standby, error))?;
            progress.wait_for(self.operations)
        })?;
        let end = primary.flush_wal()?;
        wait_until_replayed(&standby, end)?;
        let replayed = Replayed::between(&primary, start, end, workload.rmgr)?;
        self.require_checks(replayed)?;

        load::check(workload, &primary, &mut history).context("on the primary")?;
        let digest = workload.take_digest(&primary)?;
        load::compare_digest(workload, &standby, digest.as_ref(), ["on the primary", "on the standby"])?;
        workload.check_invariants(&standby, &history).context("on the standby")?;

        let pages_compared = self.stop_and_compare_files(&mut primary, &mut standby)?;

        standby.start().map_err(|error| explain(&standby, error))?;
        standby.promote()?;
        load::compare_digest(workload, &standby, digest.as_ref(), ["on the primary", "on the promoted standby"])?;
        load::check(workload, &standby, &mut history).context("on the promoted standby")?;
        load::run_operations(workload, &mut standby, &mut history, self.operations.div_ceil(4))
            .context("on the promoted standby")?;
        load::check(workload, &standby, &mut history).context("after operations on the promoted standby")?;
        Ok(StandbyReport { replayed, pages_compared, history })
    }

    /// An error if nothing was tested.
    fn require_checks(&self, replayed: Replayed) -> Result<()> {
        let name = &self.workload.rmgr_name;
        ensure!(replayed.records > 0, "no record of {name} was replayed");
        ensure!(
            replayed.changed > 0,
            "each page of {name} came with an image, so that redo changed nothing: {replayed}"
        );
        ensure!(
            !self.consistency_checking || replayed.checked > 0,
            "no page was checked by wal_consistency_checking for {name}: {replayed}"
        );
        Ok(())
    }

    fn stop_and_compare_files(&self, primary: &mut Cluster, standby: &mut Cluster) -> Result<u32> {
        let find = |name: &str| -> Result<(RelFileLocator, String)> {
            let path = format!("SELECT pg_relation_filepath('{}')", name.replace('\'', "''"));
            Ok((primary.relation_files(DATABASE, name)?, primary.psql(DATABASE, &path)?))
        };
        let files: Vec<_> = self.relations.iter().map(|(name, _)| find(name)).collect::<Result<_>>()?;
        // A standby writes its pages at a restartpoint, which follows a checkpoint of the primary.
        primary.stop(Mode::Fast)?;
        wait_until_replayed(standby, last_checkpoint(primary)?.advanced(1))?;
        standby.stop(Mode::Fast).map_err(|error| explain(standby, error))?;
        let mut pages = 0;
        let directories = [primary.data_directory(), standby.data_directory()];
        for ((name, mask), (locator, path)) in self.relations.iter().zip(files) {
            let compared = relation_pages::compare(locator, &path, directories.each_ref().map(PathBuf::as_path), mask);
            pages += compared.with_context(|| format!("the files of {name}"))?;
        }
        Ok(pages)
    }
}

/// Beginning of the record of the last checkpoint of a server that was stopped.
fn last_checkpoint(server: &Cluster) -> Result<Lsn> {
    let printed = run(server.program("pg_controldata")?.arg(server.data_directory()), "")?;
    let position = printed.lines().find_map(|line| line.strip_prefix("Latest checkpoint location:"));
    Ok(position.context("pg_controldata tells no checkpoint")?.trim().parse()?)
}

/// Waits until the standby has replayed all records that begin before `lsn`.
fn wait_until_replayed(standby: &Cluster, lsn: Lsn) -> Result<()> {
    let replayed = poll(TIMEOUT, || {
        require_alive(standby)?;
        // It may be stopping just now: the next look tells.
        let Ok(position) = standby.psql(DATABASE, "SELECT pg_last_wal_replay_lsn()") else { return Ok(None) };
        let position = if position.is_empty() { Lsn::INVALID } else { position.parse()? };
        Ok((position >= lsn).then_some(()))
    })?;
    replayed.with_context(|| {
        let tail = standby.log_tail(LogMark::BEGINNING);
        format!("the standby has not replayed the WAL up to {lsn} after {TIMEOUT:?}; the end of its log:\n{tail}")
    })
}

/// An error if redo has ended the standby, with what it said.
fn require_alive(standby: &Cluster) -> Result<()> {
    let log = standby.log()?;
    let line = log.lines().find(|line| {
        line.contains("inconsistent page found")
            || (line.contains("FATAL:  ") && !line.contains("the database system is"))
    });
    if let Some(line) = line.filter(|line| line.contains("inconsistent page found") || !standby.is_running()) {
        bail!("the standby has stopped replaying: {}", with_what_follows(&log, line));
    }
    ensure!(standby.is_running(), "the standby has ended:\n{}", standby.log_tail(LogMark::BEGINNING));
    Ok(())
}

/// The cause of an error is mostly in the standby's log.
fn explain(standby: &Cluster, error: anyhow::Error) -> anyhow::Error {
    match require_alive(standby) {
        Err(cause) if format!("{cause:#}").contains("inconsistent page found") => cause,
        _ => error.context("the standby"),
    }
}

/// The line, and the one behind it, which tells the record.
fn with_what_follows(log: &str, line: &str) -> String {
    let from = log.lines().skip_while(|one| *one != line);
    from.take(2).collect::<Vec<_>>().join("\n")
}
