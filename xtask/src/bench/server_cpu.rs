//! CPU time of a server, as `/proc` tells it: see proc(5).

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd::{SysconfVar, sysconf};
use walker_testing::poll;

/// How long backends may take to end when their clients have gone.
const TIMEOUT: Duration = Duration::from_secs(60);

/// CPU time of the postmaster and all its children since the server started, also of those that have ended.
pub(super) fn of_server(postmaster: u32) -> Result<Duration> {
    // A child that ends meanwhile would be counted twice or not at all.
    let total = poll(TIMEOUT, || {
        let before = children(postmaster)?;
        let ended = of_ended_children(postmaster)?;
        let alive: Result<Duration> = before.iter().chain([&postmaster]).map(|id| of_process(*id)).sum();
        let same = before == children(postmaster)?;
        Ok(alive.ok().filter(|_| same).map(|alive| alive + ended))
    })?;
    total.context("the server's processes come and go without pause")
}

/// CPU time of a process, without its children. A server's processes have one thread each.
pub(super) fn of_process(id: u32) -> Result<Duration> {
    parse_schedstat(&read(id, "schedstat")?).with_context(|| format!("/proc/{id}/schedstat is not understood"))
}

/// CPU time of the children that have ended and that it has waited for.
fn of_ended_children(id: u32) -> Result<Duration> {
    let ticks = parse_ticks_of_children(&read(id, "stat")?);
    let ticks = ticks.with_context(|| format!("/proc/{id}/stat is not understood"))?;
    let per_second = sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u32::try_from(ticks).ok()).unwrap_or(100);
    Ok(Duration::from_secs(ticks) / per_second.max(1))
}

/// Process ids of all children, also of those that have ended and were not waited for.
fn children(id: u32) -> Result<Vec<u32>> {
    let list = read(id, &format!("task/{id}/children"))?;
    list.split_whitespace().map(|id| id.parse().with_context(|| format!("no process id: {id}"))).collect()
}

fn read(id: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{id}/{file}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

/// The first number is the time on a CPU in nanoseconds: more exact than the ticks in `stat`.
fn parse_schedstat(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// `cutime` and `cstime`, the sixteenth and seventeenth field. The second field, the program in parentheses, may
/// itself hold spaces and parentheses.
fn parse_ticks_of_children(stat: &str) -> Option<u64> {
    let (_, after_program) = stat.rsplit_once(") ")?;
    let mut fields = after_program.split_whitespace().skip(13).map(|field| field.parse::<u64>().ok());
    fields.next()??.checked_add(fields.next()??)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_files_of_proc_are_understood() {
        assert_eq!(parse_schedstat("125082 2823 2\n"), Some(Duration::from_nanos(125_082)));
        assert_eq!(parse_schedstat("\n"), None);
        let stat = "42 (a ) Z b) S 7 42 42 0 -1 4194560 1 2 3 4 100 200 30 5 20 0 1 0 9876 1000 10";
        assert_eq!(parse_ticks_of_children(stat), Some(35));
        assert_eq!(parse_ticks_of_children("42 (a) S 7"), None);
    }

    #[test]
    fn the_time_of_a_child_counts_while_it_runs_and_afterwards() {
        // A shell that works, waits for our word, and ends; this process is its "postmaster".
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; read word";
        let mut parent = Command::new("sh")
            .args(["-c", &format!("sh -c '{busy}' <&0; read word; true")])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = parent.stdin.take().unwrap();
        let least = Duration::from_millis(20);
        let in_time = |look: &dyn Fn() -> bool| poll(TIMEOUT, || Ok(look().then_some(()))).unwrap().is_some();
        assert!(in_time(&|| of_process(children(parent.id()).unwrap_or_default().first().copied().unwrap_or(0))
            .is_ok_and(|time| time > least)));
        assert!(of_server(parent.id()).unwrap() > least);
        assert_eq!(of_ended_children(parent.id()).unwrap(), Duration::ZERO);
        std::io::Write::write_all(&mut stdin, b"\n").unwrap();
        assert!(in_time(&|| of_ended_children(parent.id()).is_ok_and(|time| time > least)));
        assert!(of_process(parent.id()).unwrap() < of_server(parent.id()).unwrap());
        drop(stdin);
        parent.wait().unwrap();
    }
}
