//! A copy of an installation that may be written to.
//!
//! A server finds its libraries and `SHAREDIR`, from which `CREATE EXTENSION` reads, relative to its own executable
//! after symbolic links are resolved (`src/port/path.c`, `make_relative_path`): with `BINDIR` `/usr/lib/postgresql/15/bin`
//! and `SHAREDIR` `/usr/share/postgresql/15`, an executable at `COPY/lib/postgresql/15/bin/postgres` reads
//! `COPY/share/postgresql/15`. So the copy has the directories of the original below its own root, in the same
//! places relative to what they have in common. Programs are copied; everything else is linked, or copied too if the
//! server's user cannot follow a link to it.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::directory::is_open;
use crate::installation::Installation;
use crate::server_user::ServerUser;

impl Installation {
    /// Makes a copy of this installation below `directory` that works from there and may be written to. The server's
    /// user must be able to enter `directory`, see [`temporary_directory`](crate::temporary_directory).
    ///
    /// # Errors
    /// If the installation is incomplete, or the files cannot be written.
    pub fn private_copy(&self, directory: &Path) -> Result<Self> {
        let directory =
            directory.canonicalize().with_context(|| format!("no directory to copy to: {}", directory.display()))?;
        let context = || format!("cannot copy {} to {}", self.version(), directory.display());
        self.copy_to(&directory).with_context(context)?;
        let copy = Self::at(&directory).with_context(context)?;
        ensure!(
            copy.share_directory()?.starts_with(&directory) && copy.library_directory()?.starts_with(&directory),
            "the copy of {} in {} still looks for its files in {}",
            self.version(),
            directory.display(),
            copy.share_directory()?.display()
        );
        Ok(copy)
    }

    /// Copies a shared library into this installation under the name `name`, so that it loads as `$libdir/name`.
    /// Only for a private copy.
    ///
    /// # Errors
    /// If it cannot be copied.
    pub fn install_library(&self, from: &Path, name: &str) -> Result<()> {
        install_file(from, &self.library_directory()?.join(format!("{name}.so")))
    }

    /// Copies control files and SQL scripts to where `CREATE EXTENSION` reads them. Only for a private copy.
    ///
    /// # Errors
    /// If they cannot be copied.
    pub fn install_extension_files<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<()> {
        let directory = self.share_directory()?.join("extension");
        for path in paths {
            let path = path.as_ref();
            let name = path.file_name().with_context(|| format!("not a file: {}", path.display()))?;
            install_file(path, &directory.join(name))?;
        }
        Ok(())
    }

    fn copy_to(&self, root: &Path) -> Result<()> {
        let binaries = self.binary_directory()?;
        let libraries = self.library_directory()?;
        let share = self.share_directory()?;
        let headers = self.server_include_directory()?;
        let common = [libraries, share, headers].into_iter().fold(binaries.to_owned(), |a, b| common_ancestor(&a, b));
        let place = |path: &Path| -> Result<PathBuf> { Ok(root.join(path.strip_prefix(&common)?)) };

        for entry in entries(binaries)? {
            let target = place(&entry)?;
            make_parent(&target)?;
            fs::copy(&entry, &target).with_context(|| format!("cannot copy {}", entry.display()))?;
        }
        let provide = if ServerUser::needed()?.is_none() || is_open(libraries) { link_entries } else { copy_entries };
        provide(libraries, &place(libraries)?)?;
        // A directory of its own for extensions, made before the links so that no link stands in its place.
        provide(&share.join("extension"), &place(&share.join("extension"))?)?;
        provide(share, &place(share)?)?;
        // Only compilers read these.
        if headers.is_dir() {
            let of_extensions = headers.join("extension");
            if of_extensions.is_dir() {
                link_entries(&of_extensions, &place(&of_extensions)?)?;
            }
            link_entries(headers, &place(headers)?)?;
        }
        // Programs of a PostgreSQL that is not the system's look for its own libpq beside themselves.
        let shared = self.directory("LIBDIR")?;
        if shared.starts_with(&common) && !is_of_the_system(shared) && shared.is_dir() {
            provide(shared, &place(shared)?)?;
        }
        symlink(place(&binaries.join("pg_config"))?, root.join("pg_config"))
            .context("cannot link pg_config to the root of the copy")
    }
}

/// Copies the file `from` to `to`. What stands there is replaced and not written to: it may be a link to another
/// installation's file, or a library that a running server has mapped.
///
/// # Errors
/// If it cannot be copied; the error names both.
pub fn install_file(from: &Path, to: &Path) -> Result<()> {
    let context = || format!("cannot install {} as {}", from.display(), to.display());
    let temporary = to.with_added_extension("new");
    fs::copy(from, &temporary).and_then(|_| fs::rename(&temporary, to)).with_context(context)
}

/// Links everything in `from` into the directory `to`, but for what is there already.
fn link_entries(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in entries(from)? {
        let Some(name) = entry.file_name() else { continue };
        match symlink(&entry, to.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.with_context(|| format!("cannot link {} into {}", entry.display(), to.display()))?,
        }
    }
    Ok(())
}

/// Copies everything in `from`, with what is below it, into the directory `to`, but for what is there already.
fn copy_entries(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in entries(from)? {
        let Some(name) = entry.file_name() else { continue };
        let target = to.join(name);
        if entry.is_dir() {
            copy_entries(&entry, &target)?;
        } else if !target.exists() {
            fs::copy(&entry, &target).with_context(|| format!("cannot copy {}", entry.display()))?;
        }
    }
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot list {}", directory.display());
    let entries = fs::read_dir(directory).with_context(context)?;
    entries.map(|entry| Ok(entry.with_context(context)?.path())).collect()
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().with_context(|| format!("{} has no parent", path.display()))?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))
}

fn common_ancestor(a: &Path, b: &Path) -> PathBuf {
    a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _): (Component<'_>, _)| a).collect()
}

/// Whether the dynamic linker searches there anyway.
fn is_of_the_system(directory: &Path) -> bool {
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64"].iter().any(|system| {
        // Debian's architecture directory counts, but not what lies deeper.
        directory == Path::new(system) || directory.parent() == Some(Path::new(system))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_directories_have_in_common() {
        let common = |a: &str, b: &str| common_ancestor(Path::new(a), Path::new(b));
        assert_eq!(common("/usr/lib/postgresql/15/bin", "/usr/share/postgresql/15"), Path::new("/usr"));
        assert_eq!(common("/opt/pg/bin", "/opt/pg/share"), Path::new("/opt/pg"));
        assert_eq!(common("/opt/pg/bin", "/opt/pgshare"), Path::new("/opt"));
        assert_eq!(common("/opt/pg/bin", "/usr/share"), Path::new("/"));
    }

    #[test]
    fn libraries_that_are_found_anyway() {
        assert!(is_of_the_system(Path::new("/usr/lib/x86_64-linux-gnu")));
        assert!(is_of_the_system(Path::new("/usr/lib64")));
        assert!(!is_of_the_system(Path::new("/usr/local/pgsql/lib")));
        assert!(!is_of_the_system(Path::new("/usr/lib/postgresql/15/lib")));
    }
}
