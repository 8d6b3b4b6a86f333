//! A client's metadata (RFC 7591 §2, OpenID Connect Registration §2) as it is stored and shown, and what the token
//! path asks of it.
//!
//! Anyone may read it. Invariant: it holds no secret and no hash; those live beside it in [`RegisteredClient`].

use super::duration::{format_go, parse_go};
use super::world::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;

/// A client's metadata. Every field is named after its member on the wire. An empty text or list means "not set".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Client {
    /// RFC 6749 §2.2.
    pub client_id: String,
    /// For people to read.
    pub client_name: String,
    /// Where answers of the authorization endpoint may go (RFC 6749 §3.1.2).
    pub redirect_uris: Vec<String>,
    /// Grants it may use; none named means `authorization_code` alone.
    pub grant_types: Vec<String>,
    /// Response types it may use; none named means `code` alone.
    pub response_types: Vec<String>,
    /// Scopes it may ask for, separated by spaces (RFC 6749 §3.3).
    pub scope: String,
    /// Audiences it may ask for.
    pub audience: Vec<String>,
    /// Whoever the operator says owns it; opaque.
    pub owner: String,
    /// A page for people.
    pub policy_uri: String,
    /// Origins that its browsers call from.
    pub allowed_cors_origins: Vec<String>,
    /// A page for people.
    pub tos_uri: String,
    /// A page for people.
    pub client_uri: String,
    /// A picture for people.
    pub logo_uri: String,
    /// How to reach its makers.
    pub contacts: Vec<String>,
    /// A list of redirect URIs shared by the clients of one sector (OpenID Connect Core §8.1).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sector_identifier_uri: String,
    /// `public` or `pairwise` (OpenID Connect Core §8).
    pub subject_type: String,
    /// Its public keys (RFC 7517 §5); `{}` for none.
    #[serde(default = "empty_object", deserialize_with = "object_or_empty")]
    pub jwks: Value,
    /// Where its public keys are.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwks_uri: String,
    /// How it authenticates; see [`Client::auth_method`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token_endpoint_auth_method: String,
    /// The algorithm of its assertions; see [`Client::signing_alg`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token_endpoint_auth_signing_alg: String,
    /// Where its request objects may be (OpenID Connect Core §6.2).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_uris: Vec<String>,
    /// The algorithm of its request objects (OpenID Connect Core §6.1).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_object_signing_alg: String,
    /// `none` or `RS256` (OpenID Connect Core §5.3.2).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub userinfo_signed_response_alg: String,
    /// OpenID Connect Front-Channel Logout §2.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub frontchannel_logout_uri: String,
    /// Whether `iss` and `sid` are sent there.
    #[serde(skip_serializing_if = "is_false")]
    pub frontchannel_logout_session_required: bool,
    /// Where a browser may go after logout (OpenID Connect RP-Initiated Logout §3.1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    /// OpenID Connect Back-Channel Logout §2.2.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub backchannel_logout_uri: String,
    /// Whether a logout token must have `sid`.
    #[serde(skip_serializing_if = "is_false")]
    pub backchannel_logout_session_required: bool,
    /// Whether the consent app may skip its question.
    pub skip_consent: bool,
    /// Whether the logout question is skipped; not set means the server's default.
    pub skip_logout_consent: Option<bool>,
    /// `jwt`, `opaque` or not set; see [`Client::wants_jwt`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access_token_strategy: String,
    /// Whatever the operator keeps here.
    #[serde(default = "empty_object", deserialize_with = "value_or_empty")]
    pub metadata: Value,
    /// Its own token lifespans.
    #[serde(flatten)]
    pub lifespans: Lifespans,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            client_name: String::new(),
            redirect_uris: Vec::new(),
            grant_types: Vec::new(),
            response_types: Vec::new(),
            scope: String::new(),
            audience: Vec::new(),
            owner: String::new(),
            policy_uri: String::new(),
            allowed_cors_origins: Vec::new(),
            tos_uri: String::new(),
            client_uri: String::new(),
            logo_uri: String::new(),
            contacts: Vec::new(),
            sector_identifier_uri: String::new(),
            subject_type: String::new(),
            jwks: empty_object(),
            jwks_uri: String::new(),
            token_endpoint_auth_method: String::new(),
            token_endpoint_auth_signing_alg: String::new(),
            request_uris: Vec::new(),
            request_object_signing_alg: String::new(),
            userinfo_signed_response_alg: String::new(),
            frontchannel_logout_uri: String::new(),
            frontchannel_logout_session_required: false,
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: String::new(),
            backchannel_logout_session_required: false,
            skip_consent: false,
            skip_logout_consent: None,
            access_token_strategy: String::new(),
            metadata: empty_object(),
            lifespans: Lifespans::default(),
        }
    }
}

impl Client {
    /// Reads what [`Client::to_document`] wrote.
    ///
    /// # Errors
    /// When the text is not such a document.
    pub fn from_document(document: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(document)
    }

    /// The JSON text to store.
    ///
    /// # Errors
    /// None that is known: every member has a JSON form.
    pub fn to_document(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads the metadata out of a request. A member that is null counts as absent; unknown members are ignored.
    ///
    /// # Errors
    /// When a member has the wrong type or a lifespan is not Go duration text.
    pub fn from_members(mut members: Map<String, Value>) -> Result<Self, serde_json::Error> {
        members.retain(|_, value| !value.is_null());
        serde_json::from_value(Value::Object(members))
    }

    /// How the client authenticates (`token_endpoint_auth_method`, RFC 7591 §2).
    pub fn auth_method(&self) -> &str {
        match self.token_endpoint_auth_method.as_str() {
            "" => "client_secret_basic",
            method => method,
        }
    }

    /// Whether the client has no credential (RFC 6749 §2.1).
    pub fn is_public(&self) -> bool {
        self.auth_method() == "none"
    }

    /// Whether the client may use that grant.
    pub fn allows_grant(&self, grant: &str) -> bool {
        match self.grant_types.as_slice() {
            [] => grant == "authorization_code",
            named => named.iter().any(|one| one == grant),
        }
    }

    /// The scopes it may ask for.
    pub fn scopes(&self) -> Vec<&str> {
        self.scope.split(' ').filter(|scope| !scope.is_empty()).collect()
    }

    /// The algorithm of its client assertions (RFC 7523).
    pub fn signing_alg(&self) -> &str {
        match self.token_endpoint_auth_signing_alg.as_str() {
            "" => "RS256",
            alg => alg,
        }
    }

    /// Its own lifespan of access tokens by client_credentials.
    pub const fn cc_access_token_lifespan(&self) -> Option<Duration> {
        self.lifespans.client_credentials_grant_access_token_lifespan
    }

    /// Whether it knows users by pseudonyms of its sector (OpenID Connect Core §8.1).
    pub fn is_pairwise(&self) -> bool {
        self.subject_type == "pairwise"
    }

    /// Whether its access tokens are JWTs; `default` is what the server does when the client does not say.
    pub fn wants_jwt(&self, default: bool) -> bool {
        match self.access_token_strategy.as_str() {
            "jwt" => true,
            "opaque" => false,
            _ => default,
        }
    }
}

/// A client with what the server keeps about it and never shows.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisteredClient {
    /// Its metadata.
    pub client: Client,
    /// The hash of its secret; empty when it has none.
    pub secret_hash: String,
    /// Hashes of earlier secrets that are still accepted, newest first.
    pub rotated_secret_hashes: Vec<String>,
    /// The family of everything that it gets for itself.
    pub family_id: Uuid,
    /// Whether a consent was ever remembered for it; a yes may come a moment late.
    pub has_remembered_consent: bool,
    /// The version that a decision was taken on.
    pub version: i64,
    /// When the client was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A client's own token lifespans; on the wire Go duration text (`1h30m0s`) or null for the server's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is named after its member on the wire: grant, then token")]
pub struct Lifespans {
    #[serde(with = "go_text")]
    pub authorization_code_grant_access_token_lifespan: Option<Duration>,
    #[serde(with = "go_text")]
    pub authorization_code_grant_id_token_lifespan: Option<Duration>,
    #[serde(with = "go_text")]
    pub authorization_code_grant_refresh_token_lifespan: Option<Duration>,
    #[serde(with = "go_text")]
    pub client_credentials_grant_access_token_lifespan: Option<Duration>,
    #[serde(with = "go_text")]
    pub device_authorization_grant_access_token_lifespan: Option<Duration>,
    #[serde(with = "go_text")]
    pub device_authorization_grant_id_token_lifespan: Option<Duration>,
    #[serde(with = "go_text")]
    pub device_authorization_grant_refresh_token_lifespan: Option<Duration>,
    #[serde(with = "go_text")]
    pub implicit_grant_access_token_lifespan: Option<Duration>,
    #[serde(with = "go_text")]
    pub implicit_grant_id_token_lifespan: Option<Duration>,
    #[serde(with = "go_text")]
    pub jwt_bearer_grant_access_token_lifespan: Option<Duration>,
    #[serde(with = "go_text")]
    pub refresh_token_grant_access_token_lifespan: Option<Duration>,
    #[serde(with = "go_text")]
    pub refresh_token_grant_id_token_lifespan: Option<Duration>,
    #[serde(with = "go_text")]
    pub refresh_token_grant_refresh_token_lifespan: Option<Duration>,
}

mod go_text {
    use super::{Deserialize, Deserializer, Duration, Serializer, format_go, parse_go};

    pub(super) fn serialize<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => to.serialize_str(&format_go(*span)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let bad = || serde::de::Error::custom(format_args!("time: invalid duration \"{text}\""));
        parse_go(&text).map(Some).ok_or_else(bad)
    }
}

const fn is_false(flag: &bool) -> bool {
    !*flag
}

fn empty_object() -> Value {
    Value::Object(Map::new())
}

fn value_or_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Null => empty_object(),
        value => value,
    })
}

fn object_or_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
    match value_or_empty(from)? {
        value @ Value::Object(_) => Ok(value),
        _ => Err(serde::de::Error::custom("jwks must be an object")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<Client, String> {
        Client::from_members(body.as_object().cloned().unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_document_reads_back() {
        let client = read(json!({"client_id": "a", "audience": null, "jwks": null, "metadata": {"x": [1]}, "odd": 1,
            "skip_logout_consent": true, "client_credentials_grant_access_token_lifespan": "90m"}))
        .unwrap();
        assert_eq!(client.cc_access_token_lifespan(), Some(Duration::from_secs(5400)));
        assert_eq!(client.jwks, json!({}));
        assert_eq!(Client::from_document(&client.to_document().unwrap()).unwrap(), client);
        assert!(client.to_document().unwrap().contains("\"1h30m0s\""));
    }

    #[test]
    fn what_is_not_set_shows_as_recorded() {
        let shown = serde_json::to_value(Client::default()).unwrap();
        let members = shown.as_object().unwrap();
        assert_eq!(members.len(), 18 + 1 + 13, "{shown}");
        assert_eq!((&shown["jwks"], &shown["metadata"], &shown["audience"]), (&json!({}), &json!({}), &json!([])));
        assert_eq!(shown["skip_logout_consent"], Value::Null);
    }

    #[test]
    fn wrong_types_are_refused() {
        for bad in [
            json!({"redirect_uris": "x"}),
            json!({"skip_consent": "yes"}),
            json!({"jwks": []}),
            json!({"scope": ["a"]}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
        let bad = read(json!({"implicit_grant_id_token_lifespan": "soon"})).unwrap_err();
        assert_eq!(bad, "time: invalid duration \"soon\"");
    }

    #[test]
    fn effective_defaults() {
        let mut client = Client { scope: " a  b ".to_owned(), ..Client::default() };
        assert_eq!(
            (client.auth_method(), client.signing_alg(), client.is_public()),
            ("client_secret_basic", "RS256", false)
        );
        assert!(client.allows_grant("authorization_code") && !client.allows_grant("client_credentials"));
        assert_eq!(client.scopes(), ["a", "b"]);
        assert!(client.wants_jwt(true) && !client.wants_jwt(false));
        client.access_token_strategy = "opaque".to_owned();
        assert!(!client.wants_jwt(true));
    }
}
