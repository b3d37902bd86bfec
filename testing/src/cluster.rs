//! A server of its own for a test: made, started, stopped, crashed and removed.

use std::env;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::builder::ClusterBuilder;
use crate::command::run;
use crate::directory::{is_open, temporary_directory};
use crate::installation::Installation;
use crate::log::LogMark;
use crate::poll::poll;
use crate::process::{self, Process};
use crate::server_user::ServerUser;

/// Name of the superuser of every cluster.
pub const SUPERUSER: &str = "postgres";

/// Part of the socket's file name only: no TCP port is opened, and each cluster's socket is in a directory of its own.
pub(crate) const PORT: &str = "5432";
/// Long enough for the recovery of a large test on a slow machine.
const START_TIMEOUT: Duration = Duration::from_secs(180);
const STOP_TIMEOUT: Duration = Duration::from_secs(120);
/// Children notice that the postmaster has died when they next wait for something.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(60);
/// Programs that refuse root, or write files that the server must own.
const OF_THE_SERVER: [&str; 9] = [
    "initdb",
    "pg_basebackup",
    "pg_checksums",
    "pg_ctl",
    "pg_receivewal",
    "pg_resetwal",
    "pg_rewind",
    "pg_upgrade",
    "postgres",
];

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Waits until all clients have gone.
    Smart,
    /// Disconnects the clients and writes a checkpoint.
    Fast,
    /// Stops without a checkpoint: the next start has to recover.
    Immediate,
}

impl Mode {
    /// The signal that the postmaster understands so.
    const fn signal(self) -> Signal {
        match self {
            Self::Smart => Signal::TERM,
            Self::Fast => Signal::INT,
            Self::Immediate => Signal::QUIT,
        }
    }
}

/// A PostgreSQL server in a temporary directory of its own. Dropping it stops the server and removes the directory.
#[derive(Debug)]
pub struct Cluster {
    installation: Installation,
    /// Whom the server runs as, if not as this process.
    user: Option<ServerUser>,
    /// Empty only after [`Cluster::keep`].
    directory: Option<TempDir>,
    postmaster: Option<Child>,
    detached: bool,
    /// Files of shared memory that servers which crashed had.
    left_behind: Vec<PathBuf>,
}

impl Cluster {
    /// Begins to describe a cluster of that installation.
    #[must_use]
    pub fn builder(installation: &Installation) -> ClusterBuilder {
        ClusterBuilder::new(installation)
    }

    /// A cluster whose directories exist, with no files in them yet.
    pub(crate) fn empty(installation: Installation, detached: bool) -> Result<Self> {
        let user = ServerUser::needed()?;
        let directory = temporary_directory()?;
        // The cache of `cargo xtask setup` may be in the closed home directory of root.
        let installation = if user.is_some() && !is_open(installation.binary_directory()?) {
            let copy = directory.path().join("installation");
            fs::create_dir(&copy).with_context(|| format!("cannot make {}", copy.display()))?;
            installation.private_copy(&copy)?
        } else {
            installation
        };
        let directory = Some(directory);
        let cluster = Self { installation, user, directory, postmaster: None, detached, left_behind: Vec::new() };
        for directory in [cluster.data_directory(), cluster.socket_directory()] {
            DirBuilder::new()
                .mode(0o700)
                .create(&directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
            cluster.give_to_server(&directory)?;
        }
        Ok(cluster)
    }

    /// The installation whose server this is.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Adds settings to `postgresql.conf`. They hold after [`Cluster::reload`] or [`Cluster::restart`].
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn configure<'a>(&self, settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<()> {
        let lines: String =
            settings.into_iter().map(|(name, value)| format!("{name} = {}\n", quoted_setting(value))).collect();
        let path = self.data_directory().join("postgresql.conf");
        let write = || OpenOptions::new().append(true).open(&path)?.write_all(lines.as_bytes());
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes a file into the data directory, which belongs to the server and which nobody else may read, as it wants its key.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_file(&self, name: &str, content: &str) -> Result<()> {
        let path = self.data_directory().join(name);
        let write = || {
            fs::write(&path, content)?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        self.give_to_server(&path)
    }

    /// Starts the server and waits until it accepts connections.
    ///
    /// # Errors
    /// If it does not; the error holds the end of the server's log.
    pub fn start(&mut self) -> Result<()> {
        let (mut postmaster, mark) = self.spawn()?;
        let outcome = poll(START_TIMEOUT, || {
            if let Some(status) = postmaster.try_wait()? {
                bail!("the server did not start ({status}); the end of its log:\n{}", self.log_tail(mark));
            }
            Ok(self.accepts_connections(postmaster.id()).then_some(()))
        });
        // From here on it is stopped with the cluster, even if it took too long.
        if !matches!(postmaster.try_wait(), Ok(Some(_))) {
            self.postmaster = Some(postmaster);
        }
        outcome?.with_context(|| {
            let tail = self.log_tail(mark);
            format!("the server does not accept connections after {START_TIMEOUT:?}; the end of its log:\n{tail}")
        })
    }

    /// Starts a postmaster, whose log begins at the mark.
    fn spawn(&mut self) -> Result<(Child, LogMark)> {
        if let Some(before) = &mut self.postmaster {
            ensure!(before.try_wait()?.is_some(), "the server runs already");
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log_file());
        let log = log.with_context(|| format!("cannot open {}", self.log_file().display()))?;
        self.give_to_server(&self.log_file())?;
        let mark = self.log_mark()?;
        let mut command = self.program("postgres")?;
        command.arg("-D").arg(self.data_directory()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        if self.detached {
            command.process_group(0);
        }
        let postmaster = command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok((postmaster, mark))
    }

    /// Starts the server and kills all its processes after `pause`, without waiting until it accepts connections: within
    /// recovery, or soon before or after it.
    ///
    /// # Errors
    /// If it cannot be started, or a process stays.
    pub fn crash_while_starting(&mut self, pause: Duration) -> Result<()> {
        let (postmaster, _) = self.spawn()?;
        self.postmaster = Some(postmaster);
        thread::sleep(pause);
        self.crash_at_once()
    }

    /// Stops the server and waits until it has ended; does nothing if it does not run.
    ///
    /// # Errors
    /// If it does not end, or ends with an error; the error holds the end of the server's log.
    pub fn stop(&mut self, mode: Mode) -> Result<()> {
        if self.postmaster.is_none() {
            return Ok(());
        }
        let mark = self.log_mark()?;
        let Some(postmaster) = &mut self.postmaster else { return Ok(()) };
        if postmaster.try_wait()?.is_none() {
            process::send_signal(postmaster.id(), mode.signal())?;
        }
        let ended = poll(STOP_TIMEOUT, || Ok(postmaster.try_wait()?))?;
        if ended.is_some() {
            self.postmaster = None;
        }
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("the server ended with {status}; the end of its log:\n{}", self.log_tail(mark)),
            None => bail!(
                "the server has not stopped {STOP_TIMEOUT:?} after the request for a {mode:?} stop; \
                 the end of its log:\n{}",
                self.log_tail(mark)
            ),
        }
    }

    /// Stops the server in that way and starts it again.
    ///
    /// # Errors
    /// If one of them fails.
    pub fn restart(&mut self, mode: Mode) -> Result<()> {
        self.stop(mode)?;
        self.start()
    }

    /// Kills the postmaster (`kill -9`) and waits until all its children have noticed that and gone, so that the
    /// shared memory is free and the server can be started again. They notice when they next wait for something: a
    /// statement that is being run is mostly run to its end. What is not yet flushed is lost.
    ///
    /// # Errors
    /// If the server does not run, or a child stays.
    pub fn crash(&mut self) -> Result<()> {
        self.kill(|_| Ok(()))
    }

    /// As [`Cluster::crash`], but all processes are killed: each stops in the midst of what it does, a page that was being
    /// written may be torn, as after a loss of power.
    ///
    /// # Errors
    /// As [`Cluster::crash`].
    pub fn crash_at_once(&mut self) -> Result<()> {
        self.kill(|children| {
            for child in children.iter().filter(|child| child.is_alive()) {
                child.kill()?;
            }
            Ok(())
        })
    }

    /// Kills the postmaster, after `kill_children` has seen all of its children.
    fn kill(&mut self, kill_children: impl FnOnce(&[Process]) -> Result<()>) -> Result<()> {
        let mut postmaster = self.postmaster.take().context("the server does not run")?;
        // A postmaster that stands still has no more children than are seen here.
        process::send_signal(postmaster.id(), Signal::STOP)?;
        poll(ORPHAN_TIMEOUT, || Ok(process::stands_still(postmaster.id()).then_some(())))?;
        let children = Process::children_of(postmaster.id());
        let all = children.iter().flatten().cloned().chain(Process::alive(postmaster.id()));
        self.left_behind.extend(all.flat_map(|process| process.shared_memory()));
        let killed = kill_children(children.as_deref().unwrap_or_default());
        process::send_signal(postmaster.id(), Signal::KILL)?;
        postmaster.wait()?;
        let children = children?;
        killed?;
        let gone = poll(ORPHAN_TIMEOUT, || Ok((!children.iter().any(Process::is_alive)).then_some(())))?;
        gone.with_context(|| {
            let left: Vec<_> = children.iter().filter(|child| child.is_alive()).map(Process::title).collect();
            format!("still there {ORPHAN_TIMEOUT:?} after the postmaster was killed: {}", left.join(", "))
        })
    }

    /// Makes the server read its configuration files again, and waits until the postmaster has; sessions that begin
    /// afterwards have the new settings, running ones get them when they are next idle.
    ///
    /// # Errors
    /// If the server does not run or does not answer.
    pub fn reload(&self) -> Result<()> {
        let loaded = "SELECT extract(epoch FROM pg_conf_load_time())";
        let before = self.psql("postgres", loaded)?;
        process::send_signal(self.postmaster_id()?, Signal::HUP)?;
        poll(STOP_TIMEOUT, || Ok((self.psql("postgres", loaded)? != before).then_some(())))?
            .context("the server does not read its configuration again")
    }

    /// Promotes a standby, and waits until it accepts writes.
    ///
    /// # Errors
    /// If it is not a standby or does not get ready.
    pub fn promote(&self) -> Result<()> {
        let promoted = self.psql("postgres", "SELECT pg_promote(true, 120)")?;
        ensure!(
            promoted == "t",
            "the standby was not promoted; the end of its log:\n{}",
            self.log_tail(LogMark::BEGINNING)
        );
        Ok(())
    }

    /// Whether the postmaster is alive.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.postmaster.as_ref().is_some_and(|postmaster| Process::alive(postmaster.id()).is_some())
    }

    /// Process id of the postmaster.
    ///
    /// # Errors
    /// If the server was not started.
    pub fn postmaster_id(&self) -> Result<u32> {
        Ok(self.postmaster.as_ref().context("the server does not run")?.id())
    }

    /// Sends `signal` to all processes whose `backend_type` in `pg_stat_activity` is this one (for a background
    /// worker: its `bgw_type`), and returns their process ids. After [`Signal::KILL`] the postmaster restarts all of
    /// its children: see [`Cluster::wait_until_accepting`].
    ///
    /// # Errors
    /// If there is no such process.
    pub fn kill_background_worker(&self, backend_type: &str, signal: Signal) -> Result<Vec<u32>> {
        let ids = self.background_workers(backend_type)?;
        ensure!(!ids.is_empty(), "pg_stat_activity shows no \"{backend_type}\"");
        for &id in &ids {
            process::send_signal(id, signal)?;
        }
        Ok(ids)
    }

    /// Process ids of the processes whose `backend_type` in `pg_stat_activity` is this one.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub fn background_workers(&self, backend_type: &str) -> Result<Vec<u32>> {
        let literal = backend_type.replace('\'', "''");
        let ids = format!("SELECT pid FROM pg_stat_activity WHERE backend_type = '{literal}' ORDER BY pid");
        self.psql("postgres", &ids)?.lines().map(|id| Ok(id.parse()?)).collect()
    }

    /// Waits until a client can connect, for example after a child was killed and all were restarted.
    ///
    /// # Errors
    /// If none can after `timeout`.
    pub fn wait_until_accepting(&self, timeout: Duration) -> Result<()> {
        let mut last = None;
        let connected = poll(timeout, || match self.psql("postgres", "SELECT 1") {
            Ok(_) => Ok(Some(())),
            Err(error) => {
                last = Some(error);
                Ok(None)
            }
        })?;
        match (connected, last) {
            (None, Some(error)) => Err(error.context(format!("no connection is possible after {timeout:?}"))),
            _ => Ok(()),
        }
    }

    /// One of the installation's programs, told in its environment how to connect to this server. Those that refuse
    /// root, or write files which the server must own, run as the server's user.
    ///
    /// # Errors
    /// If the installation does not tell where its programs are.
    pub fn program(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(self.installation.program(name)?);
        for (variable, _) in env::vars_os() {
            if variable.to_string_lossy().starts_with("PG") {
                command.env_remove(variable);
            }
        }
        command
            // With it each error that a Rust library reports costs 0.4 s and 40 lines of log.
            .env_remove("RUST_BACKTRACE")
            .env_remove("RUST_LIB_BACKTRACE")
            .env("LC_ALL", "C")
            .env("PGHOST", self.socket_directory())
            .env("PGPORT", PORT)
            .env("PGUSER", SUPERUSER)
            .env("PGDATABASE", "postgres");
        if OF_THE_SERVER.contains(&name) {
            // The server's user may not be able to enter the directory of this process.
            command.current_dir(self.directory());
            if let Some(user) = &self.user {
                user.run(&mut command);
            }
        }
        Ok(command)
    }

    /// How a libpq or libpq-like client connects to this server.
    #[must_use]
    pub fn connection_string(&self, database: &str) -> String {
        let host = self.socket_directory();
        let quoted = |value: &str| format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"));
        let plain = |value: &str| {
            let word = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
            if !value.is_empty() && value.chars().all(word) { value.to_owned() } else { quoted(value) }
        };
        format!("host={} port={PORT} user={SUPERUSER} dbname={}", plain(&host.to_string_lossy()), plain(database))
    }

    /// The directory that holds everything of this cluster.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// The data directory (`PGDATA`).
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.directory().join("data")
    }

    /// The directory of the write-ahead log.
    #[must_use]
    pub fn wal_directory(&self) -> PathBuf {
        self.data_directory().join("pg_wal")
    }

    /// The directory of the Unix socket: what a client takes as its host.
    #[must_use]
    pub fn socket_directory(&self) -> PathBuf {
        self.directory().join("socket")
    }

    /// Leaves everything as it is: a running server runs on and the directory, which is returned, stays.
    #[must_use = "nobody removes this directory any more"]
    pub fn keep(mut self) -> PathBuf {
        self.postmaster = None;
        self.directory.take().map(TempDir::keep).unwrap_or_default()
    }

    /// The postmaster tells its state in `postmaster.pid` (`src/include/utils/pidfile.h`), as it does to `pg_ctl`.
    fn accepts_connections(&self, postmaster: u32) -> bool {
        let lines = self.postmaster_file();
        let state = lines.get(7).map(|line| line.trim_end());
        // After a crash, the file of the postmaster before is there until the new one writes its own.
        let own = lines.first().is_some_and(|line| line.parse() == Ok(postmaster));
        own && matches!(state, Some("ready" | "standby"))
    }

    fn postmaster_file(&self) -> Vec<String> {
        let text = fs::read_to_string(self.data_directory().join("postmaster.pid")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn give_to_server(&self, path: &Path) -> Result<()> {
        self.user.as_ref().map_or(Ok(()), |user| user.give(path))
    }

    /// A server that crashed and was not started again has left its shared memory behind.
    fn free_shared_memory(&self) {
        for file in &self.left_behind {
            // Most are gone: the next start removes them.
            let _ = fs::remove_file(file);
        }
        let lines = self.postmaster_file();
        if let Some(segment) = lines.get(6).and_then(|line| line.split_whitespace().nth(1)) {
            // Of System V's there are a few bytes: if the program is missing, they stay until the machine restarts.
            let _ = run(Command::new("ipcrm").args(["--shmem-id", segment]), "");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.directory.is_none() {
            return;
        }
        if thread::panicking() {
            eprintln!("the end of the server's log:\n{}", self.log_tail(LogMark::BEGINNING));
        }
        if self.stop(Mode::Immediate).is_err() && self.is_running() && self.crash().is_err() {
            eprintln!("cannot stop the server in {}", self.directory().display());
        }
        self.free_shared_memory();
    }
}

/// As `src/backend/utils/misc/guc-file.l` reads it back.
fn quoted_setting(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_quoted_for_the_configuration_file() {
        assert_eq!(quoted_setting("a'b\\c"), r"'a''b\\c'");
        assert_eq!(quoted_setting(""), "''");
    }
}
