//! `cargo xtask install`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use walker_testing::{Installation, install_file};

use crate::libraries::{self, extension_files};
use crate::setup::{check, prepare};
use crate::workspace::{Profile, Workspace};

/// Builds WALker for release and installs it into a PostgreSQL: the libraries, the extensions' SQL, and the header
/// for plugins in C.
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

    let place = |file: &Path, to: PathBuf| install(file, &below(arguments.destdir.as_deref(), &to));
    for library in &libraries {
        place(&library.file, installation.library_directory()?.join(format!("{}.so", library.name)))?;
    }
    let mut extensions = Vec::new();
    for file in packages.iter().map(|package| extension_files(package)).collect::<Result<Vec<_>>>()?.concat() {
        let name = file.file_name().context("a file without a name")?;
        place(&file, installation.share_directory()?.join("extension").join(name))?;
        if file.extension().is_some_and(|extension| extension == "control") {
            extensions.extend(file.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    // Where PGXS puts the headers of an extension.
    let headers = installation.server_include_directory()?.join("extension/walker");
    place(&workspace.root().join("include/walker.h"), headers.join("walker.h"))?;

    println!("\nadd to postgresql.conf and restart the server:\n");
    let preloaded = packages.iter().filter_map(|package| package.preloaded.as_deref());
    let preloaded: String = preloaded.map(|name| format!(", {name}")).collect();
    println!("    shared_preload_libraries = 'walker{preloaded}'\n    walker.plugins = 'garbagemap'\n");
    println!("then, in each database where the answers are wanted:\n");
    for extension in extensions {
        println!("    CREATE EXTENSION {extension};");
    }
    Ok(())
}

fn install(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().with_context(|| format!("{} has no parent", to.display()))?;
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    install_file(from, to)?;
    println!("installed {}", to.display());
    Ok(())
}

fn below(destdir: Option<&Path>, path: &Path) -> PathBuf {
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
