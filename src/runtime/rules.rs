//! From settings to the plain values that each room takes.

use crate::actors::key_manager::KeyPolicy;
use crate::config::Settings;
use crate::config::settings::{self, HasherSetting, HookIn, ScopeClaim};
use crate::crypto::secret_hash::Hasher;
use crate::domain::authorize;
use crate::domain::client_metadata::MetadataRules;
use crate::domain::grant::refresh_token::{self, Grace};
use crate::domain::grant::{Lifespans, client_credentials};
use crate::domain::key_ring::Policy;
use crate::domain::scope::ScopeStrategy;
use crate::domain::subject::SubjectRules;
use crate::domain::token::jwt::{self, JwtRules};
use crate::domain::user_code::UserCodeFormat;
use crate::http::admission::{Admission, Seats};
use crate::http::cors::Cors;
use crate::http::flow::cookies::CookieRules;
use crate::http::hook::HookTarget;
use crate::http::outbound::Reach;
use crate::http::public::device_auth::DeviceRules;
use crate::http::public::well_known::Discovery;
use crate::http::{PageAddresses, Rules};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{AuditSettings, LogFormat, TelemetrySettings};
use actix_web::cookie::SameSite;
use anyhow::anyhow;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The rooms of each class of requests.
pub fn admission(of: &Settings, metrics: &Arc<Metrics>) -> Admission {
    let settings::Limits { authorize, token, introspect, admin, queue_time, .. } = of.limits;
    Admission::new(Seats { authorize, token, introspect, admin }, queue_time, metrics)
}

/// The rules of the handlers.
pub fn rules(of: &Settings) -> Rules {
    let public_url = of.urls.public.trim_end_matches('/').to_owned();
    Rules {
        issuer: of.urls.issuer.clone(),
        discovery: discovery(of),
        metadata: MetadataRules {
            subject_types: of.oidc.subject_types.clone(),
            default_scope: of.oidc.dcr_default_scope.clone(),
            disallow_private_ip_ranges: of.clients.disallow_private_ip_ranges,
        },
        assertion_audiences: assertion_audiences(of, &public_url),
        scope_strategy: scope_strategy(of),
        client_credentials: client_credentials::Rules {
            strategy: scope_strategy(of),
            default_scope: of.oauth2.cc_default_scope,
            lifespan: of.ttl.access_token,
        },
        lifespans: lifespans(of),
        refresh: refresh(of),
        device: device(of),
        access_token_jwt: of.strategies.access_token_jwt,
        jwt: jwt_rules(of),
        encrypt_sessions: of.oauth2.encrypt_sessions_at_rest,
        authorize: authorize::Rules {
            scope_strategy: scope_strategy(of),
            pkce_for_all: of.oauth2.pkce.enforced,
            pkce_for_public: of.oauth2.pkce.enforced_for_public_clients,
            plain_http: of.dev,
        },
        authorize_url: of.webfinger.auth_url.clone().unwrap_or_else(|| format!("{public_url}/oauth2/auth")),
        pages: pages(&of.urls, &public_url),
        cookies: cookies(of),
        subjects: subjects(of),
        flow_ttl: of.ttl.login_consent_request,
        deadline: of.limits.deadline,
        session_ttl: of.ttl.authentication_session,
        code_ttl: of.ttl.auth_code,
        identity_provider: of.urls.identity_provider.url.as_deref().and_then(|url| Url::parse(url).ok()),
        logout_revokes_tokens: of.oauth2.logout_revokes_tokens,
        expose_internal_errors: of.oauth2.expose_internal_errors,
        token_hook: of.oauth2.token_hook.as_ref().map(hook),
        refresh_token_hook: of.oauth2.refresh_token_hook.as_ref().map(hook),
        version: format!("v{}", env!("CARGO_PKG_VERSION")),
        public_url,
    }
}

const fn lifespans(of: &Settings) -> Lifespans {
    Lifespans { access: of.ttl.access_token, id: of.ttl.id_token, refresh: of.ttl.refresh_token }
}

fn refresh(of: &Settings) -> refresh_token::Rules {
    refresh_token::Rules {
        strategy: scope_strategy(of),
        lifespans: lifespans(of),
        grace: Grace { period: of.oauth2.refresh_grace_period, most: of.oauth2.refresh_grace_reuse_count },
    }
}

fn device(of: &Settings) -> DeviceRules {
    let interval = u32::try_from(of.oauth2.device.polling_interval.as_secs()).unwrap_or(u32::MAX);
    DeviceRules { lifespan: of.ttl.device_user_code, interval }
}

/// How user codes look.
///
/// # Errors
/// For an alphabet that is too small.
pub fn user_codes(of: &Settings) -> anyhow::Result<UserCodeFormat> {
    let device = &of.oauth2.device;
    let format =
        UserCodeFormat::new(&device.entropy_preset, device.user_code_length, device.user_code_characters.as_deref());
    format.ok_or_else(|| anyhow!("oauth2.device_authorization.user_code.character_set: too few characters"))
}

/// The operator's pages; a path is one on this server.
fn pages(of: &settings::Urls, public_url: &str) -> PageAddresses {
    let at = |given: &Option<String>, fallback: &str| {
        let address = given.as_deref().unwrap_or(fallback);
        if address.starts_with('/') { format!("{public_url}{address}") } else { address.to_owned() }
    };
    PageAddresses {
        login: at(&of.login, "/oauth2/fallbacks/login"),
        registration: at(&of.registration, "/oauth2/fallbacks/login"),
        consent: at(&of.consent, "/oauth2/fallbacks/consent"),
        logout: at(&of.logout, "/oauth2/fallbacks/logout"),
        error: at(&of.error, "/oauth2/fallbacks/error"),
        post_logout: at(&of.post_logout_redirect, "/oauth2/fallbacks/logout/callback"),
        device_verification: at(&of.device_verification, "/oauth2/fallbacks/device"),
        device_success: at(&of.device_success, "/oauth2/fallbacks/device/done"),
    }
}

/// `SameSite=None` needs `Secure`, which plain http cannot have.
fn cookies(of: &Settings) -> CookieRules {
    let https = of.urls.issuer.starts_with("https:");
    let secure = !of.dev || of.cookies.secure;
    let same_site = match of.cookies.same_site_mode.as_str() {
        "Strict" => SameSite::Strict,
        "None" if https && secure => SameSite::None,
        _ => SameSite::Lax,
    };
    let named = |name: &str| if of.dev { format!("{name}_dev") } else { name.to_owned() };
    CookieRules {
        session: named(&of.cookies.session),
        session_path: of.cookies.session_path.clone(),
        login_csrf: named(&of.cookies.login_csrf),
        consent_csrf: named(&of.cookies.consent_csrf),
        device_csrf: named(&of.cookies.device_csrf),
        domain: of.cookies.domain.clone(),
        secure,
        same_site,
        legacy_workaround: of.cookies.same_site_legacy_workaround,
    }
}

/// Pairwise subjects need their salt. A pairwise client gets its own name for the user in JWT access tokens too.
fn subjects(of: &Settings) -> SubjectRules {
    let on = of.oidc.subject_types.iter().any(|t| t == "pairwise") && !of.oidc.pairwise_salt.is_empty();
    SubjectRules { pairwise_salt: on.then(|| of.oidc.pairwise_salt.to_string()) }
}

fn scope_strategy(of: &Settings) -> ScopeStrategy {
    if of.strategies.scope_exact { ScopeStrategy::Exact } else { ScopeStrategy::Wildcard }
}

/// The token endpoint by every name it has, and the issuer (RFC 7523bis).
fn assertion_audiences(of: &Settings, public_url: &str) -> Vec<String> {
    let issuer = &of.urls.issuer;
    let mut all = vec![
        issuer.clone(),
        format!("{public_url}/oauth2/token"),
        format!("{}/oauth2/token", issuer.trim_end_matches('/')),
    ];
    all.extend(of.webfinger.token_url.clone());
    all
}

fn jwt_rules(of: &Settings) -> JwtRules {
    JwtRules {
        scope_claim: match of.strategies.jwt_scope_claim {
            ScopeClaim::List => jwt::ScopeClaim::List,
            ScopeClaim::String => jwt::ScopeClaim::Text,
            ScopeClaim::Both => jwt::ScopeClaim::Both,
        },
        exclude_not_before: of.oauth2.exclude_not_before_claim,
        allowed_top_level: of.oauth2.allowed_top_level_claims.clone(),
        mirror_top_level: of.oauth2.mirror_top_level_claims,
        preserve_ext: of.oauth2.preserve_ext_claims,
    }
}

fn discovery(of: &Settings) -> Discovery {
    let from = &of.webfinger;
    Discovery {
        auth_url: from.auth_url.clone(),
        token_url: from.token_url.clone(),
        jwks_url: from.jwks_url.clone(),
        userinfo_url: from.userinfo_url.clone(),
        device_authorization_url: from.device_authorization_url.clone(),
        client_registration_url: from.client_registration_url.clone(),
        supported_claims: from.supported_claims.clone(),
        supported_scope: from.supported_scope.clone(),
        subject_types: of.oidc.subject_types.clone(),
    }
}

fn hook(of: &settings::Hook) -> HookTarget {
    let header = of.auth.as_ref().map(|auth| match auth.in_ {
        HookIn::Header => (auth.name.clone(), auth.value.to_string()),
        HookIn::Cookie => ("Cookie".to_owned(), format!("{}={}", auth.name, &*auth.value)),
    });
    HookTarget { url: of.url.clone(), header }
}

/// What the identity provider wants to see with each call.
pub fn provider_headers(of: &Settings) -> HeaderMap {
    let pairs = of.urls.identity_provider.headers.0.iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(value.as_str()?).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    });
    pairs.collect()
}

/// How far calls to registered addresses may reach.
pub fn reach(of: &Settings) -> Reach {
    Reach {
        public_only: of.clients.disallow_private_ip_ranges,
        exceptions: of.clients.private_ip_exception_urls.clone(),
    }
}

/// How new client secrets are hashed.
pub const fn hasher(of: &Settings) -> Hasher {
    match of.oauth2.hasher {
        HasherSetting::Pbkdf2(iterations) => Hasher::Pbkdf2 { iterations },
        HasherSetting::Bcrypt(cost) => Hasher::Bcrypt { cost },
    }
}

/// A retired key stays published for at least this long: what a client's own lifespans may ask of a signed token.
const LONGEST_JWT: Duration = Duration::from_secs(90 * 24 * 3600);

/// How our own keys are made and rotated.
///
/// # Errors
/// For an algorithm that does not exist.
pub fn key_policy(of: &Settings) -> anyhow::Result<KeyPolicy> {
    Ok(KeyPolicy {
        alg: of
            .keys
            .algorithm
            .parse()
            .map_err(|_| anyhow!("keys.algorithm: {} is not an algorithm", of.keys.algorithm))?,
        rsa_bits: usize::from(of.keys.rsa_bits),
        rotation: Policy {
            rotation_interval: of.keys.rotation_interval,
            publish_lead: of.keys.publish_lead,
            // Clients may have longer lifespans of their own, which nobody here knows.
            longest_token: of.ttl.access_token.max(of.ttl.id_token).max(LONGEST_JWT),
        },
        broadcast: of.webfinger.broadcast_keys.clone(),
    })
}

/// Cross-origin rules of a listener.
pub fn cors(of: &settings::Cors) -> Cors {
    Cors {
        enabled: of.enabled,
        origins: of.allowed_origins.clone(),
        methods: of.allowed_methods.clone(),
        headers: of.allowed_headers.clone(),
        exposed: of.exposed_headers.clone(),
        credentials: of.allow_credentials,
        max_age: of.max_age,
    }
}

/// Log, audit events and traces.
pub fn telemetry(of: &Settings) -> TelemetrySettings {
    TelemetrySettings {
        level: of.log.level.clone(),
        format: match of.log.format {
            settings::LogFormat::Json => LogFormat::Json,
            settings::LogFormat::JsonPretty => LogFormat::JsonPretty,
            settings::LogFormat::Text => LogFormat::Text,
        },
        otlp_endpoint: of.tracing.otlp_endpoint.clone(),
        otlp_authorization: of.tracing.authorization.as_ref().map(|value| value.to_string()),
        service_name: of.tracing.service_name.clone(),
        environment: of.tracing.environment.clone(),
        sampling_ratio: of.tracing.sampling_ratio,
        audit: of
            .log
            .audit
            .as_ref()
            .map(|audit| AuditSettings { path: audit.path.clone(), introspections: audit.introspections }),
    }
}
