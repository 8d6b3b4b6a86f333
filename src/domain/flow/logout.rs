//! Signing out (OpenID Connect RP-Initiated Logout 1.0): what was asked for, and where it ends.

use crate::crypto::jose::Claims;
use crate::domain::client::Client;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::form;
use crate::domain::world::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// A logout between its request and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutFlow {
    /// The logout.
    #[serde(rename = "i")]
    pub id: Uuid,
    /// Whose session.
    #[serde(rename = "s")]
    pub subject: String,
    /// Which.
    #[serde(rename = "d")]
    pub session_id: Uuid,
    /// The request's path and query.
    #[serde(rename = "u")]
    pub request_url: String,
    /// A client asked with an ID token, so the browser need not show its cookie.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub rp_initiated: bool,
    /// The client that the ID token was made for; empty without one.
    #[serde(rename = "c", default, skip_serializing_if = "String::is_empty")]
    pub client_id: String,
    /// When it was asked for, in seconds since the epoch.
    #[serde(rename = "t")]
    pub requested_at: i64,
    /// Where the browser goes in the end; empty for the server's own page.
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    pub redirect_to: String,
}

impl LogoutFlow {
    /// When the question is over.
    pub fn ends(&self, ttl: Duration) -> Timestamp {
        Timestamp::from_secs(self.requested_at).plus(ttl)
    }
}

/// An ID token that names the session to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// `sub`, as the client knows it.
    pub subject: String,
    /// `sid`.
    pub session_id: Uuid,
    /// `aud`.
    pub audience: Vec<String>,
}

fn bad(hint: &str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, hint)
}

/// Reads the claims of a verified ID token; it may have expired.
///
/// # Errors
/// `invalid_request` for one of another issuer, from the future, or without session.
pub fn hint(claims: &Claims, issuer: &str, now: Timestamp) -> Result<Hint, OAuthError> {
    if claims.str("iss") != Some(issuer) {
        return Err(bad(
            "Logout failed because issuer claim value from query parameter 'id_token_hint' does not match with issuer value from configuration.",
        ));
    }
    let issued = claims.time("iat").ok().flatten().unwrap_or(i64::MAX);
    if issued > now.secs() + 30 {
        return Err(bad(
            "Logout failed because iat claim value from query parameter 'id_token_hint' is before now ('iat' > now).",
        ));
    }
    let subject = claims.str("sub").filter(|s| !s.is_empty());
    let session_id = claims.str("sid").and_then(|s| Uuid::parse_str(s).ok());
    match (subject, session_id) {
        (Some(subject), Some(session_id)) => {
            let audience = claims.audience().unwrap_or_default();
            Ok(Hint { subject: subject.to_owned(), session_id, audience })
        }
        _ => Err(bad("Logout failed because query parameter 'id_token_hint' is missing claims 'sub' or 'sid'.")),
    }
}

/// Where the browser goes in the end: one of the client's own addresses, with `state` if it was sent.
///
/// # Errors
/// `invalid_request` for an address that is not the client's.
pub fn redirect_to(client: &Client, asked: Option<&str>, state: Option<&str>) -> Result<Option<String>, OAuthError> {
    let Some(uri) = asked else { return Ok(None) };
    if !client.post_logout_redirect_uris.iter().any(|r| r == uri) {
        return Err(bad(
            "Logout failed because query parameter post_logout_redirect_uri is not a whitelisted as a post_logout_redirect_uri for the client.",
        ));
    }
    let Some(state) = state else { return Ok(Some(uri.to_owned())) };
    let joint = if uri.contains('?') { '&' } else { '?' };
    let query = form::encode([("state", state)]);
    Ok(Some(format!("{uri}{joint}{query}")))
}
