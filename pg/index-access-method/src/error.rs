//! Why an index cannot do what it is asked to.

use std::fmt;

use pgrx::PgSqlErrorCode;
use pgxlog::{GenericXLogError, InsertError};

/// An error that becomes PostgreSQL's ERROR once everything that was held has been given back.
#[derive(Debug, Clone)]
pub struct IndexError {
    code: PgSqlErrorCode,
    message: String,
    hint: Option<&'static str>,
}

impl IndexError {
    /// An error with this SQLSTATE and message.
    #[must_use]
    pub fn new(code: PgSqlErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The index's pages are not as the access method leaves them (`ERRCODE_INDEX_CORRUPTED`).
    #[must_use]
    pub fn corrupted(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_INDEX_CORRUPTED, message).with_hint("Please REINDEX it.")
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// Raises it, in a function of SQL.
    ///
    /// # Panics
    /// Always: see [`pgxlog::raise`].
    pub fn raise(self) -> ! {
        pgxlog::raise(self.code, self.message, self.hint)
    }
}

impl fmt::Display for IndexError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for IndexError {}

impl From<GenericXLogError> for IndexError {
    fn from(error: GenericXLogError) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, error.to_string())
    }
}

impl From<InsertError> for IndexError {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::NotRegistered { .. } => {
                Self::new(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, error.to_string())
                    .with_hint("Add it there and restart the server.")
            }
            _ => Self::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, error.to_string()),
        }
    }
}
