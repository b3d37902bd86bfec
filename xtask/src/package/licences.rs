//! Under which terms a package may be passed on: WALker's licence, and those of the crates that are linked into it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::deb::Tree;
use crate::command::capture;
use crate::workspace::{Workspace, cargo};

/// Beginnings of the names of files with licences.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];

/// Adds the file `copyright`, the texts of the crates' licences, and the changelog.
pub(crate) fn add(tree: &mut Tree<'_>, workspace: &Workspace, packages: &[&str], feature: Option<&str>) -> Result<()> {
    let documentation = tree.documentation();
    tree.write(&documentation.join("copyright"), copyright(workspace.root())?.as_bytes())?;
    let crates = texts(workspace, packages, feature)?;
    tree.write_compressed(&documentation.join("licences-of-crates.gz"), crates.as_bytes())?;
    tree.write_compressed(&documentation.join("changelog.gz"), &read(&workspace.root().join("CHANGELOG.md"))?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// In Debian's form (DEP 5).
fn copyright(root: &Path) -> Result<String> {
    let mit = String::from_utf8(read(&root.join("LICENSE-MIT"))?).context("LICENSE-MIT is not UTF-8")?;
    let holder = mit.lines().find(|line| line.starts_with("Copyright")).context("LICENSE-MIT names no holder")?;
    let holder = holder.trim_start_matches("Copyright (c)").trim();
    let terms = mit.split_once(holder).map_or("", |(_, terms)| terms).trim();
    let terms: String = terms.lines().map(|line| format!(" {}\n", if line.is_empty() { "." } else { line })).collect();
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: WALker\n\
         Comment:\n Crates by others are linked into the programs. Their names, versions and licences,\n \
         with the texts, are in licences-of-crates.gz.\n\n\
         Files: *\nCopyright: {holder}\nLicense: Expat or Apache-2.0\n\n\
         Files: crates/heatmap/assets/*\nCopyright: 2015 Google Inc.\nLicense: Apache-2.0\n\n\
         Files: crates/walker-cli/src/serve/assets/uplot-*\nCopyright: 2022 Leon Sorokin\nLicense: Expat\n\n\
         License: Expat\n{terms}\n\
         License: Apache-2.0\n \
         On Debian systems, the full text of the Apache License, Version 2.0, is in the\n \
         file /usr/share/common-licenses/Apache-2.0.\n"
    ))
}

/// All crates that are linked into these packages, and the texts of their licences, each once.
fn texts(workspace: &Workspace, packages: &[&str], feature: Option<&str>) -> Result<String> {
    let linked = linked(workspace, packages, feature)?;
    let mut metadata = cargo()?;
    metadata.args(["metadata", "--format-version", "1", "--locked"]).current_dir(workspace.root());
    let metadata: Value = serde_json::from_str(&capture(&mut metadata)?).context("cannot read cargo metadata")?;
    let mut list = String::from("Crates that are linked into the programs of this package:\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().context("no packages")? {
        let field = |name: &str| package[name].as_str().unwrap_or_default();
        let name = format!("{} {}", field("name"), field("version"));
        // Those of this workspace have no source.
        if package["source"].is_null() || !linked.contains(&name) {
            continue;
        }
        let authors: Vec<_> = package["authors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let _ = writeln!(list, "{name}: {}", field("license"));
        for known in [field("repository"), &authors.join(", ")].into_iter().filter(|known| !known.is_empty()) {
            let _ = writeln!(list, "    {known}");
        }
        let directory = Path::new(field("manifest_path")).parent().context("no directory")?;
        for file in super::deb::files(directory)?.into_iter().filter(|file| file.parent() == Some(directory)) {
            let is_licence = file.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
                let name = name.to_uppercase();
                NAMES.into_iter().any(|beginning| name.starts_with(beginning))
            });
            if is_licence {
                let text = String::from_utf8_lossy(&read(&file)?).trim().to_owned();
                texts.entry(text).or_default().push(name.clone());
            }
        }
    }
    let mut texts: Vec<_> = texts.into_iter().map(|(text, names)| (names, text)).collect();
    texts.sort();
    for (mut names, text) in texts {
        names.dedup();
        let _ = write!(list, "\n{}\n{}:\n\n{text}\n", "-".repeat(78), names.join(", "));
    }
    Ok(list)
}

/// Names and versions of all crates that are linked into these packages.
fn linked(workspace: &Workspace, packages: &[&str], feature: Option<&str>) -> Result<BTreeSet<String>> {
    let mut tree = cargo()?;
    tree.args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    tree.args(packages.iter().flat_map(|name| ["--package", name]));
    tree.args(feature.into_iter().flat_map(|feature| ["--features", feature]));
    let printed = capture(tree.current_dir(workspace.root()))?;
    Ok(printed.lines().filter_map(name_and_version).collect())
}

/// Of lines such as `serde v1.0.228` and `pgwal v0.1.0 (/path) (*)`.
fn name_and_version(line: &str) -> Option<String> {
    let mut words = line.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    Some(format!("{name} {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cargo_tree() {
        assert_eq!(name_and_version("serde v1.0.228").as_deref(), Some("serde 1.0.228"));
        assert_eq!(name_and_version("pgwal v0.1.0 (/path) (*)").as_deref(), Some("pgwal 0.1.0"));
        assert_eq!(name_and_version(""), None);
    }

    #[test]
    fn each_crate_that_is_linked_is_listed_with_its_licence() {
        let workspace = Workspace::load().unwrap();
        let texts = texts(&workspace, &["pgwal"], None).unwrap();
        assert!(texts.contains("\nzerocopy ") && texts.contains("Apache License"), "{texts}");
        // Only tests use it, and it is ours.
        assert!(!texts.contains("\nproptest ") && !texts.contains("\npgwal "), "{texts}");
    }

    #[test]
    fn our_own_licence_is_told_in_debian_s_form() {
        let workspace = Workspace::load().unwrap();
        let text = copyright(workspace.root()).unwrap();
        assert!(text.contains("\nCopyright: 2026 The WALker developers\n"), "{text}");
        assert!(text.contains("\nLicense: Expat\n Permission is hereby granted, free of charge"), "{text}");
    }
}
