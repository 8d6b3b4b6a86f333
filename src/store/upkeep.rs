//! Health, schema, sweeping, and the feed of changes.

use super::StoreError;
use async_trait::async_trait;
use tokio::sync::broadcast;

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
}

/// How many rows a sweep deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepCounts {
    /// Expired access tokens.
    pub access_tokens: u64,
    /// `jti` of assertions that are no longer accepted.
    pub jtis: u64,
    /// Revoked families that no token belongs to any more.
    pub families: u64,
}

/// What became of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Swept; more may be left when a count equals the limit.
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

/// Verbs of upkeep.
#[async_trait]
pub trait Upkeep: Send + Sync + 'static {
    /// Whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Every migration this binary knows, in order; the schema fits when all are applied.
    async fn migrations(&self) -> Result<Vec<Migration>, StoreError>;

    /// Deletes at most `limit` rows of each kind whose time is over by the store's clock, in one transaction under a
    /// lease.
    async fn sweep(&self, limit: usize) -> Result<Sweep, StoreError>;

    /// The feed of changes from now on.
    fn changes(&self) -> broadcast::Receiver<Change>;

    /// The pool of connections as it is, where there is one; asks no database.
    fn pool(&self) -> Option<PoolStatus> {
        None
    }

    /// Finishes what is under way and closes the connections.
    async fn close(&self);
}
