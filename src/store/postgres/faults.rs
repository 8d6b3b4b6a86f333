//! What PostgreSQL's errors mean to the port.

use crate::store::{OpenError, StoreError};
use crate::telemetry::labels::TxRetry;
use deadpool_postgres::{PoolError, TimeoutType};
use std::error::Error as _;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

/// Why a try failed.
pub(super) enum Fault {
    /// The driver or the database says so.
    Driver(Error),
    /// A row holds what it must not.
    Corrupt(String),
}

impl From<Error> for Fault {
    fn from(fault: Error) -> Self {
        Self::Driver(fault)
    }
}

impl Fault {
    /// How another transaction won, if one did: trying again makes sense then.
    pub(super) fn lost_race(&self) -> Option<TxRetry> {
        let Self::Driver(fault) = self else { return None };
        match fault.code()? {
            code if *code == SqlState::T_R_SERIALIZATION_FAILURE => Some(TxRetry::Serialization),
            code if *code == SqlState::T_R_DEADLOCK_DETECTED => Some(TxRetry::Deadlock),
            _ => None,
        }
    }

    /// Whether a row has no partition to go to. No table has a check of its own, which would have a name.
    pub(super) fn is_without_partition(&self) -> bool {
        self.db().is_some_and(|db| *db.code() == SqlState::CHECK_VIOLATION && db.constraint().is_none())
    }

    /// Whether a lock was not to be had in time.
    pub(super) fn is_lock_timeout(&self) -> bool {
        self.db().is_some_and(|db| *db.code() == SqlState::LOCK_NOT_AVAILABLE)
    }

    fn db(&self) -> Option<&DbError> {
        if let Self::Driver(fault) = self { fault.as_db_error() } else { None }
    }

    /// Whether the server takes no writes.
    pub(super) fn only_reads(&self) -> bool {
        matches!(self, Self::Driver(fault) if fault.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION))
    }

    /// The port's word for it.
    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            Self::Driver(fault) => store_error(&fault),
            Self::Corrupt(what) => StoreError::Corrupt(what),
        }
    }
}

/// The port's word for the driver's error.
pub(super) fn store_error(fault: &Error) -> StoreError {
    let Some(db) = fault.as_db_error() else {
        let text = described(fault);
        let unreadable = text.starts_with("error deserializing") || text.starts_with("invalid column");
        return if unreadable { StoreError::Corrupt(text) } else { StoreError::Unavailable(text) };
    };
    let text = format!("{} (SQLSTATE {})", db.message(), db.code().code());
    match db.code() {
        code if *code == SqlState::UNIQUE_VIOLATION => StoreError::Conflict,
        code if *code == SqlState::LOCK_NOT_AVAILABLE => StoreError::Held(text),
        code if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME => {
            StoreError::Unavailable(format!("the schema is missing, run the migrations: {text}"))
        }
        code => match code.code().get(..2) {
            Some("08" | "25" | "28" | "3D" | "40" | "53" | "55" | "57" | "58") => StoreError::Unavailable(text),
            _ => StoreError::Corrupt(text),
        },
    }
}

/// The error and what caused it, in one line.
fn described(fault: &Error) -> String {
    match fault.source() {
        Some(cause) => format!("{fault}: {cause}"),
        None => fault.to_string(),
    }
}

/// The port's word when there is no connection to be had.
pub(super) fn pool_error(fault: PoolError) -> StoreError {
    match fault {
        PoolError::Backend(fault) => match store_error(&fault) {
            StoreError::Unavailable(text) => StoreError::Unavailable(text),
            other => StoreError::Unavailable(other.to_string()),
        },
        PoolError::Timeout(TimeoutType::Wait) => {
            StoreError::Unavailable("every connection to PostgreSQL is busy".to_owned())
        }
        PoolError::Timeout(_) => StoreError::Unavailable("connecting to PostgreSQL took too long".to_owned()),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// What an operator is told when a migration cannot be planned or applied.
pub(super) fn open_error(fault: &Error) -> OpenError {
    let Some(db) = fault.as_db_error() else {
        return OpenError::new(
            format!("PostgreSQL cannot be reached ({})", described(fault)),
            "check host, port and sslmode in the DSN, and that the server runs",
        );
    };
    let what = format!("PostgreSQL says: {} (SQLSTATE {})", db.message(), db.code().code());
    let fix = match db.code().code().get(..2) {
        Some("28") => "check user and password in the DSN; odd characters must be percent-encoded",
        Some("3D") => "create that database first, or correct its name in the DSN",
        Some("42") => "the user needs the right to create tables in the schema",
        _ => "mend that and try again: a migration is applied whole or not at all",
    };
    OpenError::new(what, fix)
}
