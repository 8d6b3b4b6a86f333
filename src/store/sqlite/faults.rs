//! What SQLite's errors mean to the port.

use crate::store::StoreError;
use rusqlite::{Error, ErrorCode, ffi};

/// The port's word for an error of the driver.
pub(super) fn store_error(fault: Error) -> StoreError {
    let Error::SqliteFailure(code, text) = &fault else {
        return StoreError::Corrupt(fault.to_string());
    };
    let taken = [ffi::SQLITE_CONSTRAINT_PRIMARYKEY, ffi::SQLITE_CONSTRAINT_UNIQUE];
    if taken.contains(&code.extended_code) {
        return StoreError::Conflict;
    }
    if text.as_deref().is_some_and(|t| t.starts_with("no such table")) {
        return StoreError::Unavailable("the schema is missing, run the migrations".to_owned());
    }
    match code.code {
        ErrorCode::ConstraintViolation
        | ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::TypeMismatch
        | ErrorCode::ParameterOutOfRange
        | ErrorCode::Unknown => StoreError::Corrupt(fault.to_string()),
        _ => StoreError::Unavailable(fault.to_string()),
    }
}

/// The answer when nothing was done for a caller because the transaction could not begin or was lost.
pub(super) fn undone() -> StoreError {
    StoreError::Unavailable("SQLite did nothing: it is busy, full or closed".to_owned())
}

/// The answer when a thread of the store has ended.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the SQLite store is closed".to_owned())
}
