//! The functions that SQL sees; their declarations are in `walker--0.1.0.sql`.

use std::time::Duration;

use pgrx::prelude::*;

use crate::mailbox;

/// Puts a question to a plugin; see [`mailbox::walker_ask`].
#[pg_extern(sql = "", volatile)]
fn walker_ask_text(plugin: &str, question: &str, timeout_ms: i32) -> String {
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    let answer = mailbox::ask(plugin.as_bytes(), question.as_bytes(), timeout);
    String::from_utf8_lossy(&answer).into_owned()
}
