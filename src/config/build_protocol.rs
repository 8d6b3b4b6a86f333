//! Builds the protocol's part of the settings. Called by [`super::build`] alone.

use std::time::Duration;

use super::gather::Gathered;
use super::rules;
use super::settings::{
    Clients, DeviceFlow, HasherSetting, Hook, HookAuth, HookIn, Janitor, JwtGrant, Keys, Log, LogFormat, OAuth2, Oidc,
    Pkce, ScopeClaim, Secret, Strategies, Ttl, Webfinger,
};
use crate::domain::flow::LONGEST;

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn ttl(from: &mut Gathered) -> Ttl {
    let spans = ["access_token", "id_token", "auth_code", "login_consent_request", "device_user_code"];
    for name in spans.map(|leaf| format!("ttl.{leaf}")) {
        let name = name.as_str();
        if from.duration(name).is_zero() {
            from.fault(name, "is zero", "write a duration such as 10m");
        }
    }
    let authentication_session = from.duration("ttl.authentication_session");
    if authentication_session > DAY * 180 {
        from.fault("ttl.authentication_session", "is longer than 180 days", "write at most 4320h");
    }
    let login_consent_request = from.duration("ttl.login_consent_request");
    if login_consent_request > LONGEST {
        from.fault("ttl.login_consent_request", "is longer than one hour", "write at most 1h");
    }
    Ttl {
        access_token: from.duration("ttl.access_token"),
        id_token: from.duration("ttl.id_token"),
        refresh_token: from.opt_duration("ttl.refresh_token"),
        auth_code: from.duration("ttl.auth_code"),
        login_consent_request,
        authentication_session,
        device_user_code: from.duration("ttl.device_user_code"),
    }
}

pub(super) fn strategies(from: &Gathered) -> Strategies {
    Strategies {
        access_token_jwt: from.text_of("strategies.access_token") == "jwt",
        scope_exact: from.text_of("strategies.scope") == "exact",
        jwt_scope_claim: match from.text_of("strategies.jwt.scope_claim").as_str() {
            "string" => ScopeClaim::String,
            "both" => ScopeClaim::Both,
            _ => ScopeClaim::List,
        },
    }
}

pub(super) fn oauth2(from: &mut Gathered) -> OAuth2 {
    let hasher = match from.text_of("oauth2.hashers.algorithm").as_str() {
        "bcrypt" => HasherSetting::Bcrypt(from.int("oauth2.hashers.bcrypt.cost")),
        _ => HasherSetting::Pbkdf2(from.int("oauth2.hashers.pbkdf2.iterations")),
    };
    grace_period(from);
    user_code(from);
    OAuth2 {
        expose_internal_errors: from.bool("oauth2.expose_internal_errors"),
        encrypt_sessions_at_rest: from.bool("oauth2.session.encrypt_at_rest"),
        exclude_not_before_claim: from.bool("oauth2.exclude_not_before_claim"),
        allowed_top_level_claims: from.list("oauth2.allowed_top_level_claims"),
        mirror_top_level_claims: from.bool("oauth2.mirror_top_level_claims"),
        preserve_ext_claims: from.bool("oauth2.preserve_ext_claims"),
        hasher,
        pkce: Pkce {
            enforced: from.bool("oauth2.pkce.enforced"),
            enforced_for_public_clients: from.bool("oauth2.pkce.enforced_for_public_clients"),
        },
        logout_revokes_tokens: from.bool("oauth2.logout_revokes_tokens"),
        cc_default_scope: from.bool("oauth2.client_credentials.default_grant_allowed_scope"),
        refresh_grace_period: from.duration("oauth2.grant.refresh_token.rotation_grace_period"),
        refresh_grace_reuse_count: from.int("oauth2.grant.refresh_token.rotation_grace_reuse_count"),
        jwt_grant: JwtGrant {
            jti_optional: from.bool("oauth2.grant.jwt.jti_optional"),
            iat_optional: from.bool("oauth2.grant.jwt.iat_optional"),
            max_ttl: from.duration("oauth2.grant.jwt.max_ttl"),
            omit_assertion_audience: from.bool("oauth2.grant.jwt.omit_assertion_audience"),
        },
        token_hook: hook(from, "oauth2.token_hook"),
        refresh_token_hook: hook(from, "oauth2.refresh_token_hook"),
        device: DeviceFlow {
            polling_interval: from.duration("oauth2.device_authorization.token_polling_interval"),
            entropy_preset: from.text_of("oauth2.device_authorization.user_code.entropy_preset"),
            user_code_length: from.opt_int("oauth2.device_authorization.user_code.length"),
            user_code_characters: from.opt_text("oauth2.device_authorization.user_code.character_set"),
        },
    }
}

/// A used refresh token may live on for minutes, or for long when the number of its uses is bounded.
fn grace_period(from: &mut Gathered) {
    let counted = from.int::<u32>("oauth2.grant.refresh_token.rotation_grace_reuse_count") > 0;
    let name = "oauth2.grant.refresh_token.rotation_grace_period";
    let given = from.duration(name);
    if counted && given > DAY * 180 {
        from.fault(name, "is longer than 180 days", "write at most 4320h");
    }
    if !counted && given > Duration::from_secs(300) {
        from.fault(name, "is longer than 5m", "write at most 5m, or set rotation_grace_reuse_count");
    }
}

/// User codes are short, so their alphabet must not be.
fn user_code(from: &mut Gathered) {
    let name = "oauth2.device_authorization.user_code.character_set";
    let Some(given) = from.opt_text(name) else { return };
    let distinct: std::collections::BTreeSet<char> = given.chars().collect();
    if distinct.len() < 8 {
        from.fault(name, "has fewer than 8 different characters", "write more, or take it out");
    }
}

fn hook(from: &mut Gathered, at: &str) -> Option<Hook> {
    let part = |leaf: &str| format!("{at}.{leaf}");
    let kind = from.opt_text(&part("auth.type"));
    let in_ = from.opt_text(&part("auth.config.in"));
    let name = from.opt_text(&part("auth.config.name"));
    let value = from.opt_text(&part("auth.config.value"));
    let wants_auth = kind.is_some() || in_.is_some() || name.is_some() || value.is_some();
    let Some(url) = from.opt_text(&part("url")) else {
        if wants_auth {
            from.fault(&part("url"), "is missing though the hook's auth is set", format!("set {at}.url"));
        }
        return None;
    };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        from.fault(&part("url"), "is not an http or https URL", "write one such as https://host/hook");
    }
    let place = if in_.as_deref() == Some("cookie") { HookIn::Cookie } else { HookIn::Header };
    let auth = match (in_, name, value) {
        _ if !wants_auth => None,
        (Some(_), Some(name), Some(value)) => Some(HookAuth { in_: place, name, value: Secret(value) }),
        (in_, name, value) => {
            for (leaf, found) in [("in", in_.is_some()), ("name", name.is_some()), ("value", value.is_some())] {
                let key = part(&format!("auth.config.{leaf}"));
                if !found {
                    from.fault(&key, "is missing though the hook's auth is set", format!("set {key}"));
                }
            }
            None
        }
    };
    Some(Hook { url, auth })
}

pub(super) fn oidc(from: &mut Gathered) -> Oidc {
    let subject_types = from.list("oidc.subject_identifiers.supported_types");
    let salt = from.text_of("oidc.subject_identifiers.pairwise.salt");
    if subject_types.is_empty() || subject_types.iter().any(|kind| kind != "public" && kind != "pairwise") {
        let fix = "list public, pairwise or both";
        from.fault("oidc.subject_identifiers.supported_types", "holds no known type or an unknown one", fix);
    }
    if subject_types.iter().any(|kind| kind == "pairwise") && salt.chars().count() < 8 {
        let problem = "is missing or shorter than 8 characters though pairwise subjects are on";
        from.fault("oidc.subject_identifiers.pairwise.salt", problem, "set one, made by `openssl rand -hex 32`");
    }
    Oidc {
        subject_types,
        pairwise_salt: Secret(salt),
        dcr_enabled: from.bool("oidc.dynamic_client_registration.enabled"),
        dcr_default_scope: from.list("oidc.dynamic_client_registration.default_scope"),
    }
}

pub(super) fn webfinger(from: &Gathered) -> Webfinger {
    let url = |leaf: &str| from.opt_text(&format!("webfinger.oidc_discovery.{leaf}"));
    Webfinger {
        broadcast_keys: from.list("webfinger.jwks.broadcast_keys"),
        jwks_url: url("jwks_url"),
        token_url: url("token_url"),
        auth_url: url("auth_url"),
        device_authorization_url: url("device_authorization_url"),
        client_registration_url: url("client_registration_url"),
        userinfo_url: url("userinfo_url"),
        supported_claims: from.list("webfinger.oidc_discovery.supported_claims"),
        supported_scope: from.list("webfinger.oidc_discovery.supported_scope"),
    }
}

pub(super) fn clients(from: &Gathered) -> Clients {
    Clients {
        disallow_private_ip_ranges: from.bool("clients.http.disallow_private_ip_ranges"),
        private_ip_exception_urls: from.list("clients.http.private_ip_exception_urls"),
    }
}

pub(super) fn log(from: &mut Gathered) -> Log {
    Log {
        audit: rules::audit(from),
        level: from.text_of("log.level"),
        format: match from.text_of("log.format").as_str() {
            "json" => LogFormat::Json,
            "json_pretty" => LogFormat::JsonPretty,
            _ => LogFormat::Text,
        },
        leak_sensitive_values: from.bool("log.leak_sensitive_values"),
        redaction_text: from.opt_text("log.redaction_text"),
    }
}

pub(super) fn keys(from: &mut Gathered) -> Keys {
    let rotation_interval = from.duration("keys.rotation.interval");
    let publish_lead = from.duration("keys.rotation.publish_lead");
    if !rotation_interval.is_zero() && publish_lead >= rotation_interval {
        let fix = "make it shorter, or set keys.rotation.interval to 0s";
        from.fault("keys.rotation.publish_lead", "is not shorter than keys.rotation.interval", fix);
    }
    Keys {
        rotation_interval,
        publish_lead,
        algorithm: from.text_of("keys.algorithm"),
        rsa_bits: from.text_of("keys.rsa_bits").parse().unwrap_or(2048),
    }
}

pub(super) fn janitor(from: &mut Gathered) -> Janitor {
    let interval = from.duration("janitor.interval");
    if interval.is_zero() {
        from.fault("janitor.interval", "is zero", "write a duration such as 60s");
    }
    Janitor { interval, batch_size: from.int("janitor.batch_size") }
}
