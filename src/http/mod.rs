//! Two listeners: parse, call in order, render. No protocol rule is decided here.

pub mod admin;
pub mod client_auth;
pub mod cors;
pub mod demo;
pub mod error;
pub mod form;
pub mod front;
pub mod health;
pub mod hook;
pub mod jwks_uri;
pub mod outbound;
pub mod pages;
pub mod public;
pub mod reply;
pub mod secret_check;
pub mod session;

pub use error::ApiError;

use crate::actors::key_manager::{KeyManager, KeyRing, KeyVault};
use crate::actors::mailbox::Mailbox;
use crate::actors::token_issuer::TokenIssuer;
use crate::crypto::seal::Sealer;
use crate::crypto::secret_hash::Hasher;
use crate::domain::client_metadata::MetadataRules;
use crate::domain::grant::client_credentials;
use crate::domain::scope::ScopeStrategy;
use crate::domain::token::jwt::JwtRules;
use crate::domain::token::opaque::Opaque;
use crate::domain::world::{Clock, Entropy};
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// What the operator decided, as plain values.
pub struct Rules {
    /// `iss`, byte for byte as configured.
    pub issuer: String,
    /// Base of the published endpoints, without a trailing slash.
    pub public_url: String,
    /// What the metadata documents say.
    pub discovery: public::well_known::Discovery,
    /// Rules on client metadata.
    pub metadata: MetadataRules,
    /// `aud` values that a client assertion may name.
    pub assertion_audiences: Vec<String>,
    /// How scopes cover each other.
    pub scope_strategy: ScopeStrategy,
    /// Rules of the client credentials grant.
    pub client_credentials: client_credentials::Rules,
    /// Access tokens are JWTs unless a client says otherwise.
    pub access_token_jwt: bool,
    /// How JWT access tokens are made.
    pub jwt: JwtRules,
    /// Seal extra claims at rest.
    pub encrypt_sessions: bool,
    /// Show texts for the operator to clients.
    pub expose_internal_errors: bool,
    /// The token hook.
    pub token_hook: Option<hook::HookTarget>,
    /// `version` of the version route.
    pub version: String,
}

/// Whether this process should get traffic.
#[derive(Default)]
pub struct Rotation {
    draining: AtomicBool,
    /// Cancelled when an actor has died.
    pub dead: CancellationToken,
}

impl Rotation {
    /// Leaves rotation: readiness is false from now on and connections are closed after their answer.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether the process is on its way out.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// All that handlers share.
pub struct App {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Makes and checks opaque tokens.
    pub opaque: Opaque,
    /// Seals extra claims.
    pub sessions: Sealer,
    /// Seals page tokens.
    pub page_tokens: Sealer,
    /// Writes tokens.
    pub issuer: Mailbox<TokenIssuer>,
    /// Writes keys.
    pub key_manager: Mailbox<KeyManager>,
    /// Reads keys.
    pub key_vault: KeyVault,
    /// The keys in use.
    pub keys: watch::Receiver<Arc<KeyRing>>,
    /// Hashes new secrets.
    pub hasher: Hasher,
    /// Bounds key derivations.
    pub hash_permits: Arc<Semaphore>,
    /// Bounds slow signatures: apart from the derivations, so that wrong secrets keep nobody from signing.
    pub sign_permits: Arc<Semaphore>,
    /// Checks secrets.
    pub secrets: secret_check::SecretCheck,
    /// Bounds the requests that wait for a hook.
    pub hook_permits: Semaphore,
    /// Calls to others.
    pub outbound: Arc<outbound::Outbound>,
    /// Keys of clients elsewhere.
    pub jwks: jwks_uri::JwksCache,
    /// What the operator decided.
    pub rules: Rules,
    /// Whether to get traffic.
    pub rotation: Arc<Rotation>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}
