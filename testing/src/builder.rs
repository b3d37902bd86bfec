//! What a cluster is to be like before it is made.

use std::ffi::OsString;

use anyhow::{Context as _, Result};

use crate::cluster::{Cluster, PORT, SUPERUSER};
use crate::command::run;
use crate::installation::Installation;

/// What a [`Cluster`] is to be like.
#[derive(Debug, Clone)]
pub struct ClusterBuilder {
    installation: Installation,
    settings: Vec<(String, String)>,
    initdb_options: Vec<OsString>,
    detached: bool,
}

impl ClusterBuilder {
    pub(crate) fn new(installation: &Installation) -> Self {
        let installation = installation.clone();
        Self { installation, settings: Vec::new(), initdb_options: Vec::new(), detached: false }
    }

    /// A setting for `postgresql.conf`; the value is quoted as needed. A later one of the same name wins, also over
    /// the only default that differs from PostgreSQL's: `fsync` is `off`, because a test's machine is not expected to
    /// lose power, and crashes of the server alone lose nothing.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Several settings, see [`ClusterBuilder::setting`].
    #[must_use]
    pub fn settings<'a>(self, settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        settings.into_iter().fold(self, |builder, (name, value)| builder.setting(name, value))
    }

    /// Settings that hold where nothing else was said, before or later.
    pub(crate) fn defaults<'a>(mut self, defaults: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let defaults = defaults.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.settings.splice(0..0, defaults);
        self
    }

    /// An option for `initdb`, for example `--wal-segsize=1`.
    #[must_use]
    pub fn initdb_option(mut self, option: impl Into<OsString>) -> Self {
        self.initdb_options.push(option.into());
        self
    }

    /// With checksums on data pages.
    #[must_use]
    pub fn data_checksums(self) -> Self {
        self.initdb_option("--data-checksums")
    }

    /// Makes the server independent of this process: it does not get the terminal's Ctrl-C. For a cluster that is
    /// [kept](Cluster::keep). A test's server stays in the test's process group, so that it ends with the test.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.detached = true;
        self
    }

    /// Makes the cluster without starting it.
    ///
    /// # Errors
    /// If `initdb` fails or files cannot be written.
    pub fn build(self) -> Result<Cluster> {
        let options = self.initdb_options.clone();
        self.build_with(|cluster| {
            let mut initdb = cluster.program("initdb")?;
            initdb
                .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
                .args(["--username", SUPERUSER, "--pgdata"])
                .arg(cluster.data_directory())
                .args(options);
            run(&mut initdb, "").map(drop)
        })
    }

    /// Makes the cluster without starting it; `fill` fills its data directory.
    pub(crate) fn build_with(self, fill: impl FnOnce(&Cluster) -> Result<()>) -> Result<Cluster> {
        let cluster = Cluster::empty(self.installation, self.detached)?;
        fill(&cluster)?;
        let socket_directory = cluster.socket_directory();
        cluster.configure([
            ("listen_addresses", ""),
            ("port", PORT),
            ("unix_socket_directories", socket_directory.to_str().context("TMPDIR is not UTF-8")?),
            ("fsync", "off"),
        ])?;
        cluster.configure(self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
        Ok(cluster)
    }

    /// Makes the cluster and starts it.
    ///
    /// # Errors
    /// If it cannot be made or does not start.
    pub fn start(self) -> Result<Cluster> {
        let mut cluster = self.build()?;
        cluster.start()?;
        Ok(cluster)
    }
}
