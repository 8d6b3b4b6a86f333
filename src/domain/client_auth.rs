//! Client authentication: which credential a request carries, and whether its client may use that method.

use crate::crypto::jose::{Claims, JoseError};
use crate::domain::client::Client;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::form;
use crate::domain::world::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// `client_assertion_type` of a JWT (RFC 7523 §2.2).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The credential of a request, unproven.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// `client_secret_basic`.
    Basic {
        /// `client_id`.
        id: String,
        /// The secret.
        secret: String,
    },
    /// `client_secret_post`.
    Post {
        /// `client_id`.
        id: String,
        /// The secret.
        secret: String,
    },
    /// `private_key_jwt`.
    Assertion {
        /// `client_id` of the form, if it was sent.
        id: Option<String>,
        /// The JWT.
        jwt: String,
    },
    /// `none`: a `client_id` alone.
    Public {
        /// `client_id`.
        id: String,
    },
}

impl Credential {
    /// The method's name in `token_endpoint_auth_method`.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "client_secret_basic",
            Self::Post { .. } => "client_secret_post",
            Self::Assertion { .. } => "private_key_jwt",
            Self::Public { .. } => "none",
        }
    }

    /// The `client_id` that it names; an assertion may leave that to its `sub`.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Basic { id, .. } | Self::Post { id, .. } | Self::Public { id } => Some(id),
            Self::Assertion { id, .. } => id.as_deref(),
        }
    }

    /// The id and secret of a request that carries the very same both in its `Authorization` header and in its form, as
    /// some gateways do, and nothing else. For resource servers only.
    pub fn twice<'a>(authorization: Option<&str>, form: impl Fn(&str) -> Option<&'a str>) -> Option<(String, String)> {
        let (id, secret) = parse_basic(authorization?).ok().flatten()?;
        let same = form("client_id") == Some(&id) && form("client_secret") == Some(&secret);
        (same && form("client_assertion").is_none()).then_some((id, secret))
    }

    /// Finds the one credential of a request in its `Authorization` header and its form.
    ///
    /// # Errors
    /// `invalid_request` when there is none, more than one, or a malformed one.
    pub fn find<'a>(authorization: Option<&str>, form: impl Fn(&str) -> Option<&'a str>) -> Result<Self, OAuthError> {
        let field = |name: &str| form(name).filter(|v| !v.is_empty());
        let (id, secret) = (field("client_id").map(str::to_owned), field("client_secret").map(str::to_owned));
        let assertion = assertion(field("client_assertion_type"), field("client_assertion"))?;
        let basic = authorization.map(parse_basic).transpose()?.flatten();
        match (basic, secret, assertion) {
            (Some(_), None, Some(_)) | (_, Some(_), Some(_)) | (Some(_), Some(_), None) => Err(more_than_one()),
            (Some((basic_id, _)), None, None) if id.as_ref().is_some_and(|i| *i != basic_id) => Err(more_than_one()),
            (Some((id, secret)), None, None) => Ok(Self::Basic { id, secret }),
            (None, None, Some(jwt)) => Ok(Self::Assertion { id, jwt }),
            (None, Some(secret), None) => id.map(|id| Self::Post { id, secret }).ok_or_else(missing),
            (None, None, None) => id.map(|id| Self::Public { id }).ok_or_else(missing),
        }
    }
}

fn assertion(kind: Option<&str>, jwt: Option<&str>) -> Result<Option<String>, OAuthError> {
    match (kind, jwt) {
        (None, None) => Ok(None),
        (Some(JWT_BEARER), Some(jwt)) => Ok(Some(jwt.to_owned())),
        (Some(JWT_BEARER), None) => Err(OAuthError::new(
            ErrorCode::InvalidRequest,
            "The client_assertion request parameter must be set when using client_assertion_type of 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'.",
        )),
        (None, Some(_)) => Err(OAuthError::new(
            ErrorCode::InvalidRequest,
            "The client_assertion_type request parameter must be set together with client_assertion.",
        )),
        (Some(other), _) => {
            Err(OAuthError::new(ErrorCode::InvalidRequest, format!("Unknown client_assertion_type '{other}'.")))
        }
    }
}

/// `Basic` credentials, form-decoded after base64 (RFC 6749 §2.3.1); `None` for another scheme.
fn parse_basic(header: &str) -> Result<Option<(String, String)>, OAuthError> {
    let Some((scheme, value)) = header.split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let text = STANDARD.decode(value.trim()).ok().and_then(|b| String::from_utf8(b).ok()).ok_or_else(missing)?;
    let (id, secret) = text.split_once(':').ok_or_else(missing)?;
    Ok(Some((form::decode(id).ok_or_else(missing)?, form::decode(secret).ok_or_else(missing)?)))
}

fn missing() -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidRequest,
        "Client credentials missing or malformed in both HTTP Authorization header and HTTP POST body.",
    )
}

fn more_than_one() -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidRequest,
        "The request carries more than one kind of client authentication; use one (RFC 6749 section 2.3).",
    )
}

/// Whether the client is registered for this method.
///
/// # Errors
/// `invalid_client` with a hint that names both methods. Ask only after the secret was found right, or for a method
/// that proves nothing: the hint tells that the client exists.
pub fn check_method(client: &Client, method: &str) -> Result<(), OAuthError> {
    let registered = client.auth_method();
    if registered == method {
        return Ok(());
    }
    Err(OAuthError::new(
        ErrorCode::InvalidClient,
        format!(
            "The OAuth 2.0 Client supports client authentication method '{registered}', but method '{method}' was requested. You must configure the OAuth 2.0 client's 'token_endpoint_auth_method' value to accept '{method}'."
        ),
    ))
}

/// Longest life of a client assertion ahead of now, and so of the row of its `jti`.
const ASSERTION_MAX: i64 = 24 * 3600;
/// Tolerated difference between two clocks, in seconds.
const SKEW: i64 = 30;
/// How long the row of a `jti` outlives its assertion. The store's clock ends the row and ours the assertion: while the
/// two differ by less than this, no assertion is good without its row.
const OUTLIVES: i64 = 3600;

/// What a verified assertion proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// SHA-256 of its `jti`.
    pub jti: [u8; 32],
    /// When the row of the `jti` may go.
    pub expires_at: Timestamp,
}

/// Checks the claims of a client assertion whose signature is right (RFC 7523 §3).
///
/// # Errors
/// `invalid_client`, with a hint that names the claim.
pub fn check_assertion(
    claims: &Claims,
    client_id: &str,
    audiences: &[String],
    now: Timestamp,
) -> Result<Proof, OAuthError> {
    let bad = |what: &str| OAuthError::new(ErrorCode::InvalidClient, what);
    for name in ["iss", "sub"] {
        if claims.str(name) != Some(client_id) {
            return Err(bad(&format!(
                "Claim '{name}' from 'client_assertion' must match the 'client_id' of the OAuth 2.0 Client."
            )));
        }
    }
    let jti = claims
        .str("jti")
        .filter(|j| !j.is_empty() && j.len() <= 1024)
        .ok_or_else(|| bad("Claim 'jti' from 'client_assertion' must be set but is not."))?;
    let time = |name: &str| {
        claims.time(name).map_err(|e: JoseError| {
            bad(&format!("Claim '{name}' from 'client_assertion' is not a NumericDate.")).with_debug(e.to_string())
        })
    };
    let exp = time("exp")?.ok_or_else(|| bad("Claim 'exp' from 'client_assertion' must be set but is not."))?;
    if exp <= now.secs() {
        return Err(bad("Claim 'exp' from 'client_assertion' lies in the past: the assertion has expired."));
    }
    if exp > now.secs() + ASSERTION_MAX {
        return Err(bad("Claim 'exp' from 'client_assertion' lies more than 24 hours ahead; use a shorter life."));
    }
    for name in ["nbf", "iat"] {
        if time(name)?.is_some_and(|t| t > now.secs() + SKEW) {
            return Err(bad(&format!("Claim '{name}' from 'client_assertion' lies in the future.")));
        }
    }
    let aud = claims
        .audience()
        .map_err(|e| bad("Claim 'aud' from 'client_assertion' is malformed.").with_debug(e.to_string()))?;
    if !aud.iter().any(|a| audiences.contains(a)) {
        return Err(bad("Claim 'aud' from 'client_assertion' must name this server's token endpoint or its issuer."));
    }
    Ok(Proof { jti: Sha256::digest(jti).into(), expires_at: Timestamp::from_secs(exp + OUTLIVES) })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn find(authorization: Option<&str>, form: &[(&'static str, &'static str)]) -> Result<Credential, ErrorCode> {
        Credential::find(authorization, |n| form.iter().find(|(k, _)| *k == n).map(|(_, v)| *v)).map_err(|e| e.code)
    }

    #[test]
    fn d02_d03_one_well_formed_credential() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let ok = find(Some(&basic("a%3Ab:c%2Bd+e")), &[]).ok().unwrap();
        assert!(ok == Credential::Basic { id: "a:b".to_owned(), secret: "c+d e".to_owned() });
        assert_eq!(find(Some(&basic("a:b").replace("Basic", "basic")), &[]).unwrap().method(), "client_secret_basic");
        for bad in ["Basic %%%".to_owned(), basic("no-colon"), basic("%zz:x"), basic("a:\0"), basic("a:%00")] {
            assert_eq!(find(Some(&bad), &[]).err(), Some(ErrorCode::InvalidRequest), "{bad}");
        }
        assert_eq!(
            find(Some(&basic("a:b")), &[("client_id", "a"), ("client_secret", "b")]).err(),
            Some(ErrorCode::InvalidRequest)
        );
        assert_eq!(find(Some(&basic("a:b")), &[("client_id", "other")]).err(), Some(ErrorCode::InvalidRequest));
        assert_eq!(
            find(Some(&basic("a:b")), &[("client_assertion_type", JWT_BEARER), ("client_assertion", "x")]).err(),
            Some(ErrorCode::InvalidRequest)
        );
        assert_eq!(find(None, &[]).err(), Some(ErrorCode::InvalidRequest));
        let twice = |form: &[(&str, &'static str)]| {
            let form = form.to_vec();
            Credential::twice(Some(&basic("a:b")), |n| form.iter().find(|(k, _)| *k == n).map(|(_, v)| *v))
        };
        assert_eq!(twice(&[("client_id", "a"), ("client_secret", "b")]), Some(("a".to_owned(), "b".to_owned())));
        for other in
            [&[("client_id", "a")][..], &[("client_id", "a"), ("client_secret", "c")], &[("client_secret", "b")]]
        {
            assert_eq!(twice(other), None, "{other:?}");
        }
        assert_eq!(find(None, &[("client_id", "a")]).unwrap().method(), "none");
    }
}
