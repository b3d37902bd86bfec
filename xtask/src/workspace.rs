//! The workspace as cargo describes it: its packages and directories.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;
use walker_testing::cache_directory;

use crate::command::capture;

/// This repository.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    packages: Vec<Package>,
    /// What `[workspace.metadata.release]` says.
    release: Value,
}

/// A package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Where its Cargo.toml is.
    pub(crate) directory: PathBuf,
    pub(crate) features: Vec<String>,
    /// Name of the shared library that PostgreSQL loads, if it is one.
    pub(crate) shared_library: Option<String>,
    /// Whether a plain `cargo build` builds it.
    pub(crate) is_default: bool,
    /// Whether it shows how something is done, and is of no use to those who only use WALker.
    pub(crate) is_example: bool,
    /// The library that has to be in `shared_preload_libraries` for it, beside walker.
    pub(crate) preloaded: Option<String>,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let metadata = capture(cargo()?.args(["metadata", "--no-deps", "--format-version", "1"]))?;
        Self::parse(&metadata).context("cannot read the output of cargo metadata")
    }

    fn parse(metadata: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(metadata)?;
        let defaults = strings(&metadata["workspace_default_members"]);
        let packages = metadata["packages"].as_array().context("no packages")?;
        let package = |package: &Value| -> Result<Package> {
            let id = string(&package["id"])?;
            let manifest = PathBuf::from(string(&package["manifest_path"])?);
            let targets = package["targets"].as_array().context("no targets")?;
            let shared_library =
                targets.iter().find(|target| strings(&target["kind"]).iter().any(|kind| kind == "cdylib"));
            Ok(Package {
                name: string(&package["name"])?,
                version: package["version"].as_str().unwrap_or_default().to_owned(),
                directory: manifest.parent().context("no directory")?.to_owned(),
                features: package["features"].as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default(),
                shared_library: shared_library.map(|target| string(&target["name"])).transpose()?,
                is_default: defaults.contains(&id),
                is_example: package["metadata"]["walker"]["example"].as_bool().unwrap_or_default(),
                preloaded: package["metadata"]["walker"]["preloaded"].as_str().map(str::to_owned),
            })
        };
        Ok(Self {
            root: string(&metadata["workspace_root"])?.into(),
            target: string(&metadata["target_directory"])?.into(),
            packages: packages.iter().map(package).collect::<Result<_>>()?,
            release: metadata["metadata"]["release"].clone(),
        })
    }

    /// The directory of the repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo puts what it builds in that profile.
    pub(crate) fn built(&self, profile: Profile) -> PathBuf {
        self.target.join(profile.directory())
    }

    /// Where cargo puts everything.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The package of that name.
    pub(crate) fn package(&self, name: &str) -> Result<&Package> {
        let package = self.packages.iter().find(|package| package.name == name);
        package.with_context(|| format!("no package {name} in the workspace"))
    }

    /// What the workspace's Cargo.toml says in `[workspace.metadata.release]`.
    pub(crate) fn release(&self, key: &str) -> Option<&str> {
        self.release[key].as_str()
    }

    /// What makes cargo build in that profile.
    pub(crate) fn environment(&self, profile: Profile) -> Result<Vec<(&'static str, OsString)>> {
        if profile != Profile::Package {
            return Ok(Vec::new());
        }
        let target = self.target.join(PACKAGES_TARGET);
        // Of several that fit, rustc takes the last: the target directory may be in the repository.
        let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo_home = cargo_home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))).context("no home")?;
        let renamed = [(cargo_home.as_path(), "/cargo"), (&self.root, "/walker"), (&target, "/walker/target")];
        let renamed = renamed.map(|(from, to)| format!("{}={to}", from.display()));
        let flags = |variable: &str, separator: &str, option: &str| {
            let before = env::var(variable).ok().filter(|before| !before.is_empty());
            let options = renamed.iter().map(|renamed| format!("{option}={renamed}"));
            before.into_iter().chain(options).collect::<Vec<_>>().join(separator).into()
        };
        Ok(vec![
            ("CARGO_TARGET_DIR", target.into()),
            ("CARGO_ENCODED_RUSTFLAGS", flags("CARGO_ENCODED_RUSTFLAGS", "\x1f", "--remap-path-prefix")),
            ("CFLAGS", flags("CFLAGS", " ", "-ffile-prefix-map")),
        ])
    }

    /// The packages that need no PostgreSQL to be built: the default members, and the library for tests.
    pub(crate) fn plain_packages(&self) -> Vec<&Package> {
        self.packages.iter().filter(|package| package.is_default || package.name == "walker-testing").collect()
    }

    /// Those of [`Workspace::server_packages`] that are installed, with or without examples; no plugins for tests.
    pub(crate) fn released_packages(&self, major: u32, examples: bool) -> Vec<&Package> {
        let ours = self.root.join("pg");
        let is_released =
            |package: &&Package| package.directory.starts_with(&ours) && (examples || !package.is_example);
        self.server_packages(major).into_iter().filter(is_released).collect()
    }

    /// The packages that PostgreSQL loads, or that these are made of: they have a feature for each major version.
    pub(crate) fn server_packages(&self, major: u32) -> Vec<&Package> {
        let feature = feature(major);
        self.packages.iter().filter(|package| package.features.contains(&feature)).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
    /// As for release, but in a directory of its own, and so that no path of this machine is in what is built.
    Package,
}

/// Within cargo's target directory.
const PACKAGES_TARGET: &str = "packages/build";

impl Profile {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release | Self::Package => "release",
        }
    }

    const fn directory(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
            Self::Package => "packages/build/release",
        }
    }
}

/// The feature with which the server packages are built for a major version.
pub(crate) fn feature(major: u32) -> String {
    format!("pg{major}")
}

/// Selects packages on cargo's command line.
pub(crate) fn select<'a>(packages: &[&'a Package]) -> impl Iterator<Item = &'a str> {
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    names.into_iter().flat_map(|name| ["--package", name])
}

/// Cargo, as a newcomer would call it: without what the cargo that runs this program has put into the environment,
/// which would make build scripts run again and again.
pub(crate) fn cargo() -> Result<Command> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (variable, _) in env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(variable);
        }
    }
    if let Some(target) = ci_target_directory()? {
        cargo.env("CARGO_TARGET_DIR", target);
    }
    Ok(cargo)
}

/// Whether this is continuous integration, where nothing may be left out.
pub(crate) fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| value == "true")
}

fn ci_target_directory() -> Result<Option<PathBuf>> {
    if in_ci() && env::var_os("CARGO_TARGET_DIR").is_none() {
        return Ok(Some(cache_directory()?.join("target")));
    }
    Ok(None)
}

fn string(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("not a string: {value}"))
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_apart_by_what_they_need() {
        let metadata = r#"{
            "workspace_root": "/repository", "target_directory": "/repository/target",
            "workspace_default_members": ["1"],
            "packages": [
                {"id": "1", "name": "pgwal", "manifest_path": "/repository/crates/pgwal/Cargo.toml",
                 "features": {}, "targets": [{"name": "pgwal", "kind": ["lib"]}]},
                {"id": "2", "name": "pg-walker", "manifest_path": "/repository/pg/walker/Cargo.toml",
                 "features": {"pg15": []}, "targets": [{"name": "walker_pg", "kind": ["cdylib"]}]},
                {"id": "4", "name": "pg-bloom-filter", "manifest_path": "/repository/pg/bloom_filter/Cargo.toml",
                 "features": {"pg15": []}, "targets": [], "metadata": {"walker": {"example": true}}},
                {"id": "3", "name": "walker-testing", "manifest_path": "/repository/testing/Cargo.toml",
                 "features": {}, "targets": [{"name": "walker_testing", "kind": ["lib"]}]}
            ]}"#;
        let workspace = Workspace::parse(metadata).unwrap();
        let plain = workspace.plain_packages();
        assert_eq!(select(&plain).collect::<Vec<_>>(), ["--package", "pgwal", "--package", "walker-testing"]);
        let server = workspace.server_packages(15);
        assert_eq!(server[0].shared_library.as_deref(), Some("walker_pg"));
        assert_eq!(server[0].directory, Path::new("/repository/pg/walker"));
        assert!(workspace.server_packages(14).is_empty());
        assert_eq!(workspace.released_packages(15, false).len(), 1);
        assert_eq!(workspace.released_packages(15, true).len(), 2);
        assert_eq!(workspace.built(Profile::Dev), Path::new("/repository/target/debug"));
    }
}
