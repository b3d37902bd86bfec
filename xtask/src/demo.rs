//! `cargo xtask demo`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use walker_testing::{Cluster, temporary_directory};

use crate::command::{quoted, run as run_command};
use crate::comparison::Comparison;
use crate::libraries;
use crate::load::{self, DATABASE, TABLES};
use crate::setup::prepare;
use crate::workspace::{Profile, Workspace, cargo};

/// Shows WALker at work: its counts of dead tuples beside those of pgstattuple, and a picture.
///
/// Starts a PostgreSQL server of its own in a temporary directory, with WALker and its plugin garbagemap in it; runs
/// a load that leaves garbage behind; shows for each table WALker's count of dead tuples, kept from the WAL alone,
/// beside that of pgstattuple, which reads the table; and draws where the garbage is. Fails if a count differs.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Leave the server running and tell how to connect to it
    #[arg(long)]
    keep: bool,
    /// Major version of PostgreSQL
    #[arg(long, default_value_t = 15, value_name = "MAJOR")]
    pg: u32,
    /// Where to write the picture
    #[arg(long, default_value = "walker-demo.png", value_name = "FILE.png")]
    output: PathBuf,
}

/// `cargo xtask demo`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let installation = prepare(arguments.pg)?;
    let workspace = Workspace::load()?;
    eprintln!("==> building WALker for {}", installation.version());
    let packages = workspace.server_packages(arguments.pg);
    let libraries = libraries::build(&workspace, &installation, &packages, Profile::Dev)?;
    run_command(cargo()?.args(["build", "--package", "walker-cli"]).current_dir(workspace.root()))?;

    let copy = temporary_directory()?;
    let private = libraries::install_all(&workspace, &installation, &libraries, copy.path())?;
    eprintln!("==> starting a server");
    let mut builder = Cluster::builder(&private).settings([
        ("shared_preload_libraries", "walker"),
        ("walker.plugins", "garbagemap"),
        ("wal_level", "replica"),
        // What happens without being asked for would change the counts between the two questions.
        ("autovacuum", "off"),
        ("checkpoint_timeout", "1h"),
        ("max_wal_size", "4GB"),
    ]);
    if arguments.keep {
        builder = builder.detached();
    }
    let cluster = builder.start()?;
    cluster.psql(DATABASE, "CREATE EXTENSION walker; CREATE EXTENSION garbagemap; CREATE EXTENSION pgstattuple")?;

    let outcome = show(&cluster, &workspace, &arguments.output);
    if arguments.keep {
        println!("{}", how_to_go_on(&cluster, copy.path())?);
        let _ = (cluster.keep(), copy.keep());
    } else {
        println!("With --keep the server stays, to be asked and written to.");
    }
    outcome
}

fn show(cluster: &Cluster, workspace: &Workspace, output: &Path) -> Result<()> {
    eprintln!("==> making garbage");
    load::run(cluster)?;
    eprintln!("==> comparing");
    let comparison = Comparison::at_a_quiet_moment(cluster)?;
    println!("\n{comparison}");

    let heatmap = || {
        let mut command = Command::new(workspace.built(Profile::Dev).join("walker"));
        command.args(["heatmap", "--dbname", &cluster.connection_string(DATABASE), "--table", TABLES[0]]);
        command
    };
    run_command(&mut heatmap())?;
    run_command(heatmap().arg("--output").arg(output))?;
    println!("\nthe same as a picture: {}\n", output.display());
    let mut psql = cluster.program("psql")?;
    psql.args(["--no-psqlrc", "--dbname", DATABASE, "--command", WORKER, "--command", WAL]);
    run_command(&mut psql)?;
    ensure!(comparison.is_equal(), "WALker's count differs from pgstattuple's");
    Ok(())
}

/// What the worker has done.
const WORKER: &str =
    "SELECT plugin, state, applied_lsn, lag_bytes, records, total_time::int AS total_ms, failures, wal_kept
     FROM pg_stat_walker";
/// What the WAL was filled with.
const WAL: &str = "SELECT rm_name, records, bytes FROM pg_stat_walker_rmgr ORDER BY bytes DESC LIMIT 5";

fn how_to_go_on(cluster: &Cluster, copy: &Path) -> Result<String> {
    let psql = cluster.installation().program("psql")?;
    let (psql, connection) = (psql.to_string_lossy(), cluster.connection_string(DATABASE));
    let (directory, copy) = (cluster.directory().to_string_lossy(), copy.to_string_lossy());
    let postmaster = cluster.postmaster_id()?;
    Ok(format!(
        "\nThe server runs on. Connect to it:\n\n    {} {}\n\n\
         Stop it and remove everything:\n\n    kill -INT {postmaster} && tail --pid={postmaster} -f /dev/null; \
         rm -r {} {}\n",
        quoted(&psql),
        quoted(&connection),
        quoted(&directory),
        quoted(&copy)
    ))
}
