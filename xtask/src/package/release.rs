//! What all packages of a release have in common.

use std::env;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::capture;
use crate::workspace::Workspace;

/// Debian's revision: how often this version was packaged.
const REVISION: &str = "1";

#[derive(Debug, Clone)]
pub(crate) struct Release {
    /// WALker's.
    pub(crate) version: String,
    /// The packages', as Debian compares them.
    pub(crate) debian_version: String,
    pub(crate) architecture: String,
    /// The date of everything, in seconds since 1970.
    pub(crate) epoch: u64,
    /// The same, as in mails.
    pub(crate) date: String,
    /// `Name <address>`.
    pub(crate) maintainer: String,
    pub(crate) homepage: Option<String>,
}

impl Release {
    pub(crate) fn of(workspace: &Workspace) -> Result<Self> {
        let version = workspace.package("walker-cli")?.version.clone();
        let epoch = epoch(workspace)?;
        let date = capture(Command::new("date").args(["--utc", "--rfc-email", &format!("--date=@{epoch}")]))?;
        Ok(Self {
            debian_version: debian_version(&version),
            version,
            architecture: capture(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned(),
            epoch,
            date: date.trim().to_owned(),
            maintainer: maintainer(workspace)?,
            homepage: workspace.release("homepage").map(str::to_owned),
        })
    }
}

/// A version of the kind 1.0.0-rc.1 comes before 1.0.0: for Debian that takes a tilde.
fn debian_version(version: &str) -> String {
    format!("{}-{REVISION}", version.replacen('-', "~", 1).replace('-', "."))
}

fn epoch(workspace: &Workspace) -> Result<u64> {
    let told = match env::var("SOURCE_DATE_EPOCH") {
        Ok(told) => told,
        Err(_) => {
            let mut git = Command::new("git");
            git.args(["log", "-1", "--format=%ct"]).current_dir(workspace.root());
            capture(&mut git).context("of when are the sources? git does not tell; set SOURCE_DATE_EPOCH")?
        }
    };
    told.trim().parse().with_context(|| format!("not a number of seconds: {told}"))
}

/// As Debian's tools have it: who packages is named in the environment.
fn maintainer(workspace: &Workspace) -> Result<String> {
    let ours = workspace.release("maintainer").context("Cargo.toml names no maintainer")?;
    match (env::var("DEBFULLNAME"), env::var("DEBEMAIL")) {
        (Ok(name), Ok(address)) => Ok(format!("{name} <{address}>")),
        _ => Ok(ours.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_debian_as_by_cargo() {
        assert_eq!(debian_version("0.1.0"), "0.1.0-1");
        assert_eq!(debian_version("1.0.0-rc.1"), "1.0.0~rc.1-1");
        assert_eq!(debian_version("1.0.0-rc-1"), "1.0.0~rc.1-1");
    }
}
