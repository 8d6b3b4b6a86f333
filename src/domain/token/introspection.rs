//! The introspection answer (RFC 7662 §2.2) in Hydra's shape.

use crate::domain::world::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// What introspection says of an active token. The field order is the wire's.
#[derive(Clone, Debug, Serialize)]
pub struct Active<'a> {
    active: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    client_id: &'a str,
    sub: &'a str,
    exp: i64,
    iat: i64,
    nbf: i64,
    aud: &'a [String],
    iss: &'a str,
    token_type: &'static str,
    token_use: &'static str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    ext: Map<String, Value>,
}

/// A valid access token, as its row tells it.
#[derive(Clone, Copy, Debug)]
pub struct Valid<'a> {
    /// `client_id`.
    pub client_id: &'a str,
    /// `sub`.
    pub subject: &'a str,
    /// Granted scopes.
    pub scope: &'a [String],
    /// Granted audience.
    pub audience: &'a [String],
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl<'a> Active<'a> {
    /// The answer for a valid access token; extra claims stay in `ext` and can replace nothing.
    pub fn access_token(of: &Valid<'a>, issuer: &'a str, ext: Map<String, Value>) -> Self {
        Self {
            active: true,
            scope: of.scope.join(" "),
            client_id: of.client_id,
            sub: of.subject,
            exp: of.expires_at.secs(),
            iat: of.requested_at.secs(),
            nbf: of.requested_at.secs(),
            aud: of.audience,
            iss: issuer,
            token_type: "Bearer",
            token_use: "access_token",
            ext,
        }
    }
}
