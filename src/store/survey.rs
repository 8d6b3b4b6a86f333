//! What a database says of itself and of what lies in it, for whoever looks for faults. Changes nothing.

use super::{KeyRow, Migration, OpenError, open, postgres, sqlite};
use crate::domain::world::{Clock, Timestamp};
use std::time::Duration;

/// How long counting rows may take.
pub(super) const COUNTING: Duration = Duration::from_secs(10);
/// Tables whose rows end at `expires_at` and are swept soon after; those with sealed sessions first.
pub(super) const ENDING: [&str; 5] =
    ["refresh_token", "authorization_code", "device", "assertion_jti", "login_session"];

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Name and version of the database.
    pub version: String,
    /// PostgreSQL's version as a number, such as 150004.
    pub version_number: i32,
    /// The shortest of a few round trips.
    pub round_trip: Duration,
    /// How far the database's clock is ahead of ours, in microseconds; negative when it is behind.
    pub ahead: i64,
    /// What only a server has to say.
    pub server: Option<ServerSays>,
    /// Every migration that this binary knows or the database has.
    pub migrations: Vec<Migration>,
    /// An applied migration was made from another script than this binary's.
    pub altered: Option<String>,
    /// All keys of all sets.
    pub keys: Vec<KeyRow>,
    /// The first of those whose time was over before the moment asked for, by table.
    pub overdue: Vec<(String, Timestamp)>,
    /// Sealed rows that live, by table and by the mark of the secret that sealed them; `None` when they were not
    /// counted in time.
    pub seals: Option<Vec<Sealed>>,
}

/// Rows of one table under one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The table.
    pub table: String,
    /// The secret's mark.
    pub mark: Vec<u8>,
    /// How many.
    pub rows: i64,
    /// When the last of them ends; `None` when one never does.
    pub until: Option<Timestamp>,
}

/// What a PostgreSQL server says of itself.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer to another question")]
pub struct ServerSays {
    /// `max_connections`.
    pub max_connections: i32,
    /// `superuser_reserved_connections`.
    pub reserved: i32,
    /// Connections of clients that are not ours.
    pub others: i64,
    /// This connection is encrypted.
    pub encrypted: bool,
    /// `fsync`.
    pub fsync: bool,
    /// `full_page_writes`.
    pub full_page_writes: bool,
    /// `synchronous_commit`.
    pub synchronous_commit: String,
    /// It replays another server's log.
    pub standby: bool,
    /// Transactions only read.
    pub read_only: bool,
    /// The role owns the tables, or is a member of the role that does.
    pub owns_tables: bool,
}

/// Looks into a database. `overdue_before`: what was over then should have been swept. `count_seals`: count sealed rows by
/// their secret, which reads whole tables.
///
/// # Errors
/// [`OpenError`] when the database cannot be reached or used.
pub async fn survey(
    dsn: &str,
    clock: &dyn Clock,
    overdue_before: Timestamp,
    count_seals: bool,
) -> Result<Survey, OpenError> {
    match open::kind(dsn)? {
        open::Kind::Postgres => postgres::survey(dsn, clock, overdue_before, count_seals).await,
        open::Kind::Sqlite(place) => sqlite::survey(&place, overdue_before, count_seals),
    }
}
