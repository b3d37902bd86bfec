//! The API: what it is asked for, and by whom each question is answered. `open_api` describes it.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::Service;
use super::collector::Question;
use super::failure::Failure;
use super::heat_map::{Blocks, MOST_CELLS, TableName};
use super::open_api;

/// Unless another number is wanted.
const CELLS: u32 = 1_024;

pub(super) fn routes() -> Router<Service> {
    Router::new()
        .route("/api/v1/schema.json", get(schema))
        .route("/api/v1/observation", get(observation))
        .route("/api/v1/history", get(history))
        .route("/api/v1/tables/{table}/heatmap", get(heat_map))
        .route("/api/v1/tables/{schema}/{table}/heatmap", get(heat_map_by_name))
        .route("/api/v1/tables/{table}/blocks", get(blocks))
        .route("/api/v1/tables/{schema}/{table}/blocks", get(blocks_by_name))
}

fn json(text: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// For who watches this process, without a token: it tells no more than whether the database answers.
pub(super) async fn health(State(service): State<Service>) -> Response {
    match service.board.trouble() {
        None => "ok\n".into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response(),
    }
}

async fn schema() -> Response {
    json(open_api::text())
}

async fn observation(State(service): State<Service>) -> Response {
    json(service.board.observation_text())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    #[serde(default)]
    since: f64,
    table: Option<u32>,
}

async fn history(
    State(service): State<Service>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(HistoryQuery { since, table }) = query.map_err(|error| Failure::wrong(&error.body_text()))?;
    let told = service.board.history(since, table);
    Ok(axum::Json(told).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeatMapQuery {
    #[serde(default)]
    from: u64,
    to: Option<u64>,
    cells: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlocksQuery {
    #[serde(default)]
    from: u64,
    to: Option<u64>,
}

type InPath<T> = Result<Path<T>, PathRejection>;
type InQuery<T> = Result<Query<T>, QueryRejection>;

fn by_number(path: InPath<String>) -> Result<TableName, Failure> {
    let Path(text) = path.map_err(|error| Failure::wrong(&error.body_text()))?;
    let id = text.parse().map_err(|_| Failure::wrong("a table is named by its OID, or by schema/name"))?;
    Ok(TableName::Id(id))
}

fn by_name(path: InPath<(String, String)>) -> Result<TableName, Failure> {
    let Path((schema, table)) = path.map_err(|error| Failure::wrong(&error.body_text()))?;
    // No name of a server holds one, and no question can.
    if schema.contains('\0') || table.contains('\0') {
        return Err(Failure::wrong("a name holds a zero byte"));
    }
    Ok(TableName::Name { schema, table })
}

async fn ask_heat_map(service: Service, table: TableName, query: InQuery<HeatMapQuery>) -> Result<Response, Failure> {
    let Query(HeatMapQuery { from, to, cells }) = query.map_err(|error| Failure::wrong(&error.body_text()))?;
    let cells = cells.unwrap_or(CELLS);
    if !(1..=MOST_CELLS).contains(&cells) {
        return Err(Failure::wrong(&format!("cells must be in range 1..{MOST_CELLS}")));
    }
    let question = Question::HeatMap { table, blocks: part(from, to)?, cells };
    service.asker.ask(question).await.map(json)
}

async fn ask_blocks(service: Service, table: TableName, query: InQuery<BlocksQuery>) -> Result<Response, Failure> {
    let Query(BlocksQuery { from, to }) = query.map_err(|error| Failure::wrong(&error.body_text()))?;
    let question = Question::Blocks { table, blocks: part(from, to)? };
    service.asker.ask(question).await.map(json)
}

fn part(from: u64, to: Option<u64>) -> Result<Blocks, Failure> {
    let largest = u64::from(u32::MAX);
    if from > largest || to.is_some_and(|to| to > largest || to < from) {
        return Err(Failure::wrong("from and to are numbers of blocks, and to is not below from"));
    }
    Ok(Blocks { from, to })
}

async fn heat_map(
    State(service): State<Service>,
    path: InPath<String>,
    query: InQuery<HeatMapQuery>,
) -> Result<Response, Failure> {
    ask_heat_map(service, by_number(path)?, query).await
}

async fn heat_map_by_name(
    State(service): State<Service>,
    path: InPath<(String, String)>,
    query: InQuery<HeatMapQuery>,
) -> Result<Response, Failure> {
    ask_heat_map(service, by_name(path)?, query).await
}

async fn blocks(
    State(service): State<Service>,
    path: InPath<String>,
    query: InQuery<BlocksQuery>,
) -> Result<Response, Failure> {
    ask_blocks(service, by_number(path)?, query).await
}

async fn blocks_by_name(
    State(service): State<Service>,
    path: InPath<(String, String)>,
    query: InQuery<BlocksQuery>,
) -> Result<Response, Failure> {
    ask_blocks(service, by_name(path)?, query).await
}
