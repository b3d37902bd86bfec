//! What is answered where something cannot be: as JSON, with what can be done.

use anyhow::Error;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use postgres::error::SqlState;
use schemars::JsonSchema;
use serde::Serialize;

use crate::exit::Hinted;
use crate::summary;

/// A refusal.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    status: StatusCode,
    told: Told,
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct Told {
    /// What is wrong.
    error: String,
    /// What can be done.
    hint: Option<String>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: &str, hint: Option<&str>) -> Self {
        Self { status, told: Told { error: error.to_owned(), hint: hint.map(str::to_owned) } }
    }

    /// A question that cannot be meant.
    pub(super) fn wrong(error: &str) -> Self {
        let hint = "GET /api/v1/schema.json describes what can be asked.";
        Self::new(StatusCode::BAD_REQUEST, error, Some(hint))
    }

    /// The database cannot be asked now.
    pub(super) fn away(error: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error, Some("It is asked again every few seconds."))
    }
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        let status = match error.as_db_error().map(|error| error.code().clone()) {
            Some(SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_OBJECT) => StatusCode::NOT_FOUND,
            Some(SqlState::INSUFFICIENT_PRIVILEGE) => StatusCode::FORBIDDEN,
            Some(SqlState::WRONG_OBJECT_TYPE | SqlState::FEATURE_NOT_SUPPORTED) => StatusCode::UNPROCESSABLE_ENTITY,
            Some(SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::of(status, &summary::explain(error))
    }
}

impl Failure {
    fn of(status: StatusCode, error: &Error) -> Self {
        let hint = error.chain().find_map(|cause| cause.downcast_ref::<Hinted>()).map(Hinted::hint);
        Self::new(status, &format!("{error:#}"), hint)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.told)).into_response()
    }
}
