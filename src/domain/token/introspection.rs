//! The introspection answer (RFC 7662 §2.2) in Hydra's shape.

use super::session::AccessSession;
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
    #[serde(skip_serializing_if = "Option::is_none")]
    obfuscated_subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    iat: i64,
    nbf: i64,
    aud: &'a [String],
    iss: &'a str,
    token_type: &'static str,
    token_use: &'static str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    ext: Map<String, Value>,
}

/// What a valid token is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
}

/// A valid token, as its row tells it.
#[derive(Clone, Copy, Debug)]
pub struct Valid<'a> {
    /// Which kind it is of.
    pub token_use: TokenUse,
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
    /// When it ends; `None` never.
    pub expires_at: Option<Timestamp>,
}

impl<'a> Active<'a> {
    /// The answer for a valid token; extra claims stay in `ext` and can replace nothing.
    pub fn token(of: &Valid<'a>, issuer: &'a str, session: AccessSession) -> Self {
        Self {
            active: true,
            scope: of.scope.join(" "),
            client_id: of.client_id,
            sub: of.subject,
            obfuscated_subject: session.client_subject,
            exp: of.expires_at.map(Timestamp::secs),
            iat: of.requested_at.secs(),
            nbf: of.requested_at.secs(),
            aud: of.audience,
            iss: issuer,
            // Also of a refresh token: clients of Hydra are used to it.
            token_type: "Bearer",
            token_use: match of.token_use {
                TokenUse::Access => "access_token",
                TokenUse::Refresh => "refresh_token",
            },
            ext: session.access_claims,
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn c16_c22_what_is_said_of_a_token() {
        let scope = ["a".to_owned(), "b".to_owned()];
        let valid = Valid {
            token_use: TokenUse::Refresh,
            client_id: "c",
            subject: "real",
            scope: &scope,
            audience: &[],
            requested_at: Timestamp::from_secs(5),
            expires_at: None,
        };
        let evil = json!({"active": false, "sub": "evil"});
        let session = AccessSession {
            access_claims: evil.as_object().cloned().unwrap_or_default(),
            client_subject: Some("shown".to_owned()),
            user: None,
        };
        assert_eq!(
            json!(Active::token(&valid, "i", session)),
            json!({"active": true, "scope": "a b", "client_id": "c", "sub": "real", "obfuscated_subject": "shown",
                "iat": 5, "nbf": 5, "aud": [], "iss": "i", "token_type": "Bearer", "token_use": "refresh_token",
                "ext": evil})
        );
        let access = Valid { token_use: TokenUse::Access, expires_at: Some(Timestamp::from_secs(9)), ..valid };
        let said = json!(Active::token(&access, "i", AccessSession::default()));
        assert_eq!((said["exp"].clone(), said["token_use"].clone()), (json!(9), json!("access_token")));
        assert!(said.get("obfuscated_subject").is_none() && said.get("ext").is_none());
    }
}
