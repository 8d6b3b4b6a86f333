//! Verbs on authorization flows: remembered logins, granted consents with what they issue, devices, logout.
//!
//! Whatever may happen once is decided by a row: a login by its session's id, a consent by its own, a user code by the
//! device's row. All moments that decide are the store's own.

use super::StoreError;
use super::tokens::{AccessToken, SignatureHash};
use crate::domain::world::Timestamp;
use async_trait::async_trait;
use std::time::Duration;
use uuid::Uuid;

/// A remembered login: what the browser's session cookie points at, and `sid` of ID tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSession {
    /// `sid`.
    pub id: Uuid,
    /// Who signed in.
    pub subject: String,
    /// When: `auth_time`.
    pub authenticated_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// The identity provider's own session; empty when it named none.
    pub identity_provider_session_id: String,
}

/// A subject under the name that a client is to know it by (`force_subject_identifier`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForcedSubject {
    /// The client.
    pub client_id: String,
    /// The subject.
    pub subject: String,
    /// Its name for that client.
    pub forced: String,
}

/// What a login writes when it comes back to the browser that began it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// A new session to remember. Its id was chosen when the flow began: a second use finds it taken.
    pub remember: Option<LoginSession>,
    /// A session whose end moves to this moment.
    pub extend: Option<(Uuid, Timestamp)>,
    /// The browser's earlier session, which ends.
    pub ends: Option<Uuid>,
    /// A name for the subject; replaces an earlier one.
    pub forced: Option<ForcedSubject>,
}

/// A granted consent. Its id is the id of the token family of all that is issued on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// `consent_request_id`.
    pub id: Uuid,
    /// To whom.
    pub client_id: String,
    /// By whom.
    pub subject: String,
    /// `login_session_id`, remembered or not.
    pub session_id: Uuid,
    /// Granted scopes.
    pub scope: Vec<String>,
    /// Granted audience.
    pub audience: Vec<String>,
    /// Granted without asking, because of an earlier one.
    pub skipped: bool,
    /// Whether it may spare the user the next question.
    pub remember: bool,
    /// Until when; `None` for ever.
    pub remember_until: Option<Timestamp>,
    /// When the flow began.
    pub requested_at: Timestamp,
    /// When it was granted.
    pub handled_at: Timestamp,
    /// The request, the session data and the context, sealed.
    pub detail: Vec<u8>,
}

/// An authorization code's row (RFC 6749 §4.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationCode {
    /// The key of the row.
    pub signature: SignatureHash,
    /// The consent it stands on.
    pub family_id: Uuid,
    /// To whom it was issued.
    pub client_id: String,
    /// `redirect_uri` as the authorization request had it; `None` when it had none.
    pub redirect_uri: Option<String>,
    /// `code_challenge` (RFC 7636 §4.3), by S256.
    pub code_challenge: Option<String>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What tokens are to say, sealed.
    pub session: Vec<u8>,
}

/// An authorization code as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCode {
    /// The row.
    pub code: AuthorizationCode,
    /// Already redeemed.
    pub spent: bool,
    /// Over by the store's clock.
    pub expired: bool,
    /// Its family was revoked.
    pub revoked: bool,
}

/// What a consent writes when it comes back to the browser that began the flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The version of the client's row that the decision stands on.
    pub client_version: i64,
    /// The consent; its id was fixed when the flow began: a second use finds it taken.
    pub consent: Consent,
    /// The remembered consent that spared the user the question. Without it there is no grant.
    pub stands_on: Option<Uuid>,
    /// A code, if the response type has one.
    pub code: Option<AuthorizationCode>,
    /// An access token, if the response type has one.
    pub access_token: Option<AccessToken>,
    /// The device's flow (`DeviceRequest::flow_id`) with what its tokens are to say, sealed; for the device grant.
    pub device: Option<(Uuid, Vec<u8>)>,
}

/// The end of a login session, asked for by its user or by an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logout {
    /// `sid`, remembered or not.
    pub session_id: Uuid,
    /// Whose.
    pub subject: String,
    /// Also revoke every family that was granted in this session.
    pub revoke_tokens: bool,
    /// The clients of the session that the deliveries were made for (see `clients_of_session`). When another one was
    /// granted something since, nothing is written.
    pub clients: Vec<String>,
    /// Who is to be told: clients (OpenID Connect Back-Channel Logout 1.0 §2.5), the identity provider.
    pub deliveries: Vec<LogoutDelivery>,
    /// How long the session's id stays taken, so that it cannot end twice.
    pub keep_until: Timestamp,
}

/// A logout token to deliver, which is signed when it is sent, for it lives two minutes; or a session of the identity
/// provider to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutDelivery {
    /// The row's key.
    pub id: Uuid,
    /// Which client is told; empty for the identity provider.
    pub client_id: String,
    /// Its `backchannel_logout_uri` at the time of the logout; the address of the provider's session.
    pub uri: String,
    /// `sub` of the logout token, as that client knows it.
    pub subject: String,
    /// `sid`.
    pub session_id: Uuid,
    /// How many tries failed; the waits grow with it. A try whose end could not be noted does not count.
    pub attempts: u32,
}

/// One caller's share of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowWrite {
    /// A login.
    Login(Login),
    /// A consent.
    Grant(Box<Grant>),
    /// A device is refused: its next poll hears `access_denied`. By `DeviceRequest::flow_id`.
    DenyDevice(Uuid),
    /// A logout.
    Logout(Logout),
}

/// What became of one caller's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowVerdict {
    /// Written.
    Done,
    /// It happened before, or what it stands on is over. Nothing was written.
    Used,
    /// The login session that a grant stands on has ended. Nothing was written.
    SessionEnded,
    /// The earlier consent that a grant stands on was revoked. Nothing was written.
    ConsentRevoked,
    /// The client is gone or was changed since the decision, or a session that is to end has another client: decide
    /// again. Nothing was written.
    ClientChanged,
}

/// Which consents to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentFilter {
    /// This one.
    Id(Uuid),
    /// All of a subject to one client.
    Client {
        /// The subject.
        subject: String,
        /// The client.
        client_id: String,
    },
    /// All of a subject.
    Subject(String),
}

/// Which consents to list: newest first, keyset paging on (`handled_at`, `id`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentPage {
    /// Whose.
    pub subject: String,
    /// Only those granted in this login session.
    pub session_id: Option<Uuid>,
    /// Only those before this one.
    pub before: Option<(Timestamp, Uuid)>,
    /// At most so many.
    pub limit: usize,
}

/// A device authorization request (RFC 8628 §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRequest {
    /// The key of the row: the device code's.
    pub signature: SignatureHash,
    /// The user code's hash, unique among those that have not ended.
    pub user_code: [u8; 32],
    /// The client.
    pub client_id: String,
    /// Requested scopes.
    pub scope: Vec<String>,
    /// Requested audience.
    pub audience: Vec<String>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When both codes end.
    pub expires_at: Timestamp,
    /// Seconds between polls.
    pub interval: u32,
    /// The flow that a user's browser began for it; `None` until the user code is entered.
    pub flow_id: Option<Uuid>,
}

/// Somebody entered a user code (RFC 8628 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What it is counted on: the challenge, or the login session of the browser that entered it.
    pub challenge: Uuid,
    /// When that challenge is over.
    pub challenge_ends: Timestamp,
    /// Wrong attempts that a challenge forgives.
    pub most: u32,
    /// Wrong attempts that all challenges together forgive, those that are over left out; `None` for any number.
    pub most_of_all: Option<u32>,
    /// The keys that the row of the code may have, one for each system secret.
    pub user_codes: Vec<[u8; 32]>,
    /// The flow that is to have the device.
    pub flow_id: Uuid,
}

/// What became of a guess at a user code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserCodeGuess {
    /// Right: the device now belongs to the given flow.
    Accepted(DeviceRequest),
    /// Unknown, ended, or entered before. Counted.
    Wrong,
    /// Too many wrong guesses were made on this challenge: nothing was looked up.
    TooMany,
    /// Too many wrong guesses were made on all challenges together: nothing was looked up.
    TooManyOfAll,
}

/// Where a device's request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// Nobody has decided yet.
    Pending,
    /// Refused.
    Denied,
    /// Granted: the family and what the tokens are to say, sealed.
    Granted {
        /// The consent it stands on.
        family_id: Uuid,
        /// Sealed to the device's row.
        session: Vec<u8>,
    },
    /// Tokens were issued.
    Redeemed,
}

/// A poll's answer (RFC 8628 §3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePoll {
    /// The client that asked for the code: another one's poll changes nothing.
    pub client_id: String,
    /// Where it stands.
    pub state: DeviceState,
    /// Over by the store's clock.
    pub expired: bool,
    /// Sooner than the interval after the last one: the interval has grown by five seconds (RFC 8628 §3.5).
    pub too_fast: bool,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The client took it.
    Done,
    /// Try again after this time.
    Retry(Duration),
    /// Given up; kept for the operator until it is swept.
    Dead,
}

/// Deliveries that are not done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxDepth {
    /// Waiting for their first or next try.
    pub waiting: u64,
    /// Given up.
    pub dead: u64,
}

/// Verbs on flows.
#[async_trait]
pub trait FlowStore: Send + Sync + 'static {
    /// Many callers' writes in one commit, a verdict each, in order. A batch of grants alone is one statement, and so
    /// is a batch of logins alone. A grant takes a share lock on the client row, compares its version, and inserts the
    /// token family, the consent, and what is issued; a device's row must be pending and bound to that flow, or the
    /// verdict is `Used`. One that an earlier consent spared the question is there before that one is revoked, and goes
    /// with it, or never.
    async fn write_flows(&self, batch: &[FlowWrite]) -> Result<Vec<FlowVerdict>, StoreError>;

    /// The remembered login of that id, if it has not ended (one statement).
    async fn login_session(&self, id: Uuid) -> Result<Option<LoginSession>, StoreError>;

    /// The newest remembered and unexpired consent of a subject to a client that was not itself skipped (one
    /// statement).
    async fn previous_consent(&self, client_id: &str, subject: &str) -> Result<Option<Consent>, StoreError>;

    /// The name that a client was told to know a subject by.
    async fn forced_subject(&self, client_id: &str, subject: &str) -> Result<Option<String>, StoreError>;

    /// The code of that key, spent and expired ones too (one statement).
    async fn authorization_code(&self, signature: &SignatureHash) -> Result<Option<FoundCode>, StoreError>;

    /// Ids of consents granted at `since` or later by the store's clock, oldest first, each with its moment. Commits may
    /// come in another order than moments: who goes on from the last one begins a little before it.
    async fn consents_since(&self, since: Timestamp, limit: usize) -> Result<Vec<(Uuid, Timestamp)>, StoreError>;

    /// A page of consents that were asked for (not skipped) and have not ended. One that is not remembered is there
    /// while anything stands on it, and for an hour at least.
    async fn consents(&self, page: &ConsentPage) -> Result<Vec<Consent>, StoreError>;

    /// Deletes consents and revokes all that was issued on them, in one transaction; how many.
    async fn revoke_consents(&self, filter: &ConsentFilter) -> Result<u64, StoreError>;

    /// The clients that were granted something in a login session, each once.
    async fn clients_of_session(&self, session_id: Uuid, subject: &str) -> Result<Vec<String>, StoreError>;

    /// The subject of a login session that was not remembered, by what was granted in it; `None` once it has ended.
    async fn subject_of_session(&self, session_id: Uuid) -> Result<Option<String>, StoreError>;

    /// Ends every login session of a subject; how many. What was issued stays.
    async fn end_sessions_of_subject(&self, subject: &str) -> Result<u64, StoreError>;

    /// Keeps a sealed flow that is too long for a URL; the same handle again replaces it.
    async fn put_flow_body(&self, handle: &[u8; 32], sealed: &[u8], expires_at: Timestamp) -> Result<(), StoreError>;

    /// What was kept, unless it is over.
    async fn flow_body(&self, handle: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Inserts a device's request.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the user code is taken: make another. [`StoreError::Unavailable`] when the client is
    /// gone or was changed since the decision.
    async fn create_device(&self, device: &DeviceRequest, client_version: i64) -> Result<(), StoreError>;

    /// Counts the attempt on its challenge and, unless too many were wrong, binds the device of that user code to the
    /// flow. One transaction: guesses at once are counted one by one, and one flow gets the device.
    async fn guess_user_code(&self, attempt: &Attempt) -> Result<UserCodeGuess, StoreError>;

    /// One poll of a device: where it stands, and whether it came too soon; `client_id` is who polls.
    async fn poll_device(&self, signature: &SignatureHash, client_id: &str) -> Result<Option<DevicePoll>, StoreError>;

    /// Takes deliveries that are due, each for this process alone during `lease`.
    async fn claim_deliveries(&self, limit: usize, lease: Duration) -> Result<Vec<LogoutDelivery>, StoreError>;

    /// Says what became of one as it was claimed. Said twice, or after somebody else's answer to the same try, it changes
    /// nothing.
    async fn settle_delivery(&self, delivery: &LogoutDelivery, outcome: Delivered) -> Result<(), StoreError>;

    /// How many are not done.
    async fn outbox_depth(&self) -> Result<OutboxDepth, StoreError>;
}
