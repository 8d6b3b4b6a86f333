//! The port: verbs that are whole transactions, and the errors a store may answer with.
//!
//! Actors and handlers hold one `Arc<dyn Store>`. A verb either happened as a whole or not at all, and its answer comes
//! after the commit. No driver type passes through here.

mod clients;
pub mod deadline;
mod flows;
mod hydra;
pub mod introspection_cache;
mod io;
mod keys;
mod measured;
mod migrate;
mod open;
mod postgres;
mod sqlite;
mod survey;
mod tokens;
mod upkeep;

pub use crate::domain::token::expiry_hour::AccessKey;
pub use clients::{ClientPage, ClientRecord, ClientStore, Replaced};
pub use flows::{
    Attempt, AuthorizationCode, Consent, ConsentFilter, ConsentPage, Delivered, DevicePoll, DeviceRequest, DeviceState,
    FlowStore, FlowVerdict, FlowWrite, ForcedSubject, FoundCode, Grant, Login, LoginSession, Logout, LogoutDelivery,
    OutboxDepth, UserCodeGuess,
};
pub use hydra::{HydraRow, HydraTable, read_hydra};
pub use keys::{KeyChange, KeyDecision, KeyRow, KeyStore};
pub use migrate::Ask;
pub use open::{OpenError, OpenOptions, migrate, migration_status, open, sqlite_file};
pub use survey::{Sealed, ServerSays, Survey, survey};
pub use tokens::{
    AccessToken, FoundRefresh, Issue, JtiUse, Redeem, RefreshToken, Replay, Revoke, Revoked, Rotate, SignatureHash,
    Source, TokenStore, Verdict, Write,
};
pub use upkeep::{Change, FileSizes, Migration, PoolStatus, Sweep, SweepCounts, Upkeep};

/// Why a store did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database is away, too slow, full or read-only: nothing is known to have happened; ask again later (503).
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Others hold a row for too long: nothing was done; ask again later (503). Who shares a batch with the one that needs
    /// the row can be served without it.
    #[error("others hold what is needed: {0}")]
    Held(String),
    /// A row with that key exists already.
    #[error("a row with that key exists already")]
    Conflict,
    /// What the database holds cannot be understood: a bug, or somebody else wrote there.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// The answer of a verb that writes for a client and has no verdict to say it with.
    fn client_changed() -> Self {
        Self::Unavailable("the client is gone or was changed meanwhile".to_owned())
    }
}

/// The names that verbs have as the label `db_operation_name`.
#[must_use]
pub const fn operations() -> &'static [&'static str] {
    &measured::VERBS
}

/// Everything a store can do.
pub trait Store: ClientStore + TokenStore + FlowStore + KeyStore + Upkeep {}
impl<T: ClientStore + TokenStore + FlowStore + KeyStore + Upkeep> Store for T {}
