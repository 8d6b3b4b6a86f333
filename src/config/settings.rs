//! The settings as plain typed values. Made by [`super::load`] alone, checked as a whole, and never changed after.
//! `Debug` shows no secret.

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

pub use super::settings_parts::{
    Audit, Clients, DeviceFlow, HasherSetting, Hook, HookAuth, HookIn, IdentityProvider, Janitor, JwtGrant, Keys, Log,
    LogFormat, OAuth2, Oidc, Pkce, ScopeClaim, Strategies, Tracing, Ttl, Urls, Webfinger,
};

/// Text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(hidden)")
    }
}

impl std::ops::Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Every setting.
#[derive(Clone)]
pub struct Settings {
    /// Development mode.
    pub dev: bool,
    /// The database, as written; `memory` in quickstart when nothing is.
    pub dsn: String,
    /// Limits of the database.
    pub db: Db,
    /// Secrets; see [`SecretLists`].
    pub secrets: SecretLists,
    /// Listeners and shutdown.
    pub serve: Serve,
    /// Cookies.
    pub cookies: Cookies,
    /// URLs.
    pub urls: Urls,
    /// Lifetimes.
    pub ttl: Ttl,
    /// Strategies.
    pub strategies: Strategies,
    /// The `oauth2` branch.
    pub oauth2: OAuth2,
    /// The `oidc` branch.
    pub oidc: Oidc,
    /// Discovery.
    pub webfinger: Webfinger,
    /// Outgoing HTTP.
    pub clients: Clients,
    /// Log.
    pub log: Log,
    /// Traces.
    pub tracing: Tracing,
    /// Signing keys.
    pub keys: Keys,
    /// Sweeping.
    pub janitor: Janitor,
    /// The introspection cache.
    pub redis: Redis,
    /// How much is done at once.
    pub limits: Limits,
    /// What is allowed but worth a line at start.
    pub warnings: Vec<String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Settings")
            .field("dev", &self.dev)
            .field("db", &self.db)
            .field("secrets", &self.secrets)
            .field("serve", &self.serve)
            .field("cookies", &self.cookies)
            .field("urls", &self.urls)
            .field("ttl", &self.ttl)
            .field("strategies", &self.strategies)
            .field("oauth2", &self.oauth2)
            .field("oidc", &self.oidc)
            .field("webfinger", &self.webfinger)
            .field("clients", &self.clients)
            .field("log", &self.log)
            .field("tracing", &self.tracing)
            .field("keys", &self.keys)
            .field("janitor", &self.janitor)
            .field("limits", &self.limits)
            .field("warnings", &self.warnings)
            // dsn and redis.url hold passwords.
            .finish_non_exhaustive()
    }
}

/// The introspection cache: off without a URL.
#[derive(Clone)]
pub struct Redis {
    /// Where Redis is.
    pub url: Option<String>,
    /// How long it may take for one answer.
    pub timeout: Duration,
    /// What every key and channel begins with.
    pub prefix: String,
    /// How old an answer may be; zero for none.
    pub staleness: Duration,
    /// Answers kept in this process.
    pub local_entries: usize,
}

/// How many requests of each class are worked on at once, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of browsers.
    pub authorize: usize,
    /// Of the token endpoint and its neighbours.
    pub token: usize,
    /// Introspections.
    pub introspect: usize,
    /// Others on the admin listener.
    pub admin: usize,
    /// How long one waits to be worked on.
    pub queue_time: Duration,
    /// How long one may take in all.
    pub deadline: Duration,
}

/// Limits of the database.
#[derive(Debug, Clone, Copy)]
pub struct Db {
    /// Most connections.
    pub max_conns: usize,
    /// Longest time one statement may take; zero for no limit.
    pub statement_timeout: Duration,
}

/// Rotating secrets: the first of each list writes, all read.
#[derive(Clone)]
pub struct SecretLists {
    /// Seals data at rest and signs tokens; at least one.
    pub system: Vec<String>,
    /// Cookies; `system` when not set.
    pub cookie: Vec<String>,
    /// Page tokens; `system` when not set.
    pub pagination: Vec<String>,
    /// `system` was made up for this start, and is another one at the next.
    pub made_up: bool,
}

impl fmt::Debug for SecretLists {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "SecretLists {{ system: {} hidden, cookie: {} hidden, pagination: {} hidden }}",
            self.system.len(),
            self.cookie.len(),
            self.pagination.len()
        )
    }
}

/// Listeners and shutdown.
#[derive(Debug, Clone)]
pub struct Serve {
    /// The public listener.
    pub public: Listener,
    /// The admin listener.
    pub admin: Listener,
    /// How long to serve on after readiness went false.
    pub drain_delay: Duration,
    /// How long requests under way may take once draining has begun.
    pub shutdown_timeout: Duration,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Address to bind to, or `unix:/path`.
    pub host: String,
    /// Port; 0 for a free one. Of no meaning for a unix socket.
    pub port: u16,
    /// The unix socket's owner and mode.
    pub socket: Socket,
    /// TLS.
    pub tls: Tls,
    /// Cross-origin requests.
    pub cors: Cors,
    /// Whether health checks appear in the request log.
    pub log_health: bool,
}

/// A unix socket's owner and mode.
#[derive(Debug, Clone)]
pub struct Socket {
    /// User; the process's own when `None`.
    pub owner: Option<String>,
    /// Group; the process's own when `None`.
    pub group: Option<String>,
    /// Permission bits.
    pub mode: u32,
}

/// TLS of one listener.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Whether the listener speaks TLS itself.
    pub enabled: bool,
    /// The certificate chain, PEM; `None` where proxies end TLS.
    pub cert: Option<Pem>,
    /// The private key, PEM.
    pub key: Option<Pem>,
    /// Proxies that end TLS. Without a certificate they alone may come, with `X-Forwarded-Proto: https`.
    pub allow_termination_from: Vec<IpNet>,
}

/// Where PEM text comes from.
#[derive(Debug, Clone)]
pub enum Pem {
    /// A file.
    Path(String),
    /// The text itself, in base64.
    Base64(Secret),
}

/// Cross-origin requests of one listener.
#[derive(Debug, Clone)]
pub struct Cors {
    /// Whether they are answered.
    pub enabled: bool,
    /// Origin globs; empty for all.
    pub allowed_origins: Vec<String>,
    /// Methods.
    pub allowed_methods: Vec<String>,
    /// Request headers.
    pub allowed_headers: Vec<String>,
    /// Answer headers that a page may read.
    pub exposed_headers: Vec<String>,
    /// Whether credentials may be sent.
    pub allow_credentials: bool,
    /// Seconds a preflight's answer may be kept; 0 says nothing.
    pub max_age: u32,
}

/// Cookies.
#[derive(Debug, Clone)]
pub struct Cookies {
    /// `Strict`, `Lax` or `None`.
    pub same_site_mode: String,
    /// A second cookie for browsers that refuse `SameSite=None`.
    pub same_site_legacy_workaround: bool,
    /// Domain.
    pub domain: Option<String>,
    /// Secure in development too.
    pub secure: bool,
    /// Name of the login CSRF cookie.
    pub login_csrf: String,
    /// Name of the consent CSRF cookie.
    pub consent_csrf: String,
    /// Name of the device CSRF cookie.
    pub device_csrf: String,
    /// Name of the session cookie.
    pub session: String,
    /// Path of the session cookie.
    pub session_path: String,
}
