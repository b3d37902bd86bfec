//! A command on a terminal of its own, as its user sees it.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use pty_process::blocking::{Command as PtyCommand, Pty, open};
use walker_testing::poll;

/// A running command and what it shows.
pub(crate) struct Screen {
    child: Child,
    keyboard: Arc<Pty>,
    parser: Arc<Mutex<vt100::Parser>>,
    /// Ends with the command.
    reader: JoinHandle<()>,
}

impl Screen {
    /// Starts the command on a terminal of so many columns and lines.
    ///
    /// # Errors
    /// If there is no terminal to be had, or the command cannot be run.
    pub(crate) fn start(command: &Command, columns: u16, lines: u16) -> Result<Self> {
        let (pty, terminal) = open()?;
        pty.resize(pty_process::Size::new(lines, columns))?;
        let mut on_terminal = PtyCommand::new(command.get_program()).args(command.get_args());
        for (variable, value) in command.get_envs() {
            on_terminal = match value {
                Some(value) => on_terminal.env(variable, value),
                None => on_terminal.env_remove(variable),
            };
        }
        let child =
            on_terminal.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env_remove("LC_ALL").spawn(terminal)?;
        let parser = Arc::new(Mutex::new(vt100::Parser::new(lines, columns, 0)));
        let keyboard = Arc::new(pty);
        let (output, shown) = (Arc::clone(&keyboard), Arc::clone(&parser));
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            // At the end of the command reading fails.
            while let Ok(count @ 1..) = (&*output).read(&mut bytes) {
                lock(&shown).process(bytes.get(..count).unwrap_or_default());
            }
        });
        Ok(Self { child, keyboard, parser, reader })
    }

    /// What the terminal shows, line by line.
    pub(crate) fn text(&self) -> String {
        lock(&self.parser).screen().contents()
    }

    /// Whether the command has taken the whole terminal, and will give back what was there before.
    pub(crate) fn is_taken(&self) -> bool {
        lock(&self.parser).screen().alternate_screen()
    }

    /// The command's process.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Presses keys.
    ///
    /// # Errors
    /// If the command has gone.
    pub(crate) fn press(&self, keys: &str) -> Result<()> {
        (&*self.keyboard).write_all(keys.as_bytes()).context("the command takes no keys")
    }

    /// Waits until what is shown is as `wanted` says, and returns it.
    ///
    /// # Errors
    /// If it takes too long; the error holds what is shown.
    pub(crate) fn wait_for(&self, timeout: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let look = || Ok(Some(self.text()).filter(|text| wanted(text)));
        poll(timeout, look)?.with_context(|| format!("after {timeout:?} the terminal shows:\n{}", self.text()))
    }

    /// Waits until the command has ended, and all that it wrote is shown.
    ///
    /// # Errors
    /// If it takes too long.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let ended = poll(timeout, || Ok(self.child.try_wait()?))?;
        let ended = ended.with_context(|| format!("after {timeout:?} the command runs:\n{}", self.text()))?;
        poll(timeout, || Ok(self.reader.is_finished().then_some(())))?.context("the terminal is still in use")?;
        Ok(ended)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lock(parser: &Mutex<vt100::Parser>) -> MutexGuard<'_, vt100::Parser> {
    parser.lock().unwrap_or_else(PoisonError::into_inner)
}
