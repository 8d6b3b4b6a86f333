//! Health, schema, sweeping, and the feed of changes.

use super::StoreError;
use crate::domain::world::Timestamp;
use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::broadcast;

/// How long what was decided once stays known: longer than any flow takes, so that none of it comes a second time; by ten
/// minutes, for a replica whose clock is late takes a flow for younger than it is.
pub(super) const DECIDED_KEPT: Duration = crate::domain::flow::LONGEST.saturating_add(Duration::from_secs(600));
/// How long a used refresh token that would never end stays known, so that its reuse is noticed.
pub(super) const USED_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long a delivery that was given up stays for the operator to see.
pub(super) const DEAD_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// A consent whose tokens do not end by themselves is looked at this often.
pub(super) const CONSENT_ROUND: Duration = Duration::from_secs(30 * 24 * 3600);

/// Something changed, here or on another replica. A hint: it may come twice, and `All` comes whenever one may be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This client.
    Client(String),
    /// Some key set.
    Keys,
    /// Anything: the feed was interrupted.
    All,
}

/// One migration that this binary knows, or that the database has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number; the order of application.
    pub version: i64,
    /// What it does.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
    /// Whether this binary knows it.
    pub known: bool,
}

impl Migration {
    /// How many of these the database has yet to get.
    pub fn pending(all: &[Self]) -> usize {
        all.iter().filter(|one| !one.applied).count()
    }

    /// The number of the newest one that the database has and this binary does not know.
    pub fn newer(all: &[Self]) -> Option<i64> {
        all.iter().filter(|one| !one.known).map(|one| one.version).max()
    }
}

/// How many rows a sweep deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepCounts {
    /// Access tokens, expired (those without an hour, in PostgreSQL) or of a revoked family.
    pub access_tokens: u64,
    /// Access tokens that went with their hour, as the database's statistics have counted them.
    pub in_hours: u64,
    /// Refresh tokens, expired or of a revoked family; used ones too.
    pub refresh_tokens: u64,
    /// Authorization codes, expired or of a revoked family; spent ones too.
    pub codes: u64,
    /// Devices' requests, expired or of a revoked family.
    pub devices: u64,
    /// `jti` of assertions that are no longer accepted.
    pub jtis: u64,
    /// Counts of guesses at user codes.
    pub guesses: u64,
    /// Login sessions whose end is an hour ago.
    pub login_sessions: u64,
    /// Flows kept for a URL that is over.
    pub flow_bodies: u64,
    /// Deliveries of logout tokens that were given up a week ago.
    pub deliveries: u64,
    /// Consents, with their families, that spare no question and have no code or token any more.
    pub consents: u64,
    /// Revoked families that no token belongs to any more.
    pub families: u64,
    /// A batch was full, so that more may be left.
    pub more: bool,
}

impl SweepCounts {
    /// The name of what goes in any number at a time.
    pub const IN_HOURS: &'static str = "access_token_hour";

    /// The names of the tables.
    pub const TABLES: [&'static str; 12] = [
        "access_token",
        Self::IN_HOURS,
        "refresh_token",
        "authorization_code",
        "device",
        "assertion_jti",
        "device_guess",
        "login_session",
        "flow_body",
        "logout_delivery",
        "consent",
        "token_family",
    ];

    /// Each count by the name of its table.
    pub const fn by_table(&self) -> [(&'static str, u64); 12] {
        let [access, hours, refresh, codes, devices, jtis, guesses, sessions, bodies, deliveries, consents, families] =
            Self::TABLES;
        [
            (access, self.access_tokens),
            (hours, self.in_hours),
            (refresh, self.refresh_tokens),
            (codes, self.codes),
            (devices, self.devices),
            (jtis, self.jtis),
            (guesses, self.guesses),
            (sessions, self.login_sessions),
            (bodies, self.flow_bodies),
            (deliveries, self.deliveries),
            (consents, self.consents),
            (families, self.families),
        ]
    }
}

/// What became of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Swept.
    Swept(SweepCounts),
    /// Another replica holds the lease.
    Elsewhere,
}

/// Connections to the database at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Open and free.
    pub idle: usize,
    /// In use, or being opened.
    pub used: usize,
    /// At most so many.
    pub max: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

/// How large the files of a database are that is a part of this process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileSizes {
    /// The database itself.
    pub database: u64,
    /// Its write-ahead log.
    pub wal: u64,
}

/// Verbs of upkeep.
#[async_trait]
pub trait Upkeep: Send + Sync + 'static {
    /// Whether the database answers: its present moment.
    async fn ping(&self) -> Result<Timestamp, StoreError>;

    /// Every migration this binary knows, in order, then those that only the database does; the schema fits when all are
    /// applied.
    async fn migrations(&self) -> Result<Vec<Migration>, StoreError>;

    /// Deletes at most `limit` rows of each kind whose time is over by the store's clock, in one transaction under a
    /// lease. When there is no more, PostgreSQL drops the hours whose access tokens have all expired, and makes those
    /// that come.
    async fn sweep(&self, limit: usize) -> Result<Sweep, StoreError>;

    /// The feed of changes from now on.
    fn changes(&self) -> broadcast::Receiver<Change>;

    /// The pool of connections as it is, where there is one; asks no database.
    fn pool(&self) -> Option<PoolStatus> {
        None
    }

    /// The files of the database, where it is a part of this process; asks no database.
    fn files(&self) -> Option<FileSizes> {
        None
    }

    /// Finishes what is under way and closes the connections.
    async fn close(&self);
}
