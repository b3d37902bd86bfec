//! `META.json`, by which PGXN knows a distribution: PGXN Meta Spec 1.0.0.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use super::release::Release;
use crate::libraries::extension_files;
use crate::workspace::{Package, Workspace};

/// The version of the specification that is followed.
const SPECIFICATION: &str = "1.0.0";

/// Its text.
pub(crate) fn text(workspace: &Workspace, release: &Release) -> Result<String> {
    Ok(format!("{:#}\n", value(workspace, release)?))
}

fn value(workspace: &Workspace, release: &Release) -> Result<Value> {
    let newest = crate::postgresql::MAJORS.into_iter().max().context("no major version")?;
    let packages = workspace.released_packages(newest, false);
    let extensions = packages.iter().filter(|package| package.shared_library.is_some());
    let provides = extensions.map(|package| extension(workspace, package)).collect::<Result<Map<_, _>>>()?;
    let mut meta = json!({
        "name": "walker",
        "version": release.version,
        "abstract": "Dead tuples of every block range, and all that is in the WAL, from WAL alone",
        "description": "A background worker walks over the write-ahead log and tells every record, of committed and of \
                        aborted transactions, to plugins. Its plugin garbagemap keeps the number of dead tuples of every \
                        block of every table, equal to what pgstattuple finds by reading the table.",
        "maintainer": release.maintainer,
        "license": ["mit", "apache_2_0"],
        "provides": provides,
        "prereqs": {"runtime": {"requires": {"PostgreSQL": "15.0.0"}}},
        "release_status": if release.version.starts_with("0.") { "testing" } else { "stable" },
        "tags": ["wal", "bloat", "vacuum", "monitoring", "background worker", "dead tuples"],
        "generated_by": "cargo xtask package",
        "meta-spec": {"version": SPECIFICATION, "url": "https://pgxn.org/meta/spec.txt"},
    });
    if let Some(homepage) = &release.homepage {
        meta["resources"] = json!({"homepage": homepage});
    }
    Ok(meta)
}

/// The extension of a package by its name.
fn extension(workspace: &Workspace, package: &Package) -> Result<(String, Value)> {
    let files = extension_files(package)?;
    let control = files.iter().find(|file| file.extension().is_some_and(|extension| extension == "control"));
    let control = control.with_context(|| format!("{} has no control file", package.name))?;
    let name = control.file_stem().context("a control file without a name")?.to_string_lossy().into_owned();
    let version = &package.version;
    let script = package.directory.join(format!("{name}--{version}.sql"));
    ensure!(files.contains(&script), "{} does not exist", script.display());
    let file = script.strip_prefix(workspace.root())?;
    let page = if name == "walker" { "docs/worker.md" } else { "docs/garbagemap-sql.md" };
    let value = json!({"file": file, "docfile": page, "version": version, "abstract": comment(control)?});
    Ok((name, value))
}

/// What the control file says that the extension is.
fn comment(control: &Path) -> Result<String> {
    let text = fs::read_to_string(control).with_context(|| format!("cannot read {}", control.display()))?;
    let comment = text.lines().find_map(|line| line.strip_prefix("comment = '")?.strip_suffix('\''));
    comment.map(str::to_owned).with_context(|| format!("no comment in {}", control.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> (Workspace, Value) {
        let workspace = Workspace::load().unwrap();
        let release = Release {
            version: workspace.package("walker-cli").unwrap().version.clone(),
            debian_version: "0.1.0-1".to_owned(),
            architecture: "amd64".to_owned(),
            epoch: 0,
            date: String::new(),
            maintainer: "Name <name@example.org>".to_owned(),
            homepage: None,
        };
        let meta = value(&workspace, &release).unwrap();
        (workspace, meta)
    }

    fn is_version(value: &Value) -> bool {
        let numbers: Vec<_> =
            value.as_str().unwrap_or_default().split('.').map(|part| part.parse::<u32>().is_ok()).collect();
        numbers == [true; 3]
    }

    #[test]
    fn what_the_specification_requires_is_there() {
        let (workspace, meta) = meta();
        for key in ["name", "version", "abstract", "maintainer", "license", "provides", "meta-spec"] {
            assert!(!meta[key].is_null(), "{key}");
        }
        assert!(is_version(&meta["version"]) && is_version(&meta["prereqs"]["runtime"]["requires"]["PostgreSQL"]));
        assert_eq!(meta["meta-spec"]["version"], "1.0.0");
        // Names of the specification's list.
        let licences = ["agpl_3", "apache_1_1", "apache_2_0", "artistic_1", "artistic_2", "bsd", "mit", "postgresql"];
        assert!(meta["license"].as_array().unwrap().iter().all(|name| licences.contains(&name.as_str().unwrap())));
        assert!(["stable", "testing", "unstable"].contains(&meta["release_status"].as_str().unwrap()));
        // A term: at least two characters, none of them a control character, slash or backslash.
        let terms = meta["tags"].as_array().unwrap().iter().chain([&meta["name"]]);
        for term in terms.map(|term| term.as_str().unwrap()) {
            assert!(term.len() >= 2 && !term.contains(['/', '\\', '\0']), "{term}");
        }
        let provides = meta["provides"].as_object().unwrap();
        assert_eq!(provides.keys().collect::<Vec<_>>(), ["garbagemap", "walker"]);
        for extension in provides.values() {
            assert!(is_version(&extension["version"]), "{extension}");
            assert!(!extension["abstract"].as_str().unwrap().is_empty(), "{extension}");
            for key in ["file", "docfile"] {
                assert!(workspace.root().join(extension[key].as_str().unwrap()).is_file(), "{extension}");
            }
        }
    }
}
