//! From a DSN to a store: which database it names, opening it, and bringing its schema up to date. For the runtime and
//! the command line.
//!
//! Invariant: no message from here holds a password.

use super::introspection_cache::IntrospectionCache;
use super::measured::Measured;
use super::migrate::Ask;
use super::{Migration, Store, postgres, sqlite};
use crate::domain::world::Clock;
use crate::telemetry::metrics::Metrics;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a store is opened with.
#[derive(Clone)]
pub struct OpenOptions {
    /// `postgres://…`, `sqlite://…` or `memory`.
    pub dsn: String,
    /// At most so many connections to PostgreSQL, unless the DSN says `max_conns`.
    pub max_conns: usize,
    /// How long PostgreSQL may work on one statement.
    pub statement_timeout: Duration,
    /// How long most access tokens live: for so long ahead PostgreSQL has a place for them.
    pub access_token_life: Duration,
    /// The present moment for SQLite; PostgreSQL uses its own.
    pub clock: Arc<dyn Clock>,
    /// Where every verb is timed and every retry counted.
    pub metrics: Arc<Metrics>,
    /// Is told of every token that ends.
    pub cache: Option<Arc<IntrospectionCache>>,
}

/// Why a database could not be opened or migrated: what is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {fix}")]
pub struct OpenError {
    what: String,
    fix: String,
}

impl OpenError {
    pub(super) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }

    /// The answer to whoever would migrate Hydra's own database.
    pub(super) fn of_hydra() -> Self {
        Self::new(
            "this is a database of Hydra's",
            "make another one for this server; `import hydra` moves what is in it",
        )
    }
}

/// The databases there are.
pub(super) enum Kind {
    Postgres,
    Sqlite(sqlite::Place),
}

pub(super) fn kind(dsn: &str) -> Result<Kind, OpenError> {
    let dsn = dsn.trim();
    if dsn == "memory" {
        return Ok(Kind::Sqlite(sqlite::Place::Memory));
    }
    match dsn.split_once("://") {
        Some(("postgres" | "postgresql", _)) => Ok(Kind::Postgres),
        Some(("sqlite" | "sqlite3", rest)) => sqlite::Place::parse(rest).map(Kind::Sqlite),
        _ => Err(OpenError::new(
            "the DSN names no known database",
            "use postgres://user:password@host:5432/database, sqlite:///path/to/file or memory",
        )),
    }
}

/// The file of an SQLite database; `None` for a DSN that names none.
pub fn sqlite_file(dsn: &str) -> Option<PathBuf> {
    match kind(dsn) {
        Ok(Kind::Sqlite(sqlite::Place::File(path))) => Some(path),
        _ => None,
    }
}

/// Opens the database. A missing schema is no error here, [`super::Upkeep::migrations`] tells of it; `memory` is
/// migrated at once. A PostgreSQL that is away is no error either: the verbs answer `Unavailable` until it is back.
///
/// # Errors
/// [`OpenError`] when the DSN makes no sense, or an SQLite file cannot be used.
pub async fn open(options: OpenOptions) -> Result<Arc<dyn Store>, OpenError> {
    let (metrics, cache) = (Arc::clone(&options.metrics), options.cache.clone());
    match kind(&options.dsn)? {
        Kind::Postgres => {
            let store = postgres::PostgresStore::open(&options)?;
            Ok(Arc::new(Measured::new(store, "postgresql", metrics, cache)))
        }
        Kind::Sqlite(place) => {
            let store = sqlite::SqliteStore::open(place, &options).await?;
            Ok(Arc::new(Measured::new(store, "sqlite", metrics, cache)))
        }
    }
}

/// Applies what is pending, if `ask` agrees; it is asked only when something is. Two at once are safe: one applies,
/// the other finds it done. Answers every migration as it is afterwards.
///
/// # Errors
/// [`OpenError`] when the database cannot be reached or used, or its schema was made from other scripts.
pub async fn migrate(dsn: &str, ask: &mut Ask<'_>) -> Result<Vec<Migration>, OpenError> {
    match kind(dsn)? {
        Kind::Postgres => postgres::migrate(dsn, ask).await,
        Kind::Sqlite(place) => sqlite::migrate(&place, ask),
    }
}

/// Every migration this binary knows, and whether that database has it. Changes nothing.
///
/// # Errors
/// [`OpenError`] when the database cannot be reached or used.
pub async fn migration_status(dsn: &str) -> Result<Vec<Migration>, OpenError> {
    match kind(dsn)? {
        Kind::Postgres => postgres::migration_status(dsn).await,
        Kind::Sqlite(place) => sqlite::migration_status(&place),
    }
}
