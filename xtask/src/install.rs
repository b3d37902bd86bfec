//! `cargo xtask install`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use walker_testing::{Installation, install_file};

use crate::libraries::{self, Library, extension_files};
use crate::setup::{check, prepare};
use crate::workspace::{Package, Profile, Workspace};

/// Builds WALker for release and installs it into a PostgreSQL: the libraries, the extensions' SQL, a sample of the
/// settings, and the header for plugins in C.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The pg_config of the PostgreSQL to install into [default: of that major version, where it is usually found]
    #[arg(long, value_name = "PATH", conflicts_with = "pg")]
    pg_config: Option<PathBuf>,
    /// Major version of PostgreSQL to install into
    #[arg(long, default_value_t = 15, value_name = "MAJOR")]
    pg: u32,
    /// Put all files below this directory instead of the root directory, to make a package of them
    #[arg(long, value_name = "DIR")]
    destdir: Option<PathBuf>,
    /// Install the extensions that show how to put an object into the WAL, too
    #[arg(long)]
    examples: bool,
}

/// `cargo xtask install`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let installation = match &arguments.pg_config {
        Some(pg_config) => {
            let installation = Installation::from_pg_config(pg_config)?;
            check(&installation)?;
            installation
        }
        None => prepare(arguments.pg)?,
    };
    let workspace = Workspace::load()?;
    let packages = workspace.released_packages(installation.version().major, arguments.examples);
    let libraries = libraries::build(&workspace, &installation, &packages, Profile::Release)?;

    let directories = Directories::of(&installation)?;
    let files = server_files(&workspace, &packages, &libraries, &directories)?;
    for file in &files {
        let to = below(arguments.destdir.as_deref(), &file.to);
        install(&file.from, &to)?;
        println!("installed {}", to.display());
    }

    println!("\nadd to postgresql.conf and restart the server:\n");
    let preloaded = packages.iter().filter_map(|package| package.preloaded.as_deref());
    let preloaded: String = preloaded.map(|name| format!(", {name}")).collect();
    println!("    shared_preload_libraries = 'walker{preloaded}'\n    walker.plugins = 'garbagemap'\n");
    println!("then, in each database where the answers are wanted:\n");
    for extension in files.iter().filter_map(File::extension) {
        println!("    CREATE EXTENSION {extension};");
    }
    println!("\nall settings: {}", directories.sample().display());
    Ok(())
}

/// Where a PostgreSQL looks for what extensions bring.
#[derive(Debug)]
pub(crate) struct Directories {
    /// `PKGLIBDIR`.
    pub(crate) libraries: PathBuf,
    /// `SHAREDIR`.
    pub(crate) share: PathBuf,
    /// `INCLUDEDIR-SERVER`.
    pub(crate) headers: PathBuf,
}

impl Directories {
    fn of(installation: &Installation) -> Result<Self> {
        Ok(Self {
            libraries: installation.library_directory()?.to_owned(),
            share: installation.share_directory()?.to_owned(),
            headers: installation.server_include_directory()?.to_owned(),
        })
    }

    /// The sample of the settings is where PostgreSQL has its own, `postgresql.conf.sample` and others; `extension` is
    /// for what `CREATE EXTENSION` reads.
    pub(crate) fn sample(&self) -> PathBuf {
        self.share.join("walker.conf.sample")
    }
}

/// A file and where it belongs.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
}

impl File {
    /// The extension's name, if this is its control file.
    fn extension(&self) -> Option<String> {
        let is_control = self.to.extension().is_some_and(|extension| extension == "control");
        self.to.file_stem().filter(|_| is_control).map(|stem| stem.to_string_lossy().into_owned())
    }
}

/// All that a PostgreSQL is given.
pub(crate) fn server_files(
    workspace: &Workspace,
    packages: &[&Package],
    libraries: &[Library],
    directories: &Directories,
) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for library in libraries {
        let to = directories.libraries.join(format!("{}.so", library.name));
        files.push(File { from: library.file.clone(), to });
    }
    for from in packages.iter().map(|package| extension_files(package)).collect::<Result<Vec<_>>>()?.concat() {
        let to = directories.share.join("extension").join(from.file_name().context("a file without a name")?);
        files.push(File { from, to });
    }
    let sample = workspace.root().join("pg/walker/walker.conf.sample");
    files.push(File { from: sample, to: directories.sample() });
    // Where PGXS puts the headers of an extension.
    let header = directories.headers.join("extension/walker/walker.h");
    files.push(File { from: workspace.root().join("include/walker.h"), to: header });
    Ok(files)
}

pub(crate) fn install(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().with_context(|| format!("{} has no parent", to.display()))?;
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    install_file(from, to)
}

pub(crate) fn below(destdir: Option<&Path>, path: &Path) -> PathBuf {
    match destdir {
        Some(destdir) => destdir.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destdir_is_put_before_the_path() {
        let path = Path::new("/usr/lib/walker.so");
        assert_eq!(below(Some(Path::new("/tmp/package")), path), Path::new("/tmp/package/usr/lib/walker.so"));
        assert_eq!(below(None, path), path);
    }
}
