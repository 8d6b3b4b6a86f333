//! The introspection answer (RFC 7662 §2.2) in Hydra's shape, and the forms that it is told in.

use super::session::AccessSession;
use crate::domain::world::Timestamp;
use serde::{Deserialize, Serialize};
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

/// An answer for an active token, read back: all that a gateway can be told.
#[derive(Clone, Debug, Deserialize)]
pub struct Told {
    /// `sub`.
    pub sub: String,
    /// `client_id`.
    pub client_id: String,
    /// Granted scopes, separated by spaces.
    #[serde(default)]
    pub scope: String,
    /// Granted audience.
    pub aud: Vec<String>,
    /// When it ends, in seconds since the epoch.
    pub exp: Option<i64>,
    /// When it was issued, in seconds since the epoch.
    pub iat: i64,
    /// `iss`.
    pub iss: String,
    /// Extra claims.
    #[serde(default)]
    pub ext: Map<String, Value>,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// RFC 7662.
    #[default]
    Json,
    /// `application/jwt`: a JWT access token that says the same as the opaque one ("phantom token"), and nothing at all
    /// for one that is not active.
    Phantom,
    /// `application/token-introspection+jwt`: the answer, signed (RFC 9701).
    Signed,
}

impl Form {
    /// The one that `Accept` prefers (RFC 9110 §12.5.1); of equal ones the first. Whatever else is asked for gets JSON,
    /// as from Hydra.
    pub fn accepted<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut best = (0.0, Self::Json);
        for range in values.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let Some(form) = parts.next().and_then(Self::of) else { continue };
            let weight = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
            let weight = weight.map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0));
            if weight > best.0 {
                best = (weight, form);
            }
        }
        best.1
    }

    fn of(range: &str) -> Option<Self> {
        [
            ("*/*", Self::Json),
            ("application/json", Self::Json),
            ("application/*", Self::Json),
            ("application/jwt", Self::Phantom),
            ("application/token-introspection+jwt", Self::Signed),
        ]
        .iter()
        .find(|(name, _)| range.eq_ignore_ascii_case(name))
        .map(|(_, form)| *form)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_form_is_what_accept_prefers_and_json_otherwise() {
        const SIGNED: &str = "application/token-introspection+jwt";
        for (accept, form) in [
            (&[][..], Form::Json),
            (&["*/*"], Form::Json),
            (&["text/html"], Form::Json),
            (&["application/json;charset=utf-8"], Form::Json),
            (&["application/jwt"], Form::Phantom),
            (&["Application/JWT; q=0.9"], Form::Phantom),
            (&["application/jwt, application/json"], Form::Phantom),
            (&["application/jwt;q=0.1, application/json;q=0.2"], Form::Json),
            (&["application/jwt;q=0"], Form::Json),
            (&["application/jwt;q=x"], Form::Json),
            (&["text/html", SIGNED], Form::Signed),
            (&["application/token-introspection+jwt, application/json; q=0.5"], Form::Signed),
        ] {
            assert_eq!(Form::accepted(accept.iter().copied()), form, "{accept:?}");
        }
    }

    #[test]
    fn what_is_said_is_read_back() {
        let scope = ["a".to_owned()];
        let valid = Valid {
            token_use: TokenUse::Access,
            client_id: "c",
            subject: "s",
            scope: &scope,
            audience: &[],
            requested_at: Timestamp::from_secs(5),
            expires_at: Some(Timestamp::from_secs(9)),
        };
        let told: Told = serde_json::from_value(json!(Active::token(&valid, "i", AccessSession::default()))).unwrap();
        assert_eq!((told.sub.as_str(), told.client_id.as_str(), told.scope.as_str()), ("s", "c", "a"));
        assert_eq!((told.aud.len(), told.exp, told.iat, told.iss.as_str()), (0, Some(9), 5, "i"));
        assert!(told.ext.is_empty());
    }

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
