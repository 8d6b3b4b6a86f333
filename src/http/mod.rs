//! Two listeners: parse, call in order, render. No protocol rule is decided here.

pub mod admin;
pub mod admission;
pub mod audited;
pub mod client_auth;
pub mod cors;
pub mod demo;
pub mod error;
pub mod flow;
pub mod form;
pub mod front;
pub mod health;
pub mod hook;
pub mod jwks_uri;
pub mod logout_courier;
pub mod outbound;
pub mod pages;
pub mod presented;
pub mod public;
pub mod reply;
pub mod secret_check;
pub mod session;
pub mod session_end;
pub mod sign;

pub use error::ApiError;

use admission::Admission;

use crate::actors::flow_coordinator::{Finished, FlowCoordinator};
use crate::actors::key_manager::{KeyManager, KeyRing, KeyVault};
use crate::actors::mailbox::Mailbox;
use crate::actors::token_issuer::TokenIssuer;
use crate::crypto::seal::{MacRing, Sealer};
use crate::crypto::secret_hash::Hasher;
use crate::domain::authorize;
use crate::domain::client_metadata::MetadataRules;
use crate::domain::grant::{Lifespans, client_credentials, refresh_token};
use crate::domain::scope::ScopeStrategy;
use crate::domain::subject::SubjectRules;
use crate::domain::token::jwt::JwtRules;
use crate::domain::token::opaque::Opaque;
use crate::domain::user_code::UserCodes;
use crate::domain::world::{Clock, Entropy};
use crate::store::Store;
use crate::store::introspection_cache::IntrospectionCache;
use crate::telemetry::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

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
    /// How long tokens of users live.
    pub lifespans: Lifespans,
    /// Rules of refreshing.
    pub refresh: refresh_token::Rules,
    /// How devices are served.
    pub device: public::device_auth::DeviceRules,
    /// Access tokens are JWTs unless a client says otherwise.
    pub access_token_jwt: bool,
    /// How JWT access tokens are made.
    pub jwt: JwtRules,
    /// Seal extra claims at rest.
    pub encrypt_sessions: bool,
    /// Show texts for the operator to clients.
    pub expose_internal_errors: bool,
    /// What the authorization endpoint allows.
    pub authorize: authorize::Rules,
    /// The authorization endpoint, as the browser comes back to it.
    pub authorize_url: String,
    /// Pages of the operator's, or our fallbacks.
    pub pages: PageAddresses,
    /// How cookies are set.
    pub cookies: flow::cookies::CookieRules,
    /// How clients know users.
    pub subjects: SubjectRules,
    /// How long a login and consent may take.
    pub flow_ttl: Duration,
    /// How long a login is remembered at most.
    pub session_ttl: Duration,
    /// How long an authorization code lives.
    pub code_ttl: Duration,
    /// The identity provider's admin URL; it hears of logouts.
    pub identity_provider: Option<Url>,
    /// A logout also ends the tokens that were issued in the session.
    pub logout_revokes_tokens: bool,
    /// The token hook.
    pub token_hook: Option<hook::HookTarget>,
    /// The hook that is asked at a refresh, before the other.
    pub refresh_token_hook: Option<hook::HookTarget>,
    /// How long a request may take in all.
    pub deadline: Duration,
    /// `version` of the version route.
    pub version: String,
}

/// Where the browser is sent for what only the operator's pages can do; each absolute.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is named after its setting under `urls`")]
pub struct PageAddresses {
    pub login: String,
    pub registration: String,
    pub consent: String,
    pub logout: String,
    pub error: String,
    pub post_logout: String,
    pub device_verification: String,
    pub device_success: String,
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
    /// Lets requests in.
    pub admission: Admission,
    /// What was said of tokens lately; nothing without Redis.
    pub introspections: Option<Arc<IntrospectionCache>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Makes and checks opaque tokens.
    pub opaque: Opaque,
    /// Makes user codes and finds them again.
    pub user_codes: UserCodes,
    /// Seals what tokens are to say.
    pub sessions: Sealer,
    /// Seals flows on their way.
    pub flows_sealer: Sealer,
    /// Seals session cookies.
    pub cookies: Sealer,
    /// Tags the cookies of flows.
    pub csrf: MacRing,
    /// Writes flows.
    pub flows: Mailbox<FlowCoordinator>,
    /// Flows that are over.
    pub finished: Arc<Finished>,
    /// Seals page tokens.
    pub page_tokens: Sealer,
    /// Writes tokens.
    pub issuer: Mailbox<TokenIssuer>,
    /// Writes keys.
    pub key_manager: Mailbox<KeyManager>,
    /// Reads keys.
    pub key_vault: KeyVault,
    /// The metadata documents.
    pub metadata: public::well_known::Metadata,
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
