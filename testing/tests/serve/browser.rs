//! A headless Chromium, driven through the pipe of its DevTools protocol.

use std::collections::VecDeque;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(60);
const NAMES: [&str; 4] = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: String,
    last: u64,
    events: VecDeque<Value>,
    /// Errors that the page has caused.
    errors: Vec<String>,
    /// All that the page has asked for.
    requests: Vec<String>,
    /// Its profile.
    _directory: TempDir,
}

/// Where a browser is; none, which is said, where there is none.
///
/// # Errors
/// In continuous integration, where nothing may be left out.
pub(crate) fn find() -> Result<Option<PathBuf>> {
    let path = env::var_os("PATH").unwrap_or_default();
    let programs = env::split_paths(&path).flat_map(|directory| NAMES.map(|name| directory.join(name)));
    let found = programs.into_iter().find(|program| program.is_file());
    if found.is_none() {
        ensure!(env::var_os("CI").is_none_or(|ci| ci != "true"), "there is no Chromium on the PATH");
        eprintln!("skipped: there is no Chromium on the PATH; Debian's package is chromium-headless-shell");
    }
    Ok(found)
}

impl Browser {
    /// Starts it with an empty page.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let directory = TempDir::new()?;
        // The protocol's pipes are file descriptors 3 and 4, which without unsafe code only a shell gives to a program.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>&2"])
            .arg(program)
            // The page is ours; as root there is no sandbox.
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-pipe", "--force-device-scale-factor=1"])
            .arg(format!("--user-data-dir={}", directory.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run sh")?;
        let to = child.stdin.take().context("no pipe to the browser")?;
        let output = child.stdout.take().context("no pipe from the browser")?;
        let (said, from) = channel();
        thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let told = serde_json::from_slice(&message).unwrap_or_default();
                if said.send(told).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            to,
            from,
            session: String::new(),
            last: 0,
            events: VecDeque::new(),
            errors: Vec::new(),
            requests: Vec::new(),
            _directory: directory,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach)?;
        browser.session = attached["sessionId"].as_str().context("no session")?.to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    /// One command of the protocol, and its result.
    fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.last += 1;
        let id = self.last;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        let mut bytes = serde_json::to_vec(&message)?;
        bytes.push(0);
        self.to.write_all(&bytes).context("the browser has gone")?;
        let begun = Instant::now();
        loop {
            let left = TIMEOUT.saturating_sub(begun.elapsed());
            let mut told = match self.from.recv_timeout(left) {
                Ok(told) => told,
                Err(RecvTimeoutError::Timeout) => bail!("no answer to {method}"),
                Err(RecvTimeoutError::Disconnected) => bail!("the browser has gone"),
            };
            if told["id"] == id {
                ensure!(told["error"].is_null(), "{method}: {}", told["error"]);
                return Ok(told["result"].take());
            }
            self.note(told);
        }
    }

    /// Keeps what tests ask for at the end.
    fn note(&mut self, event: Value) {
        let parameters = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.errors.push(parameters["exceptionDetails"].to_string()),
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                self.errors.push(parameters["entry"].to_string());
            }
            Some("Runtime.consoleAPICalled") if parameters["type"] == "error" => {
                self.errors.push(parameters["args"].to_string());
            }
            Some("Network.requestWillBeSent") => {
                self.requests.push(parameters["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            _ => self.events.push_back(event),
        }
        self.events.truncate(16);
    }

    /// What an expression of JavaScript is; of a promise, what it comes to.
    ///
    /// # Errors
    /// If it throws.
    pub(crate) fn value(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut result = self.call("Runtime.evaluate", parameters)?;
        ensure!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        Ok(result["result"]["value"].take())
    }

    /// The same as text.
    ///
    /// # Errors
    /// If it throws or is no text.
    pub(crate) fn text(&mut self, expression: &str) -> Result<String> {
        let value = self.value(expression)?;
        Ok(value.as_str().with_context(|| format!("{expression} is {value}"))?.to_owned())
    }

    /// Waits until an expression is true.
    ///
    /// # Errors
    /// If it takes too long; the error holds what the page shows.
    pub(crate) fn wait_for(&mut self, expression: &str) -> Result<()> {
        let begun = Instant::now();
        while self.value(&format!("Boolean({expression})"))? != true {
            if begun.elapsed() > TIMEOUT {
                let shown = self.text("location.href + '\\n' + document.body.innerText")?;
                bail!("{expression} does not become true: {:?}\n{shown}", self.errors);
            }
            thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }

    /// Goes to an address.
    ///
    /// # Errors
    /// If there is nothing.
    pub(crate) fn go(&mut self, url: &str) -> Result<()> {
        let result = self.call("Page.navigate", json!({ "url": url }))?;
        ensure!(result["errorText"].is_null(), "{url}: {result}");
        self.wait_for("document.readyState === 'complete'")
    }

    /// Clicks by the mouse on the middle of an element, as a user would: what covers it is in the way.
    ///
    /// # Errors
    /// If there is none that can be seen.
    pub(crate) fn click(&mut self, selector: &str) -> Result<()> {
        let name = json!(selector);
        self.wait_for(&format!("document.querySelector({name})"))?;
        let middle = self.value(&format!(
            "(() => {{ const e = document.querySelector({name}); e.scrollIntoView({{ block: 'center' }});
                const b = e.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; }})()"
        ))?;
        self.click_at(&middle[0], &middle[1])
    }

    /// Clicks on a place of the window.
    ///
    /// # Errors
    /// If the browser has gone.
    pub(crate) fn click_at(&mut self, x: &Value, y: &Value) -> Result<()> {
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let event = json!({ "type": kind, "x": x, "y": y, "button": button, "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event)?;
        }
        Ok(())
    }

    /// Presses a key by its name in the standard: `Enter`, `Tab`, `ArrowLeft`, `a`.
    ///
    /// # Errors
    /// If the browser has gone.
    pub(crate) fn press(&mut self, key: &str) -> Result<()> {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            "Escape" => (27, ""),
            "End" => (35, ""),
            "Home" => (36, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            letter => (i64::from(letter.to_ascii_uppercase().as_bytes().first().copied().unwrap_or(0)), letter),
        };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let event = |kind: &str| json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", event(kind))?;
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }))?;
        Ok(())
    }

    /// Presses Tab until an expression about the element that has the focus, `e`, is true.
    ///
    /// # Errors
    /// If no element is like that, or one has the focus and nothing shows it.
    pub(crate) fn tab_to(&mut self, wanted: &str) -> Result<()> {
        for _ in 0..200 {
            self.press("Tab")?;
            let outline = "getComputedStyle(e).outlineStyle !== 'none' || e === document.body";
            let look =
                format!("(() => {{ const e = document.activeElement; return [{wanted}, {outline}, e.outerHTML]; }})()");
            let told = self.value(&look)?;
            ensure!(told[1] == true, "nothing shows the focus of {}", told[2]);
            if told[0] == true {
                return Ok(());
            }
        }
        bail!("by Tab one does not come to where {wanted}")
    }

    /// The window's size, and whether the system wants dark colours.
    ///
    /// # Errors
    /// If the browser has gone.
    pub(crate) fn look_like(&mut self, width: u32, height: u32, is_dark: bool) -> Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", metrics)?;
        let scheme = if is_dark { "dark" } else { "light" };
        self.call("Emulation.setScrollbarsHidden", json!({ "hidden": true }))?;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", media).map(drop)
    }

    /// Writes what the whole page looks like into a file, and fails if it is wider than the window.
    ///
    /// # Errors
    /// If that cannot be.
    pub(crate) fn picture(&mut self, name: &str) -> Result<()> {
        let wide = self.value("[document.documentElement.scrollWidth, innerWidth]")?;
        ensure!(wide[0].as_f64() <= wide[1].as_f64(), "{name}: the page is too wide: {wide}");
        // Charts follow the size of their places in the next frames.
        self.value("new Promise((done) => setTimeout(done, 300))")?;
        let taken = self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }))?;
        let data = taken["data"].as_str().context("no picture")?;
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serve");
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("{name}.png")), base64::engine::general_purpose::STANDARD.decode(data)?)?;
        Ok(())
    }

    /// Fails if the page has had an error, or has asked somebody else than `origin`.
    ///
    /// # Errors
    /// If so.
    pub(crate) fn assert_clean(&mut self, origin: &str) -> Result<()> {
        self.value("1")?;
        ensure!(self.errors.is_empty(), "{:#?}", self.errors);
        let is_own = |url: &String| url.starts_with(&format!("{origin}/")) || url == "about:blank";
        let others: Vec<_> = self.requests.iter().filter(|url| !is_own(url)).collect();
        ensure!(others.is_empty() && self.requests.len() > 10, "{others:?}");
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.call("Browser.close", json!({}));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
