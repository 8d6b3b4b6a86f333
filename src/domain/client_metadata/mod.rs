//! What a client may register (RFC 7591 §2, OpenID Connect Registration §2): one small function per rule, in order.
//!
//! Whoever writes a client calls [`normalize`] first. Invariant: what it lets through holds no control character, no
//! private key, and no address that a browser would run instead of visiting.

mod uris;

use super::client::Client;
use super::error::{ErrorCode, OAuthError};
use crate::crypto::jwk::{Jwk, JwkError};
use serde_json::{Map, Value};

/// What this server allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataRules {
    /// Supported subject types, `public` and `pairwise` (OpenID Connect Core §8).
    pub subject_types: Vec<String>,
    /// The scopes of a client that names none; empty for the built-in ones.
    pub default_scope: Vec<String>,
    /// Refuse addresses that this server would call when they name a private network.
    pub disallow_private_ip_ranges: bool,
}

/// Why metadata is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{hint}")]
pub struct MetadataError {
    /// A redirect URI is at fault: `invalid_redirect_uri` instead of `invalid_client_metadata` (RFC 7591 §3.2.2).
    pub redirect_uri: bool,
    /// Which field, and what is wrong with it.
    pub hint: String,
}

impl MetadataError {
    /// A field other than a redirect URI.
    pub fn field(hint: impl Into<String>) -> Self {
        Self { redirect_uri: false, hint: hint.into() }
    }

    /// A redirect URI.
    pub fn redirect(hint: impl Into<String>) -> Self {
        Self { redirect_uri: true, hint: hint.into() }
    }
}

impl From<MetadataError> for OAuthError {
    fn from(e: MetadataError) -> Self {
        let code = if e.redirect_uri { ErrorCode::InvalidRedirectUri } else { ErrorCode::InvalidClientMetadata };
        Self::new(code, e.hint)
    }
}

type Rule = fn(&mut Client, &MetadataRules) -> Result<(), MetadataError>;

/// Every rule, in the order in which a client hears of its faults.
const RULES: [Rule; 15] = [
    clean_text,
    client_id,
    auth_method,
    key_source,
    keys,
    uris::pages,
    uris::called,
    scope,
    uris::cors_origins,
    uris::sector_identifier,
    userinfo_alg,
    uris::redirects,
    subject_type,
    uris::post_logout,
    access_token_strategy,
];

/// Checks a client and fills in what it left out.
///
/// # Errors
/// The first rule that it breaks.
pub fn normalize(mut client: Client, rules: &MetadataRules) -> Result<Client, MetadataError> {
    RULES.iter().try_for_each(|rule| rule(&mut client, rules))?;
    Ok(client)
}

/// Whether a secret chosen by the caller will do (RFC 6749 appendix A.2).
///
/// # Errors
/// When it is shorter than 6 characters or not printable ASCII.
pub fn check_secret(secret: &str) -> Result<(), MetadataError> {
    if secret.chars().count() < 6 {
        return Err(MetadataError::field(
            "Field client_secret must contain a secret that is at least 6 characters long.",
        ));
    }
    if !is_vschar(secret) {
        return Err(MetadataError::field("Field client_secret may contain printable ASCII characters only."));
    }
    Ok(())
}

/// VSCHAR of RFC 6749 appendix A.
fn is_vschar(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Control characters turn log lines, headers and databases against their readers. Free JSON may hold all but NUL.
fn clean_text(client: &mut Client, _: &MetadataRules) -> Result<(), MetadataError> {
    let Ok(Value::Object(members)) = serde_json::to_value(&*client) else {
        return Err(MetadataError::field("The metadata has no JSON form."));
    };
    let free = |name: &str| matches!(name, "jwks" | "metadata");
    let bad =
        |(name, value): &(&String, &Value)| any_char(value, &|c| if free(name) { c == '\0' } else { c.is_control() });
    match members.iter().find(bad) {
        Some((name, _)) => Err(MetadataError::field(format!("Field {name} must not contain control characters."))),
        None => Ok(()),
    }
}

fn any_char(value: &Value, bad: &impl Fn(char) -> bool) -> bool {
    match value {
        Value::String(text) => text.chars().any(bad),
        Value::Array(items) => items.iter().any(|item| any_char(item, bad)),
        Value::Object(members) => members.iter().any(|(name, value)| name.chars().any(bad) || any_char(value, bad)),
        _ => false,
    }
}

fn client_id(client: &mut Client, _: &MetadataRules) -> Result<(), MetadataError> {
    if client.client_id.is_empty() || client.client_id.len() > 255 || !is_vschar(&client.client_id) {
        return Err(MetadataError::field(
            "Field client_id must have 1 to 255 characters, all of them printable ASCII.",
        ));
    }
    Ok(())
}

fn auth_method(client: &mut Client, _: &MetadataRules) -> Result<(), MetadataError> {
    client.token_endpoint_auth_method = client.auth_method().to_owned();
    match client.auth_method() {
        "client_secret_basic" | "client_secret_post" | "none" => Ok(()),
        "private_key_jwt" => match client.signing_alg() {
            "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" | "ES256" | "ES384" | "ES512" => Ok(()),
            _ => Err(MetadataError::field(
                "Only RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and ES512 are supported as algorithms for private key authentication.",
            )),
        },
        other => Err(MetadataError::field(format!(
            "Field token_endpoint_auth_method can be 'client_secret_basic', 'client_secret_post', 'private_key_jwt' or 'none' but is '{other}'."
        ))),
    }
}

/// `{}` is how a client without keys is shown, and so it may be sent back.
fn has_keys(client: &Client) -> bool {
    client.jwks.as_object().is_some_and(|set| !set.is_empty())
}

fn key_source(client: &mut Client, _: &MetadataRules) -> Result<(), MetadataError> {
    match (has_keys(client), !client.jwks_uri.is_empty()) {
        (true, true) => Err(MetadataError::field("Fields jwks and jwks_uri can not both be set, you must choose one.")),
        (false, false) if client.auth_method() == "private_key_jwt" => Err(MetadataError::field(
            "When token_endpoint_auth_method is 'private_key_jwt', either jwks or jwks_uri must be set.",
        )),
        _ => Ok(()),
    }
}

fn keys(client: &mut Client, _: &MetadataRules) -> Result<(), MetadataError> {
    if !has_keys(client) {
        return Ok(());
    }
    let members = client.jwks.get("keys").and_then(Value::as_array);
    let members = members
        .ok_or_else(|| MetadataError::field("Field jwks must be a JSON Web Key Set: an object with a list 'keys'."))?;
    members.iter().enumerate().try_for_each(|(at, key)| check_key(at, key.as_object()))
}

/// Keys of kinds that this server does not use pass: the set may serve other readers too (RFC 7517 §5).
fn check_key(at: usize, key: Option<&Map<String, Value>>) -> Result<(), MetadataError> {
    let verdict = key.map_or(Err(JwkError::Format), |members| Jwk::from(members.clone()).check_public());
    match verdict {
        Ok(()) | Err(JwkError::Unsupported) => Ok(()),
        Err(e) => Err(MetadataError::field(format!("Key number {} in field jwks is not usable: {e}.", at + 1))),
    }
}

fn scope(client: &mut Client, rules: &MetadataRules) -> Result<(), MetadataError> {
    if client.scope.is_empty() {
        client.scope = match rules.default_scope.as_slice() {
            [] => "offline_access offline openid".to_owned(),
            scopes => scopes.join(" "),
        };
    }
    Ok(())
}

fn userinfo_alg(client: &mut Client, _: &MetadataRules) -> Result<(), MetadataError> {
    match client.userinfo_signed_response_alg.as_str() {
        "" => client.userinfo_signed_response_alg = "none".to_owned(),
        "none" | "RS256" => {}
        _ => return Err(MetadataError::field("Field userinfo_signed_response_alg can either be 'none' or 'RS256'.")),
    }
    Ok(())
}

fn subject_type(client: &mut Client, rules: &MetadataRules) -> Result<(), MetadataError> {
    let supported = &rules.subject_types;
    if client.subject_type.is_empty() {
        let public = supported.iter().find(|kind| *kind == "public");
        client.subject_type = public.or_else(|| supported.first()).cloned().unwrap_or_else(|| "public".to_owned());
        return Ok(());
    }
    if supported.contains(&client.subject_type) {
        return Ok(());
    }
    let (asked, known) = (&client.subject_type, supported.join(" "));
    Err(MetadataError::field(format!("Subject type {asked} is not supported by server, only [{known}] are allowed.")))
}

fn access_token_strategy(client: &mut Client, _: &MetadataRules) -> Result<(), MetadataError> {
    client.access_token_strategy.make_ascii_lowercase();
    match client.access_token_strategy.as_str() {
        "" | "jwt" | "opaque" => Ok(()),
        other => Err(MetadataError::field(format!(
            "invalid access token strategy: expected one of [jwt, opaque] but got {other}"
        ))),
    }
}

#[cfg(test)]
mod tests;
