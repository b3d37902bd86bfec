//! A connection that stays open: `psql` with pipes.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cluster::Cluster;

const TIMEOUT: Duration = Duration::from_secs(120);

/// A connection of its own, for transactions that run side by side with others.
///
/// A statement that fails is an error of the call, but the session goes on, as does a transaction block in which it
/// happened: it has to be rolled back. Dropping the session closes the connection; the server notices when it next
/// talks to the client.
#[derive(Debug)]
pub struct Session {
    psql: Child,
    stdin: ChildStdin,
    lines: Receiver<Line>,
    /// How many scripts were sent; it makes the marker behind each one unique.
    sent: u32,
    /// Whether the last script's end has not been waited for.
    running: bool,
    backend_id: u32,
}

#[derive(Debug)]
enum Line {
    Stdout(String),
    Stderr(String),
}

impl Session {
    pub(crate) fn connect(cluster: &Cluster, database: &str) -> Result<Self> {
        let mut command = cluster.program("psql")?;
        command.args(["-X", "-q", "-A", "-t", "-d", database]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut psql = command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let (sender, lines) = channel();
        let stdin = psql.stdin.take().context("psql has no standard input")?;
        forward(psql.stdout.take().context("psql has no output")?, sender.clone(), Line::Stdout);
        forward(psql.stderr.take().context("psql has no error output")?, sender, Line::Stderr);
        let mut session = Self { psql, stdin, lines, sent: 0, running: false, backend_id: 0 };
        let backend_id = session.execute("SELECT pg_backend_pid()").context("cannot connect")?;
        session.backend_id = backend_id.parse().with_context(|| format!("no process id: {backend_id}"))?;
        Ok(session)
    }

    /// Process id of the server's process that serves this session.
    #[must_use]
    pub fn backend_id(&self) -> u32 {
        self.backend_id
    }

    /// Runs SQL, waits until it is done and returns what it printed: no header, columns separated by `|`.
    ///
    /// # Errors
    /// The first error of the server, or that the connection is lost, or that it takes longer than two minutes.
    pub fn execute(&mut self, sql: &str) -> Result<String> {
        self.send(sql)?;
        self.wait(TIMEOUT)
    }

    /// Sends SQL without waiting: it may be waiting for a lock of another session. Then [`Session::wait`] must follow.
    ///
    /// # Errors
    /// If what was sent before is not done yet, or the connection is lost.
    pub fn send(&mut self, sql: &str) -> Result<()> {
        ensure!(!self.running, "what was sent before has not been waited for");
        self.sent += 1;
        let marker = self.marker();
        // The marker goes to both outputs, because nothing orders the one against the other.
        let script = format!("{}\n\\echo {marker}\n\\warn {marker}\n", terminated(sql));
        let written = self.stdin.write_all(script.as_bytes()).and_then(|()| self.stdin.flush());
        self.running = true;
        if let Err(error) = written {
            // psql has ended: what it said last tells more than a broken pipe.
            self.wait(TIMEOUT)?;
            return Err(error).context("cannot write to psql");
        }
        Ok(())
    }

    /// Waits until what was sent is done, and returns what it printed.
    ///
    /// # Errors
    /// As [`Session::execute`]; after a timeout it can be waited for again, but what was printed is lost.
    pub fn wait(&mut self, timeout: Duration) -> Result<String> {
        ensure!(self.running, "nothing was sent");
        let marker = self.marker();
        let deadline = Instant::now() + timeout;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut markers = 0;
        while markers < 2 {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Line::Stdout(line) | Line::Stderr(line)) if line == marker => markers += 1,
                Ok(Line::Stdout(line)) => stdout.push(line),
                Ok(Line::Stderr(line)) => stderr.push(line),
                Err(RecvTimeoutError::Timeout) => bail!("not done after {timeout:?}"),
                Err(RecvTimeoutError::Disconnected) => {
                    self.running = false;
                    bail!("the connection is lost\n{}", stderr.join("\n"));
                }
            }
        }
        self.running = false;
        ensure!(!stderr.iter().any(|line| is_error(line)), "{}", stderr.join("\n"));
        Ok(stdout.join("\n"))
    }

    fn marker(&self) -> String {
        format!("walker-testing-done-{}", self.sent)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Not by closing its input: it may be waiting for a lock.
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

/// With a semicolon at the end: without, `psql` would keep the last statement until the next one comes.
fn terminated(sql: &str) -> String {
    let sql = sql.trim_end();
    // The line end is for a comment in the last line.
    if sql.is_empty() || sql.ends_with(';') { sql.to_owned() } else { format!("{sql}\n;") }
}

/// The server's messages come in English: the cluster's locale is C.
fn is_error(line: &str) -> bool {
    ["ERROR:  ", "FATAL:  ", "PANIC:  "].iter().any(|severity| line.starts_with(severity))
        || line.starts_with("psql: error: ")
        || line.starts_with("invalid command ")
}

/// Hands on each line of `pipe`, until its other end is closed or nobody wants it any more.
fn forward(pipe: impl Read + Send + 'static, lines: Sender<Line>, kind: fn(String) -> Line) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { break };
            if lines.send(kind(String::from_utf8_lossy(&line).into_owned())).is_err() {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_statement_gets_its_semicolon() {
        assert_eq!(terminated("SELECT 1"), "SELECT 1\n;");
        assert_eq!(terminated("SELECT 1 -- one"), "SELECT 1 -- one\n;");
        assert_eq!(terminated("SELECT 1;\n"), "SELECT 1;");
        assert_eq!(terminated(" "), "");
    }

    #[test]
    fn notices_and_warnings_are_no_errors() {
        assert!(is_error("ERROR:  relation \"t\" does not exist"));
        assert!(is_error("FATAL:  terminating connection due to administrator command"));
        assert!(!is_error("WARNING:  there is no transaction in progress"));
        assert!(!is_error("NOTICE:  table \"t\" does not exist, skipping"));
    }
}
