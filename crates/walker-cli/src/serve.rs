//! `walker serve`: what `walker top` shows as a web page, as an API and as metrics, read-only.
//!
//! One thread asks the database (`collector`) and puts what it was told on a board, from which all viewers are served: more
//! viewers are not more queries. Heat maps are asked for when somebody wants one.

mod api;
mod assets;
mod board;
mod collector;
mod failure;
mod gate;
mod heat_map;
mod history;
mod listener;
mod metrics;
mod open_api;
mod token;

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, Uri};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::ServeArguments;
use crate::connection;
use crate::output::Output;
use board::Board;
use collector::{Asker, Collector, Settings};
use gate::Gate;
use token::Token;

pub(crate) use history::Kept;

/// Questions that wait for the database; more are refused.
const MOST_WAITING: usize = 32;
/// What is sent to the server: a token in a form.
const LARGEST_BODY: usize = 4096;
/// At the end, viewers who are being answered are waited for so long.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// `walker serve`.
pub(crate) fn run(arguments: &ServeArguments) -> Result<()> {
    let token = Token::find(arguments.token_file.as_deref())?;
    let listener = listener::bind(arguments.listen, token.is_some())?;
    let address = listener.local_addr().context("could not tell the address that was bound")?;
    // Wrong options are told at once; once the page is served, a server that is away is waited for.
    let client = connection::connect(&arguments.connection)?;

    let interval = Duration::from_secs(arguments.interval.into());
    let board = Arc::new(Board::new(interval, arguments.history, arguments.tables));
    let (asker, asked) = sync_channel(MOST_WAITING);
    let settings = Settings { connection: arguments.connection.clone(), interval };
    let collector = Collector::new(client, settings, Arc::clone(&board))?;
    // It ends with the process, which need not wait for an answer of the database.
    thread::spawn(move || collector.run(&asked));
    let gate = Gate::new(address, &arguments.allow_host, token)?;
    let service = Service { board, asker: Asker::new(asker), gate: Arc::new(gate) };

    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.context("could not start the web server")?.block_on(serve(
        listener,
        &format!("http://{address}/\n"),
        service,
    ))
}

/// What all requests share.
#[derive(Debug, Clone)]
struct Service {
    board: Arc<Board>,
    asker: Asker,
    gate: Arc<Gate>,
}

impl Service {
    fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(api::health))
            .route("/metrics", get(metrics::answer))
            .merge(api::routes())
            .merge(assets::routes())
            .merge(gate::routes())
            .fallback(nothing_here)
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .layer(middleware::from_fn_with_state(Arc::clone(&self.gate), gate::guard))
            .with_state(self)
    }
}

async fn nothing_here(uri: Uri) -> axum::response::Response {
    if uri.path().starts_with("/api/") {
        let hint = "GET /api/v1/schema.json describes what there is.";
        return failure::Failure::new(StatusCode::NOT_FOUND, "there is no such path", Some(hint)).into_response();
    }
    (StatusCode::NOT_FOUND, "There is no such page.\n").into_response()
}

/// Serves until a signal asks for an end.
async fn serve(listener: std::net::TcpListener, announcement: &str, service: Service) -> Result<()> {
    let listener = TcpListener::from_std(listener).context("could not start the web server")?;
    let mut ends = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        ends.push(signal(kind).context("could not set up a handler for signals")?);
    }
    let mut output = Output::lock();
    output.write(announcement)?;
    output.finish()?;
    let (end, ended) = tokio::sync::watch::channel(false);
    let watch = async move {
        std::future::poll_fn(|context| {
            let is_asked = ends.iter_mut().any(|end| end.poll_recv(context).is_ready());
            if is_asked { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        // Nobody listens any more if serving has failed.
        let _ = end.send(true);
    };
    tokio::spawn(watch);
    let is_ended = |mut ended: tokio::sync::watch::Receiver<bool>| async move {
        let _ = ended.wait_for(|ended| *ended).await;
    };
    let server = axum::serve(listener::Limited::new(listener), service.router())
        .with_graceful_shutdown(is_ended(ended.clone()))
        .into_future();
    tokio::select! {
        outcome = server => outcome.context("could not serve"),
        () = async { is_ended(ended).await; tokio::time::sleep(LAST_ANSWERS).await } => Ok(()),
    }
}
