//! Verbs on clients. The document is the domain's (`domain::client`); the store looks at none of its fields.

use super::StoreError;
use crate::domain::world::Timestamp;
use async_trait::async_trait;
use uuid::Uuid;

/// One client as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRecord {
    /// `client_id` (RFC 6749 §2.2), unique in the network.
    pub id: String,
    /// `client_name`, for the list's filter.
    pub name: String,
    /// `owner`, for the list's filter.
    pub owner: String,
    /// The client's metadata as JSON text.
    pub document: String,
    /// The hash of the client's secret; empty when it has none.
    pub secret_hash: String,
    /// Hashes of earlier secrets that are still accepted, newest first.
    pub rotated_secret_hashes: Vec<String>,
    /// The hash of the registration access token's signature (RFC 7592 §3), if one was given out.
    pub registration_token_hash: Option<Vec<u8>>,
    /// The token family of everything that this client gets for itself (client_credentials).
    pub family_id: Uuid,
    /// Whether a consent was ever remembered for it.
    pub has_remembered_consent: bool,
    /// Counts the changes of this row; an order to issue names the version it was decided on.
    pub version: i64,
    /// When the client was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// Which clients to list: by id, keyset paging.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientPage {
    /// Only clients with an id greater than this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Only clients of exactly this name.
    pub name: Option<String>,
    /// Only clients of exactly this owner.
    pub owner: Option<String>,
}

/// What became of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Done.
    Done,
    /// There is no such client.
    Missing,
    /// Somebody changed it since it was read; read it again.
    Stale,
}

/// Verbs on clients.
#[async_trait]
pub trait ClientStore: Send + Sync + 'static {
    /// Inserts the client and its shared token family (`record.family_id`); `record.version` is stored as given.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken.
    async fn create_client(&self, record: &ClientRecord) -> Result<(), StoreError>;

    /// The client of that id.
    async fn client(&self, id: &str) -> Result<Option<ClientRecord>, StoreError>;

    /// A page of clients in the (byte) order of their ids.
    async fn clients(&self, page: &ClientPage) -> Result<Vec<ClientRecord>, StoreError>;

    /// Writes every field of `record` but id, family and `has_remembered_consent` if the stored version is `expected`,
    /// and counts the version up; tells the change feed.
    async fn replace_client(&self, record: &ClientRecord, expected: i64) -> Result<Replaced, StoreError>;

    /// Notes that a consent for the client is about to be remembered; tells the change feed. Its version stays.
    async fn note_remembered_consent(&self, id: &str) -> Result<(), StoreError>;

    /// Deletes the client, revokes every family of it and deletes its tokens, in one transaction; tells the feed.
    /// Waits for issues under way, so that none survives. `false` when there was none.
    async fn delete_client(&self, id: &str) -> Result<bool, StoreError>;
}
