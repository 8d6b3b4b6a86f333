//! Verbs on JSON Web Keys. Private parts arrive sealed and leave sealed.

use super::StoreError;
use crate::domain::world::Timestamp;
use async_trait::async_trait;

/// One key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// The key set it belongs to.
    pub set: String,
    /// `kid`, unique in the set.
    pub kid: String,
    /// `alg`.
    pub alg: String,
    /// The whole JWK as JSON text, sealed.
    pub sealed: Vec<u8>,
    /// When it was made; the newest usable key of a set signs.
    pub created_at: Timestamp,
    /// Not used for signing before this moment: it is published first.
    pub activates_at: Timestamp,
    /// No longer published from this moment; `None` while it is in use.
    pub retires_at: Option<Timestamp>,
}

/// One change to a key set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// Insert, or replace the row of the same set and kid.
    Put(KeyRow),
    /// Set `retires_at`.
    Retire {
        /// The set.
        set: String,
        /// The key.
        kid: String,
        /// From when it is no longer published.
        at: Timestamp,
    },
    /// Delete one key.
    Delete {
        /// The set.
        set: String,
        /// The key.
        kid: String,
    },
    /// Delete every key of a set.
    DeleteSet {
        /// The set.
        set: String,
    },
}

/// Decides, inside the lock, on all keys of the locked sets and the store's present moment; pure, and asked again when the
/// transaction has to be.
pub type KeyDecision = Box<dyn FnMut(&[KeyRow], Timestamp) -> Vec<KeyChange> + Send>;

/// Verbs on keys.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// All keys of these sets, newest first.
    async fn keys(&self, sets: &[String]) -> Result<Vec<KeyRow>, StoreError>;

    /// The names of all sets that have a key.
    async fn key_sets(&self) -> Result<Vec<String>, StoreError>;

    /// Locks key writing for the whole network, reads the keys of `sets`, asks `decide`, writes the changes, tells the
    /// feed if there were any, and returns all keys of `sets` as they are then, newest first. One transaction: however
    /// many replicas start together, one of them makes the first key and the others find it.
    async fn change_keys(&self, sets: &[String], decide: KeyDecision) -> Result<Vec<KeyRow>, StoreError>;
}
