//! What the tokens issued on a consent are to say. It travels sealed: in the row of a code, a device and every refresh
//! token after it, and in part in access tokens' rows for the userinfo endpoint.

use crate::domain::world::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// What was decided at login and consent, as tokens tell it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenSession {
    /// The subject as the login app named it: `sub` of access tokens and of introspection.
    #[serde(rename = "s")]
    pub subject: String,
    /// The subject as the client knows it (public, pairwise or forced): `sub` of the ID token and of userinfo.
    #[serde(rename = "o")]
    pub client_subject: String,
    /// `sid`: the login session.
    #[serde(rename = "i")]
    pub session_id: Uuid,
    /// Requested scopes, for the hooks.
    #[serde(rename = "q")]
    pub requested_scope: Vec<String>,
    /// Granted scopes.
    #[serde(rename = "g")]
    pub scope: Vec<String>,
    /// Granted audience.
    #[serde(rename = "a")]
    pub audience: Vec<String>,
    /// `nonce`; empty when the client sent none.
    #[serde(rename = "n", default, skip_serializing_if = "String::is_empty")]
    pub nonce: String,
    /// `auth_time`, in seconds since the epoch.
    #[serde(rename = "t")]
    pub auth_time: i64,
    /// `rat`: when the flow began, in seconds since the epoch.
    #[serde(rename = "r")]
    pub requested_at: i64,
    /// `acr`; empty for none.
    #[serde(rename = "c", default, skip_serializing_if = "String::is_empty")]
    pub acr: String,
    /// `amr`.
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// Extra claims of access tokens: `session.access_token` of the consent app, or what a hook put in their place.
    #[serde(rename = "x", default, skip_serializing_if = "Map::is_empty")]
    pub access_claims: Map<String, Value>,
    /// Extra claims of the ID token and of userinfo: `session.id_token` of the consent app, or what a hook put in
    /// their place.
    #[serde(rename = "d", default, skip_serializing_if = "Map::is_empty")]
    pub id_claims: Map<String, Value>,
}

impl TokenSession {
    /// Whether a scope was granted.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scope.iter().any(|s| s == scope)
    }

    /// Whether a refresh token is to be issued, if the client may have one: `offline` or `offline_access` was granted.
    pub fn is_offline(&self) -> bool {
        self.has_scope("offline") || self.has_scope("offline_access")
    }

    /// The subject as the client knows it, where that is another than the subject itself.
    pub fn obfuscated_subject(&self) -> Option<&str> {
        (self.client_subject != self.subject).then_some(self.client_subject.as_str())
    }

    /// `auth_time` as a moment.
    pub const fn authenticated_at(&self) -> Timestamp {
        Timestamp::from_secs(self.auth_time)
    }
}

/// What the userinfo endpoint is to say: the part of a [`TokenSession`] that an access token's row keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserClaims {
    /// `sub`, as the client knows the user.
    #[serde(rename = "o")]
    pub client_subject: String,
    /// `auth_time`, in seconds since the epoch.
    #[serde(rename = "t")]
    pub auth_time: i64,
    /// `rat`, in seconds since the epoch.
    #[serde(rename = "r")]
    pub requested_at: i64,
    /// `acr`; empty for none.
    #[serde(rename = "c", default, skip_serializing_if = "String::is_empty")]
    pub acr: String,
    /// `amr`.
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// Extra claims.
    #[serde(rename = "d", default, skip_serializing_if = "Map::is_empty")]
    pub id_claims: Map<String, Value>,
}

impl UserClaims {
    /// Those of a session.
    pub fn of(session: &TokenSession) -> Self {
        Self {
            client_subject: session.client_subject.clone(),
            auth_time: session.auth_time,
            requested_at: session.requested_at,
            acr: session.acr.clone(),
            amr: session.amr.clone(),
            id_claims: session.id_claims.clone(),
        }
    }
}

/// What an access token's row keeps, sealed; nothing at all for a client's own token without extra claims.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccessSession {
    /// Extra claims: `ext` of introspection.
    #[serde(rename = "x", default, skip_serializing_if = "Map::is_empty")]
    pub access_claims: Map<String, Value>,
    /// The subject as the client knows it, where that is another: `obfuscated_subject` of introspection.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub client_subject: Option<String>,
    /// What the userinfo endpoint is to say, if `openid` was granted.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserClaims>,
}

impl AccessSession {
    /// The part of a session that an access token with these scopes needs.
    pub fn of(session: &TokenSession, scope: &[String]) -> Self {
        Self {
            access_claims: session.access_claims.clone(),
            client_subject: session.obfuscated_subject().map(str::to_owned),
            user: scope.iter().any(|s| s == "openid").then(|| UserClaims::of(session)),
        }
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
