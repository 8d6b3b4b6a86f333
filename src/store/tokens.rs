//! Verbs on tokens. A token is valid while its row is there, unexpired by the store's clock, and its family unrevoked.

use super::StoreError;
use crate::domain::token::expiry_hour::AccessKey;
use crate::domain::world::Timestamp;
use async_trait::async_trait;
use uuid::Uuid;

/// SHA-256 over a token's kind and signature: all that the database knows of a token, but for an access token's hour.
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
    pub signature: AccessKey,
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

/// A refresh token's row (RFC 6749 §1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The key of the row.
    pub signature: SignatureHash,
    /// The family whose revocation ends this token too.
    pub family_id: Uuid,
    /// `client_id` of the client it was issued to.
    pub client_id: String,
    /// `sub`.
    pub subject: String,
    /// Granted scopes.
    pub scope: Vec<String>,
    /// Granted audience.
    pub audience: Vec<String>,
    /// When it was issued.
    pub requested_at: Timestamp,
    /// When it ends; `None` never.
    pub expires_at: Option<Timestamp>,
    /// The access token issued with it.
    pub access_token: AccessKey,
    /// What later tokens are to say, sealed.
    pub session: Vec<u8>,
}

/// A refresh token as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRefresh {
    /// The row.
    pub token: RefreshToken,
    /// When it was used first.
    pub used_at: Option<Timestamp>,
    /// How often its successor was handed out again.
    pub replayed: u32,
    /// The answer that its first use got, sealed under the token itself; empty while unused, and where there is no grace.
    pub successor: Vec<u8>,
    /// Over by the store's clock.
    pub expired: bool,
    /// Its family was revoked.
    pub revoked: bool,
    /// The store's present moment, by which a grace period is judged.
    pub now: Timestamp,
}

/// What is exchanged for tokens, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An authorization code.
    Code(SignatureHash),
    /// A device code that was granted.
    Device(SignatureHash),
}

/// An order to exchange a code for tokens (RFC 6749 §4.1.3, RFC 8628 §3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeem {
    /// The version of the client's row that the decision stands on.
    pub client_version: i64,
    /// The code.
    pub source: Source,
    /// The access token to write; its family must not be revoked.
    pub access: AccessToken,
    /// The refresh token to write.
    pub refresh: Option<RefreshToken>,
    /// The client assertion used up by this request, if any.
    pub jti: Option<JtiUse>,
}

/// An order to exchange a refresh token for its successor (RFC 6749 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// The version of the client's row that the decision stands on.
    pub client_version: i64,
    /// The token presented; it must be unused.
    pub presented: SignatureHash,
    /// The access token to write; its family must not be revoked.
    pub access: AccessToken,
    /// The refresh token to write.
    pub refresh: RefreshToken,
    /// The answer, sealed under the presented token; empty when nobody may have it again.
    pub successor: Vec<u8>,
    /// Delete every access token of the family (strict), or that alone which was issued with the presented token.
    pub strict: bool,
    /// The client assertion used up by this request, if any.
    pub jti: Option<JtiUse>,
}

/// An order to count one more handing out of a used refresh token's successor. Used is the verdict too when it has not
/// been used yet, or was handed out so often already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The token presented.
    pub presented: SignatureHash,
    /// At most so often.
    pub most: u32,
    /// The client assertion used up by this request, if any.
    pub jti: Option<JtiUse>,
}

/// What a token to be revoked is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// An access token.
    Access(AccessKey),
    /// A refresh token, used or not.
    Refresh(SignatureHash),
}

/// An order to revoke a token (RFC 7009 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    /// Which.
    pub token: Revoked,
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
    /// Exchange a code.
    Redeem(Box<Redeem>),
    /// Exchange a refresh token.
    Rotate(Box<Rotate>),
    /// Count a replay.
    Replay(Replay),
    /// End a family: a code or a refresh token came twice. It is committed though the answer is a refusal.
    RevokeFamily(Uuid),
}

/// What became of one caller's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Written, or there was nothing to end.
    Done,
    /// What was to be revoked is, or there was nothing to revoke; with this family, if it ended too.
    Revoked(Option<Uuid>),
    /// The client is gone or was changed since the decision: decide again. Nothing was written, no `jti` used.
    ClientChanged,
    /// The `jti` was used before. Nothing was written.
    JtiKnown,
    /// The code or refresh token was used before, is over, or its family was revoked. Nothing was written.
    Used,
}

/// Verbs on tokens.
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// Many callers' writes in one commit, a verdict each, in order. A batch of one kind without any `jti` is one
    /// statement. Issue, redeem and rotate take a share lock on the client row and compare its version; redeem and
    /// rotate then lock the family, which must be unrevoked, and spend the code or refresh token if it is unspent and
    /// unexpired by the store's clock; revoke deletes an access token's row and revokes the family unless that is a
    /// client's shared one. Locks are taken in one order: client, family, token, each by key. Two equal `jti` (or two
    /// uses of one code) in one batch: one wins.
    async fn write_tokens(&self, batch: &[Write]) -> Result<Vec<Verdict>, StoreError>;

    /// The valid access token of that key (one statement), or `None`: unknown, expired by the store's clock, or of a
    /// revoked family.
    async fn access_token(&self, signature: &AccessKey) -> Result<Option<AccessToken>, StoreError>;

    /// The valid access tokens of those keys, each in its key's place (one statement).
    async fn access_tokens(&self, signatures: &[AccessKey]) -> Result<Vec<Option<AccessToken>>, StoreError>;

    /// The refresh token of that key, used, expired and revoked ones too (one statement).
    async fn refresh_token(&self, signature: &SignatureHash) -> Result<Option<FoundRefresh>, StoreError>;

    /// Ends every token of that client: revokes all of its families, gives it a new shared one (`new_family`), counts
    /// its version up and tells the feed; then deletes the rows in bounded batches. `false` when there is no such
    /// client (its tokens are deleted all the same).
    async fn delete_tokens_of_client(&self, client_id: &str, new_family: Uuid) -> Result<bool, StoreError>;
}
