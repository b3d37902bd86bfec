//! The user that a server runs as: PostgreSQL's server programs refuse root.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

/// In this order; the second exists on every machine.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUser {
    name: String,
    user_id: u32,
    group_id: u32,
}

impl ServerUser {
    /// The user to change to, or `None` if this process is not root and simply stays who it is.
    pub(crate) fn needed() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let user = CANDIDATES.iter().find_map(|name| Self::parse(&accounts, name));
        user.map(Some).with_context(|| {
            format!("a server cannot run as root, and /etc/passwd names no user {}", CANDIDATES.join(" or "))
        })
    }

    /// Makes `command` run as this user, without the groups of root: `Command` clears the supplementary groups
    /// when root sets another user.
    pub(crate) fn run(&self, command: &mut Command) {
        command.uid(self.user_id).gid(self.group_id);
    }

    /// Gives a file to this user.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.user_id), Some(self.group_id))
            .with_context(|| format!("cannot give {} to user {}", path.display(), self.name))
    }

    fn parse(accounts: &str, name: &str) -> Option<Self> {
        let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
        fields.into_iter().find_map(|fields| match fields[..] {
            [account, _, user_id, group_id, ..] if account == name => {
                Some(Self { name: name.to_owned(), user_id: user_id.parse().ok()?, group_id: group_id.parse().ok()? })
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nnobody2:x:1:1::/:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
        let user = ServerUser::parse(accounts, "nobody").unwrap();
        assert_eq!((user.user_id, user.group_id), (65534, 65533));
        assert_eq!(ServerUser::parse(accounts, "postgres"), None);
    }

    #[test]
    fn root_leaves_its_supplementary_groups_behind() {
        let Some(user) = ServerUser::needed().unwrap() else { return };
        let mut command = Command::new("id");
        user.run(command.arg("-G").current_dir("/"));
        assert_eq!(crate::command::run(&mut command, "").unwrap().trim(), user.group_id.to_string());
    }
}
