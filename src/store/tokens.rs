//! Verbs on tokens. A token is valid while its row is there, unexpired by the store's clock, and its family unrevoked.

use super::StoreError;
use crate::domain::world::Timestamp;
use async_trait::async_trait;
use uuid::Uuid;

/// SHA-256 over a token's kind and signature: all that the database knows of a token.
pub type SignatureHash = [u8; 32];

/// The single use of a client assertion (RFC 7523 §3, `jti`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JtiUse {
    /// Whose assertion it is: the namespace of `jti`.
    pub client_id: String,
    /// SHA-256 of the `jti`.
    pub jti: [u8; 32],
    /// When the assertion itself is no longer accepted, so that the row may go.
    pub expires_at: Timestamp,
}

/// An access token's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The key of the row.
    pub signature: SignatureHash,
    /// The family whose revocation ends this token too.
    pub family_id: Uuid,
    /// `client_id` of the client it was issued to.
    pub client_id: String,
    /// `sub`: the user, or the client itself.
    pub subject: String,
    /// Granted scopes.
    pub scope: Vec<String>,
    /// Granted audience.
    pub audience: Vec<String>,
    /// When it was asked for: `iat` and `nbf` of the introspection answer.
    pub requested_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Extra claims, sealed; empty when there are none.
    pub session: Vec<u8>,
}

/// An order to issue an access token to a client for itself (RFC 6749 §4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// The version of the client's row that the decision stands on.
    pub client_version: i64,
    /// The row to write.
    pub token: AccessToken,
    /// The client assertion used up by this request, if any.
    pub jti: Option<JtiUse>,
}

/// An order to revoke a token (RFC 7009 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    /// The access token's row.
    pub signature: SignatureHash,
    /// Only if it was issued to this client.
    pub client_id: String,
    /// The client assertion used up by this request, if any.
    pub jti: Option<JtiUse>,
}

/// One caller's share of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Issue a token.
    Issue(Issue),
    /// Revoke a token.
    Revoke(Revoke),
}

/// What became of one caller's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Issued, or revoked, or there was nothing to revoke.
    Done,
    /// The client is gone or was changed since the decision: decide again. Nothing was written, no `jti` used.
    ClientChanged,
    /// The `jti` was used before. Nothing was written.
    JtiKnown,
}

/// Verbs on tokens.
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// Many callers' writes in one commit, a verdict each, in order. A batch of issues without any `jti` is one
    /// statement. Issue takes a share lock on the client row and compares its version; revoke deletes the row and
    /// revokes the family unless that is a client's shared one. Two equal `jti` in one batch: one wins.
    async fn write_tokens(&self, batch: &[Write]) -> Result<Vec<Verdict>, StoreError>;

    /// The valid access token of that key (one statement), or `None`: unknown, expired by the store's clock, or of a
    /// revoked family.
    async fn access_token(&self, signature: &SignatureHash) -> Result<Option<AccessToken>, StoreError>;

    /// Ends every token of that client: revokes all of its families, gives it a new shared one (`new_family`), counts
    /// its version up and tells the feed; then deletes the rows in bounded batches. `false` when there is no such
    /// client (its tokens are deleted all the same).
    async fn delete_tokens_of_client(&self, client_id: &str, new_family: Uuid) -> Result<bool, StoreError>;
}
