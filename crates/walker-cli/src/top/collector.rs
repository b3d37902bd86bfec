//! Asks the server beside the screen, which goes on meanwhile.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::Result;
use heatmap::Map;
use postgres::Client;

use crate::arguments::ConnectionArguments;
use crate::connection;
use crate::observation::Observation;
use crate::summary;

/// Between two attempts to connect again.
const PAUSE: Duration = Duration::from_secs(2);

/// What the screen wants.
#[derive(Debug)]
pub(super) enum Request {
    /// A look now.
    Now,
    /// How long to wait between two looks; `None` for ever.
    Every(Option<Duration>),
    /// With each look, the heat map of the table of this name too; `None` for of no table.
    HeatMapOf(Option<String>),
}

/// What the server has said.
#[derive(Debug)]
pub(super) enum Answer {
    Observation(Box<Observation>),
    HeatMap {
        table: String,
        map: Map,
    },
    /// It cannot be asked.
    Trouble(String),
}

/// Asks until nobody wants to know more.
pub(super) fn run(
    mut client: Client,
    arguments: &ConnectionArguments,
    mut interval: Option<Duration>,
    requests: &Receiver<Request>,
    answers: &Sender<Answer>,
) {
    let tell = |error: &anyhow::Error| answers.send(Answer::Trouble(format!("{error:#}"))).is_ok();
    let mut table: Option<String> = None;
    loop {
        let begun = Instant::now();
        let mut pause = interval;
        match look(&mut client, table.as_deref(), answers) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                if !tell(&error) {
                    return;
                }
                if client.is_closed() {
                    match connection::connect(arguments) {
                        Ok(connected) => {
                            client = connected;
                            continue;
                        }
                        Err(error) if tell(&error) => pause = Some(PAUSE),
                        Err(_) => return,
                    }
                }
            }
        }
        // Until the next look is due, or is wanted.
        loop {
            let request = match pause {
                Some(pause) => requests.recv_timeout(pause.saturating_sub(begun.elapsed())),
                None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match request {
                Ok(Request::Now) | Err(RecvTimeoutError::Timeout) => break,
                Ok(Request::Every(every)) => (interval, pause) = (every, every),
                Ok(Request::HeatMapOf(wanted)) => {
                    table = wanted;
                    if table.is_some() {
                        break;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// Looks once; returns whether somebody still wants to know.
fn look(client: &mut Client, table: Option<&str>, answers: &Sender<Answer>) -> Result<bool> {
    // A table may be gone: the rest is told nevertheless.
    let mut failure = None;
    if let Some(table) = table {
        let is_wanted = match summary::read(client, table, None) {
            Ok(map) => answers.send(Answer::HeatMap { table: table.to_owned(), map }).is_ok(),
            Err(error) => {
                failure = Some(error);
                true
            }
        };
        if !is_wanted {
            return Ok(false);
        }
    }
    let observation = Observation::take(client)?;
    let is_wanted = answers.send(Answer::Observation(Box::new(observation))).is_ok();
    failure.map_or(Ok(is_wanted), Err)
}
