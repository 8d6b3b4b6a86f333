//! The protocol's part of the settings. Reached through [`super::settings`].

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::settings::Secret;

/// URLs. Relative ones are kept as written.
#[derive(Debug, Clone)]
pub struct Urls {
    /// The issuer, exactly as written.
    pub issuer: String,
    /// Base of the published endpoints.
    pub public: String,
    /// Base of the admin endpoints.
    pub admin: String,
    /// Login page.
    pub login: Option<String>,
    /// Consent page.
    pub consent: Option<String>,
    /// Logout page.
    pub logout: Option<String>,
    /// Error page.
    pub error: Option<String>,
    /// Where a logout ends.
    pub post_logout_redirect: Option<String>,
    /// Registration page; the login page when not set.
    pub registration: Option<String>,
    /// Page for a device's code.
    pub device_verification: Option<String>,
    /// Page after a device is allowed.
    pub device_success: Option<String>,
    /// Identity provider.
    pub identity_provider: IdentityProvider,
}

/// The identity provider that is told of logouts.
#[derive(Debug, Clone)]
pub struct IdentityProvider {
    /// Admin URL.
    pub url: Option<String>,
    /// Public URL.
    pub public_url: Option<String>,
    /// Headers sent with each request.
    pub headers: HiddenMap,
}

/// A JSON object whose values `Debug` does not show.
#[derive(Clone, Default)]
pub struct HiddenMap(pub Map<String, Json>);

impl std::fmt::Debug for HiddenMap {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.0.keys()).finish()
    }
}

/// Lifetimes.
#[derive(Debug, Clone, Copy)]
pub struct Ttl {
    /// Access token.
    pub access_token: Duration,
    /// ID token.
    pub id_token: Duration,
    /// Refresh token; `None` for ever.
    pub refresh_token: Option<Duration>,
    /// Authorization code.
    pub auth_code: Duration,
    /// Login and consent request.
    pub login_consent_request: Duration,
    /// Remembered login.
    pub authentication_session: Duration,
    /// Device and user code.
    pub device_user_code: Duration,
}

/// Strategies.
#[derive(Debug, Clone, Copy)]
pub struct Strategies {
    /// Access tokens are JWTs unless a client says otherwise.
    pub access_token_jwt: bool,
    /// Scopes match word for word; else wildcards count.
    pub scope_exact: bool,
    /// How a JWT carries its scope.
    pub jwt_scope_claim: ScopeClaim,
}

/// How a JWT access token carries its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeClaim {
    /// `scp`, a list.
    List,
    /// `scope`, a text.
    String,
    /// Both.
    Both,
}

/// The `oauth2` branch.
#[derive(Debug, Clone)]
pub struct OAuth2 {
    /// Debugging text in error answers.
    pub expose_internal_errors: bool,
    /// Session data is sealed in the database.
    pub encrypt_sessions_at_rest: bool,
    /// JWT access tokens have no `nbf`.
    pub exclude_not_before_claim: bool,
    /// Extra claims at the top level.
    pub allowed_top_level_claims: Vec<String>,
    /// Those claims are under `ext` as well.
    pub mirror_top_level_claims: bool,
    /// Other extra claims stay under `ext` when mirroring is off.
    pub preserve_ext_claims: bool,
    /// How new client secrets are hashed.
    pub hasher: HasherSetting,
    /// PKCE.
    pub pkce: Pkce,
    /// A logout ends the tokens of its session.
    pub logout_revokes_tokens: bool,
    /// A client that asks for no scope gets all of its own.
    pub cc_default_scope: bool,
    /// How long a used refresh token is still taken.
    pub refresh_grace_period: Duration,
    /// How often a used refresh token is still taken; 0 for no bound.
    pub refresh_grace_reuse_count: u32,
    /// The JWT bearer grant.
    pub jwt_grant: JwtGrant,
    /// Called before a token is issued.
    pub token_hook: Option<Hook>,
    /// Called before a token is refreshed.
    pub refresh_token_hook: Option<Hook>,
    /// The device flow.
    pub device: DeviceFlow,
}

/// Hash of new client secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HasherSetting {
    /// PBKDF2 with this many iterations.
    Pbkdf2(u32),
    /// bcrypt with this cost.
    Bcrypt(u32),
}

/// Who must use PKCE.
#[derive(Debug, Clone, Copy)]
pub struct Pkce {
    /// Every client.
    pub enforced: bool,
    /// Public clients.
    pub enforced_for_public_clients: bool,
}

/// The JWT bearer grant.
#[derive(Debug, Clone, Copy)]
pub struct JwtGrant {
    /// Assertions without `jti` are taken.
    pub jti_optional: bool,
    /// Assertions without `iat` are taken.
    pub iat_optional: bool,
    /// Oldest assertion that is taken.
    pub max_ttl: Duration,
    /// The assertion's own audience is left out.
    pub omit_assertion_audience: bool,
}

/// A web hook.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Where it is called.
    pub url: String,
    /// How it is authenticated.
    pub auth: Option<HookAuth>,
}

/// A hook's API key.
#[derive(Debug, Clone)]
pub struct HookAuth {
    /// Where the key goes.
    pub in_: HookIn,
    /// Name of the header or cookie.
    pub name: String,
    /// The key.
    pub value: Secret,
}

/// Where a hook's key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookIn {
    /// A header.
    Header,
    /// A cookie.
    Cookie,
}

/// The device flow.
#[derive(Debug, Clone)]
pub struct DeviceFlow {
    /// How often a device may ask.
    pub polling_interval: Duration,
    /// `high`, `medium` or `low`.
    pub entropy_preset: String,
    /// Length of user codes, over the preset's.
    pub user_code_length: Option<u8>,
    /// Alphabet of user codes, over the preset's.
    pub user_code_characters: Option<String>,
}

/// The `oidc` branch.
#[derive(Debug, Clone)]
pub struct Oidc {
    /// `public`, `pairwise` or both.
    pub subject_types: Vec<String>,
    /// Salt of pairwise subjects; empty when not set.
    pub pairwise_salt: Secret,
    /// Clients may register themselves.
    pub dcr_enabled: bool,
    /// Scope of a client that names none when it registers.
    pub dcr_default_scope: Vec<String>,
}

/// Discovery.
#[derive(Debug, Clone)]
pub struct Webfinger {
    /// Key sets shown besides our own.
    pub broadcast_keys: Vec<String>,
    /// Overrides `jwks_uri`.
    pub jwks_url: Option<String>,
    /// Overrides `token_endpoint`.
    pub token_url: Option<String>,
    /// Overrides `authorization_endpoint`.
    pub auth_url: Option<String>,
    /// Overrides `device_authorization_endpoint`.
    pub device_authorization_url: Option<String>,
    /// Overrides `registration_endpoint`.
    pub client_registration_url: Option<String>,
    /// Overrides `userinfo_endpoint`.
    pub userinfo_url: Option<String>,
    /// Claims besides `sub`.
    pub supported_claims: Vec<String>,
    /// Scopes besides `openid`, `offline` and `offline_access`.
    pub supported_scope: Vec<String>,
}

/// Outgoing HTTP.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Private addresses are refused.
    pub disallow_private_ip_ranges: bool,
    /// URL globs that may be called all the same.
    pub private_ip_exception_urls: Vec<String>,
}

/// Log.
#[derive(Debug, Clone)]
pub struct Log {
    /// `panic`, `fatal`, `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Form of a line.
    pub format: LogFormat,
    /// Hidden values are shown.
    pub leak_sensitive_values: bool,
    /// What stands in the place of a hidden value.
    pub redaction_text: Option<String>,
    /// Where audit events go; `None` is nowhere.
    pub audit: Option<Audit>,
}

/// The stream of audit events.
#[derive(Debug, Clone)]
pub struct Audit {
    /// A file, or `-` for standard output.
    pub path: String,
    /// Introspections are told too.
    pub introspections: bool,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// JSON over several lines.
    JsonPretty,
    /// Text.
    Text,
}

/// Traces.
#[derive(Debug, Clone)]
pub struct Tracing {
    /// The OTLP collector with its scheme; `None` sends nothing.
    pub otlp_endpoint: Option<String>,
    /// The collector's `Authorization` header.
    pub authorization: Option<Secret>,
    /// Name of this service.
    pub service_name: String,
    /// Name of the deployment.
    pub environment: Option<String>,
    /// Share of traces that is kept, 0 to 1.
    pub sampling_ratio: f64,
}

/// Signing keys.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Age at which a new key takes over; zero never rotates.
    pub rotation_interval: Duration,
    /// How long a new key is published before it signs.
    pub publish_lead: Duration,
    /// `RS256` or `ES256`.
    pub algorithm: String,
    /// Size of RSA keys, in bits.
    pub rsa_bits: u16,
}

/// Sweeping of expired rows.
#[derive(Debug, Clone, Copy)]
pub struct Janitor {
    /// Time between sweeps.
    pub interval: Duration,
    /// Rows deleted in one transaction.
    pub batch_size: u32,
}
