//! The one who asks the database: looks at intervals, and heat maps when somebody wants one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::body::Bytes;
use axum::http::StatusCode;
use postgres::Client;
use serde::Serialize;
use tokio::sync::oneshot;

use super::board::Board;
use super::failure::Failure;
use super::heat_map::{self, Blocks, TableName};
use crate::arguments::ConnectionArguments;
use crate::connection::{self, server_message};
use crate::observation::Observation;

/// Between two attempts to connect again.
const PAUSE: Duration = Duration::from_secs(2);
/// Nothing is written, and a question that takes long does not keep the others waiting.
const SESSION: &str = "SET default_transaction_read_only = on; SET statement_timeout = '20s'; SET lock_timeout = '3s'";
/// Who asks gives up after that time; the question may have waited behind others.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers that are kept for an interval.
const MOST_ANSWERS: usize = 64;

/// What somebody wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// So many cells at most, for the blocks from one on and up to before another one.
    HeatMap { table: TableName, blocks: Blocks, cells: u32 },
    /// Each block.
    Blocks { table: TableName, blocks: Blocks },
}

type Answer = Result<Bytes, Failure>;

/// A question, and where its answer goes.
pub(super) struct Asked {
    question: Question,
    answer: oneshot::Sender<Answer>,
}

/// Where questions are asked.
#[derive(Debug, Clone)]
pub(super) struct Asker(SyncSender<Asked>);

impl Asker {
    pub(super) fn new(asker: SyncSender<Asked>) -> Self {
        Self(asker)
    }

    /// The answer as JSON.
    pub(super) async fn ask(&self, question: Question) -> Answer {
        let (answer, answered) = oneshot::channel();
        let busy = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too many questions wait", Some("Try again."));
        self.0.try_send(Asked { question, answer }).map_err(|_| busy())?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Failure::away("the database does not answer")),
        }
    }
}

/// How it asks.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) connection: ConnectionArguments,
    pub(super) interval: Duration,
}

/// A connection, and what was asked lately.
pub(super) struct Collector {
    client: Client,
    settings: Settings,
    board: Arc<Board>,
    answers: HashMap<Question, (Instant, Bytes)>,
}

impl Collector {
    /// Looks for the first time.
    pub(super) fn new(mut client: Client, settings: Settings, board: Arc<Board>) -> Result<Self> {
        client.batch_execute(SESSION)?;
        board.observe(Observation::take(&mut client)?);
        Ok(Self { client, settings, board, answers: HashMap::new() })
    }

    /// Asks until nobody is left who could want to know.
    pub(super) fn run(mut self, questions: &Receiver<Asked>) {
        let (mut begun, mut pause) = (Instant::now(), self.settings.interval);
        loop {
            // At least one question between two looks, and no look later than it should be for more than one.
            loop {
                let left = pause.saturating_sub(begun.elapsed());
                match questions.recv_timeout(left) {
                    Ok(Asked { question, answer }) => {
                        // Who asked may have gone.
                        let _ = answer.send(self.answer(question));
                        if left.is_zero() {
                            break;
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            begun = Instant::now();
            pause = self.look();
        }
    }

    /// Looks once; returns when to look again.
    fn look(&mut self) -> Duration {
        if self.client.is_closed() {
            match self.connect() {
                Ok(client) => self.client = client,
                Err(error) => {
                    self.board.fail(format!("{error:#}"));
                    return PAUSE;
                }
            }
        }
        match Observation::take(&mut self.client) {
            Ok(observation) => self.board.observe(observation),
            Err(error) => self.board.fail(match error.downcast_ref::<postgres::Error>() {
                Some(of_server) => server_message(of_server),
                None => format!("{error:#}"),
            }),
        }
        if self.client.is_closed() { PAUSE.min(self.settings.interval) } else { self.settings.interval }
    }

    fn connect(&self) -> Result<Client> {
        let mut client = connection::connect(&self.settings.connection)?;
        client.batch_execute(SESSION)?;
        Ok(client)
    }

    /// Answers by what was told lately, or else asks.
    fn answer(&mut self, question: Question) -> Answer {
        let interval = self.settings.interval;
        self.answers.retain(|_, (told, _)| told.elapsed() < interval);
        if let Some((_, answer)) = self.answers.get(&question) {
            return Ok(answer.clone());
        }
        if self.client.is_closed() {
            return Err(Failure::away(&self.board.trouble().unwrap_or_else(|| "the database is away".to_owned())));
        }
        let inexact = |table| self.board.inexact(table);
        let answer = match &question {
            Question::HeatMap { table, blocks, cells } => {
                json(&heat_map::read(&mut self.client, table, *blocks, *cells, inexact)?)
            }
            Question::Blocks { table, blocks } => {
                json(&heat_map::read_blocks(&mut self.client, table, *blocks, inexact)?)
            }
        }?;
        if self.answers.len() < MOST_ANSWERS {
            self.answers.insert(question, (Instant::now(), answer.clone()));
        }
        Ok(answer)
    }
}

fn json(value: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(value);
    text.map(Bytes::from).map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string(), None))
}
