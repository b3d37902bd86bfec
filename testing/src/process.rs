//! Processes of a server, looked up in `/proc`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// A process, told from a later one with the same process id by the time of its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    id: u32,
    started: u64,
}

impl Process {
    /// The process of that id, if it is alive. A zombie, which only waits for its parent to read its status, is not.
    pub(crate) fn alive(id: u32) -> Option<Self> {
        let stat = Stat::read(id)?;
        stat.is_alive().then_some(Self { id, started: stat.started })
    }

    /// All living children of the process `parent`.
    pub(crate) fn children_of(parent: u32) -> Result<Vec<Self>> {
        let mut children = Vec::new();
        for entry in fs::read_dir("/proc").context("cannot list /proc")? {
            let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if let Some(stat) = Stat::read(id)
                && stat.parent == parent
                && stat.is_alive()
            {
                children.push(Self { id, started: stat.started });
            }
        }
        Ok(children)
    }

    /// The files of POSIX shared memory that a server's process has mapped.
    pub(crate) fn shared_memory(&self) -> Vec<PathBuf> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.id)).unwrap_or_default();
        let files = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        files.filter(|file| file.starts_with("/dev/shm/PostgreSQL.")).map(PathBuf::from).collect()
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::alive(self.id).as_ref() == Some(self)
    }

    /// Kills it (`kill -9`); one that has gone meanwhile is no error.
    pub(crate) fn kill(&self) -> Result<()> {
        let sent = send_signal(self.id, Signal::KILL);
        if self.is_alive() { sent } else { Ok(()) }
    }

    /// What `ps` shows: servers set it to, for example, `postgres: checkpointer`.
    pub(crate) fn title(&self) -> String {
        let title = fs::read_to_string(format!("/proc/{}/cmdline", self.id)).unwrap_or_default();
        format!("{} ({})", title.replace('\0', " ").trim_end(), self.id)
    }
}

/// Sends a signal to the process of that id.
///
/// # Errors
/// If there is no such process or it may not be sent to.
pub fn send_signal(id: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).with_context(|| format!("no process id: {id}"))?;
    kill_process(pid, signal).with_context(|| format!("cannot send {signal:?} to process {id}"))
}

/// Whether the process has followed [`Signal::STOP`], or is gone.
pub(crate) fn stands_still(id: u32) -> bool {
    Stat::read(id).is_none_or(|stat| !stat.is_alive() || stat.state == "T")
}

struct Stat {
    state: String,
    parent: u32,
    started: u64,
}

impl Stat {
    fn read(id: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    /// See proc_pid_stat(5). The second field, the program in parentheses, may itself hold spaces and parentheses.
    fn parse(stat: &str) -> Option<Self> {
        let (_, after_program) = stat.rsplit_once(") ")?;
        let mut fields = after_program.split(' ');
        let state = fields.next()?.to_owned();
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, started })
    }

    fn is_alive(&self) -> bool {
        !matches!(self.state.as_str(), "Z" | "X")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_spaces_and_parentheses() {
        let line = "42 (a ) Z b) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 9876 1000 10";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.parent, stat.is_alive(), stat.started), (7, true, 9876));
    }

    #[test]
    fn this_process_is_alive_and_a_zombie_is_not() {
        assert!(Process::alive(std::process::id()).is_some());
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let process = Process::alive(child.id()).unwrap();
        assert!(Process::children_of(std::process::id()).unwrap().contains(&process));
        send_signal(child.id(), Signal::KILL).unwrap();
        let gone = crate::poll::poll(std::time::Duration::from_secs(10), || Ok((!process.is_alive()).then_some(())));
        assert_eq!(gone.unwrap(), Some(()));
        child.wait().unwrap();
    }
}
