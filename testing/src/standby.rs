//! Copies of a running server: base backups and standbys, and servers that are rewound.

use std::fs;

use anyhow::{Context as _, Result};

use crate::builder::ClusterBuilder;
use crate::cluster::Cluster;
use crate::command::run;

impl Cluster {
    /// A server that was not started yet, whose data directory is a base backup of this one. It has this one's settings and,
    /// over them, those of `builder`.
    ///
    /// # Errors
    /// If `pg_basebackup` fails or files cannot be written.
    pub fn base_backup(&self, builder: ClusterBuilder) -> Result<Self> {
        builder.build_with(|copy| {
            let mut backup = self.program("pg_basebackup")?;
            backup.args(["--checkpoint=fast", "--no-sync", "--pgdata"]).arg(copy.data_directory());
            run(&mut backup, "").map(drop)
        })
    }

    /// Makes this server, which does not run, a standby that streams from `primary` once it is started.
    ///
    /// # Errors
    /// If files cannot be written.
    pub fn follow(&self, primary: &Self) -> Result<()> {
        self.configure([("primary_conninfo", primary.connection_string("postgres").as_str())])?;
        self.signal_file("standby.signal")
    }

    /// Makes the data directory of this server, which was stopped cleanly, a copy of that of `source` by `pg_rewind`. Its own
    /// settings stay.
    ///
    /// # Errors
    /// If `pg_rewind` fails or files cannot be written.
    pub fn rewind(&self, source: &Self) -> Result<()> {
        let settings = self.data_directory().join("postgresql.conf");
        let own = fs::read(&settings)?;
        let mut rewind = self.program("pg_rewind")?;
        rewind.args(["--no-sync", "--source-server", &source.connection_string("postgres"), "--target-pgdata"]);
        run(rewind.arg(self.data_directory()), "")?;
        fs::write(&settings, own).with_context(|| format!("cannot write {}", settings.display()))
    }

    /// Writes `standby.signal` or `recovery.signal`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn signal_file(&self, name: &str) -> Result<()> {
        let path = self.data_directory().join(name);
        fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))
    }
}
