//! A running `walker serve`, and what it answers.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};
use walker_testing::{Signal, poll, send_signal, walker};

const TIMEOUT: Duration = Duration::from_secs(60);

/// The command, while it runs.
pub(crate) struct Served {
    child: Child,
    /// `http://127.0.0.1:12345`
    pub(crate) url: String,
    agent: Agent,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }
}

/// `walker serve` for this database, on a free port.
pub(crate) fn command(connection: &str, options: &[&str]) -> Result<Command> {
    let mut command = walker()?;
    command.args(["serve", "--dbname", connection, "--interval", "1"]).args(options);
    if !options.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.env_remove("WALKER_SERVE_TOKEN");
    Ok(command)
}

impl Served {
    /// Starts it, and waits until it says where it is.
    ///
    /// # Errors
    /// If it ends instead.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0);
        let agent = config.timeout_global(Some(TIMEOUT)).build().new_agent();
        let url = line.trim_end().trim_end_matches('/').replace("//0.0.0.0:", "//127.0.0.1:");
        let served = Self { child, url, agent };
        ensure!(served.url.starts_with("http://"), "it says {line:?}");
        Ok(served)
    }

    /// Asks with any method and headers.
    ///
    /// # Errors
    /// If there is no answer.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = if body.is_empty() {
            self.agent.run(request.body(())?)
        } else {
            self.agent.run(request.body(body.to_owned())?)
        }
        .with_context(|| format!("{method} {path}"))?;
        let headers = response.headers().clone();
        let body = response.body_mut().read_to_string()?;
        Ok(Answer { status: response.status().as_u16(), headers, body })
    }

    /// Asks as a browser does.
    ///
    /// # Errors
    /// If there is no answer.
    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        self.request("GET", path, &[], "")
    }

    /// What is at a path of the API.
    ///
    /// # Errors
    /// If there is something else than success.
    pub(crate) fn json(&self, path: &str) -> Result<Value> {
        let answer = self.get(&format!("/api/v1/{path}"))?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        ensure!(answer.header("content-type") == "application/json", "{answer:?}");
        answer.json()
    }

    /// Waits until a path of the API tells something.
    ///
    /// # Errors
    /// If it takes too long; the error holds what it tells.
    pub(crate) fn wait_for(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = poll(TIMEOUT, || Ok(Some(self.json(path)?).filter(|told| wanted(told))))?;
        found.with_context(|| format!("after {TIMEOUT:?} {path} tells {:#?}", self.json(path)))
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn end(&mut self, signal: Signal) -> Result<ExitStatus> {
        send_signal(self.child.id(), signal)?;
        poll(TIMEOUT, || Ok(self.child.try_wait()?))?.context("it goes on")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
