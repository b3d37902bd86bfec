//! The shared libraries that PostgreSQL loads: built by cargo and by the C compiler, and put into an installation.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use walker_testing::{Installation, plugins};

use crate::command::run;
use crate::setup::server_environment;
use crate::tools;
use crate::workspace::{Package, Profile, Workspace, cargo, feature, select};

/// A built library and the name that it is loaded by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Library {
    pub(crate) file: PathBuf,
    pub(crate) name: String,
}

/// Builds the shared libraries among `packages` for `installation`.
pub(crate) fn build(
    workspace: &Workspace,
    installation: &Installation,
    packages: &[&Package],
    profile: Profile,
) -> Result<Vec<Library>> {
    let major = installation.version().major;
    ensure!(
        !packages.is_empty(),
        "WALker cannot be built for PostgreSQL {major}: no package has a feature {}",
        feature(major)
    );
    tools::rustfmt()?;
    let mut build = cargo()?;
    build
        .args(["build", "--profile", profile.name(), "--features", &feature(major)])
        .args(select(packages))
        .envs(server_environment(installation)?)
        .envs(workspace.environment(profile)?)
        .current_dir(workspace.root());
    run(&mut build)?;
    let built = workspace.built(profile);
    let names = packages.iter().filter_map(|package| package.shared_library.as_deref());
    Ok(names
        .map(|name| Library { file: built.join(format!("lib{name}.so")), name: loaded_name(name).to_owned() })
        .collect())
}

/// Puts everything for tests into a private copy of an installation: all libraries, in Rust and in C, and the files
/// of their extensions.
pub(crate) fn install_all(
    workspace: &Workspace,
    original: &Installation,
    libraries: &[Library],
    directory: &Path,
) -> Result<Installation> {
    let copy = original.private_copy(directory)?;
    for library in libraries {
        copy.install_library(&library.file, &library.name)?;
    }
    for source in c_plugins(workspace)? {
        let name = source.file_stem().context("a plugin without a name")?.to_string_lossy().into_owned();
        let compiled = directory.join(format!("{name}.so"));
        plugins::compile_c_plugin(&copy, &source, &workspace.root().join("include"), &compiled)?;
        copy.install_library(&compiled, &name)?;
    }
    for package in workspace.server_packages(original.version().major) {
        copy.install_extension_files(extension_files(package)?)?;
    }
    Ok(copy)
}

/// Control files and SQL scripts of a package's extension, if it has one.
pub(crate) fn extension_files(package: &Package) -> Result<Vec<PathBuf>> {
    let is_one =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension == "control" || extension == "sql");
    Ok(entries(&package.directory)?.into_iter().filter(is_one).collect())
}

/// The library of the package pg-walker is loaded as `walker`: in Rust the name belongs to another crate.
pub(crate) fn loaded_name(library: &str) -> &str {
    library.strip_suffix("_pg").unwrap_or(library)
}

/// Each plugin in C is one file, in a directory of the same name.
fn c_plugins(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut sources = Vec::new();
    for parent in ["plugins", "testing/plugins"] {
        for directory in entries(&workspace.root().join(parent))? {
            let Some(name) = directory.file_name() else { continue };
            let source = directory.join(name).with_added_extension("c");
            if source.is_file() {
                sources.push(source);
            }
        }
    }
    Ok(sources)
}

/// In the order of their names.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot list {}", directory.display());
    let entries = fs::read_dir(directory).with_context(context)?;
    let mut paths = entries.map(|entry| Ok(entry.with_context(context)?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_postgresql_loads() {
        assert_eq!(loaded_name("walker_pg"), "walker");
        assert_eq!(loaded_name("record_count_rust"), "record_count_rust");
    }
}
