//! A row of `hydra_client`.

use super::{Odd, Row};
use crate::domain::client::Client;
use crate::domain::duration::format_go;
use crate::domain::world::Timestamp;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Columns named after the member on the wire.
const TEXTS: [&str; 17] = [
    "client_name",
    "scope",
    "owner",
    "policy_uri",
    "tos_uri",
    "client_uri",
    "logo_uri",
    "sector_identifier_uri",
    "subject_type",
    "jwks_uri",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "request_object_signing_alg",
    "userinfo_signed_response_alg",
    "frontchannel_logout_uri",
    "backchannel_logout_uri",
    "access_token_strategy",
];
const LISTS: [&str; 8] = [
    "redirect_uris",
    "grant_types",
    "response_types",
    "audience",
    "allowed_cors_origins",
    "contacts",
    "request_uris",
    "post_logout_redirect_uris",
];
const FLAGS: [&str; 4] = [
    "frontchannel_logout_session_required",
    "backchannel_logout_session_required",
    "skip_consent",
    "skip_logout_consent",
];
/// Nanoseconds.
const LIFESPANS: [&str; 13] = [
    "authorization_code_grant_access_token_lifespan",
    "authorization_code_grant_id_token_lifespan",
    "authorization_code_grant_refresh_token_lifespan",
    "client_credentials_grant_access_token_lifespan",
    "device_authorization_grant_access_token_lifespan",
    "device_authorization_grant_id_token_lifespan",
    "device_authorization_grant_refresh_token_lifespan",
    "implicit_grant_access_token_lifespan",
    "implicit_grant_id_token_lifespan",
    "jwt_bearer_grant_access_token_lifespan",
    "refresh_token_grant_access_token_lifespan",
    "refresh_token_grant_id_token_lifespan",
    "refresh_token_grant_refresh_token_lifespan",
];
const OTHERS: [&str; 7] = ["id", "client_secret", "rotated_secrets", "jwks", "metadata", "created_at", "updated_at"];
/// Of no meaning elsewhere: keys of Hydra's own, what it always leaves at nought, lifespans of a grant that it has not,
/// and what a registration token is checked by, which only its own secret can do.
const LEFT: [&str; 7] = [
    "pk",
    "pk_deprecated",
    "nid",
    "client_secret_expires_at",
    "password_grant_access_token_lifespan",
    "password_grant_refresh_token_lifespan",
    "registration_access_token_signature",
];

/// Grants that Hydra has and this server does not.
pub const LATER_GRANTS: [&str; 1] = ["urn:ietf:params:oauth:grant-type:jwt-bearer"];

/// A client with its secrets, as Hydra has them.
#[derive(Clone, Debug, PartialEq)]
pub struct HydraClient {
    /// Its metadata, not yet checked.
    pub client: Client,
    /// The hash of its secret; empty when it has none.
    pub secret_hash: String,
    /// Hashes of earlier secrets that are still accepted, newest first.
    pub rotated_secret_hashes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Columns with something in them that is not understood here, and stays behind.
    pub unknown: Vec<String>,
}

impl HydraClient {
    /// Reads a row.
    ///
    /// # Errors
    /// [`Odd`], naming the first column that is not understood.
    pub fn of(row: &Row) -> Result<Self, Odd> {
        let mut members = Map::new();
        for name in TEXTS {
            members.insert(name.to_owned(), json!(row.text(name)));
        }
        members.insert("client_id".to_owned(), json!(row.text("id")));
        for name in LISTS {
            members.insert(name.to_owned(), json!(row.list(name)?));
        }
        for name in FLAGS {
            members.insert(name.to_owned(), json!(row.flag(name)));
        }
        for name in LIFESPANS {
            members.insert(name.to_owned(), lifespan(row, name)?);
        }
        members.insert("jwks".to_owned(), keys(row)?);
        members.insert("metadata".to_owned(), row.json("metadata")?);
        let created_at = row.moment("created_at")?.unwrap_or_default();
        Ok(Self {
            client: Client::from_members(members).map_err(|_| Odd("metadata"))?,
            secret_hash: row.text("client_secret").to_owned(),
            rotated_secret_hashes: row.list("rotated_secrets")?,
            created_at,
            updated_at: row.moment("updated_at")?.unwrap_or(created_at),
            unknown: unknown(row),
        })
    }
}

fn lifespan(row: &Row, name: &'static str) -> Result<Value, Odd> {
    match row.number(name) {
        None => Ok(Value::Null),
        Some(nanos) => {
            let nanos = u64::try_from(nanos).map_err(|_| Odd(name))?;
            Ok(json!(format_go(Duration::from_nanos(nanos))))
        }
    }
}

/// A set without keys is none: `{}`, `{"keys":null}` and `{"keys":[]}` are the same.
fn keys(row: &Row) -> Result<Value, Odd> {
    let set = row.object("jwks")?;
    let empty = match set.get("keys") {
        None | Some(Value::Null) => true,
        Some(keys) => keys.as_array().is_some_and(Vec::is_empty),
    };
    Ok(if empty { json!({}) } else { Value::Object(set) })
}

fn unknown(row: &Row) -> Vec<String> {
    let known =
        |name: &str| [&TEXTS[..], &LISTS, &FLAGS, &LIFESPANS, &OTHERS, &LEFT].iter().any(|names| names.contains(&name));
    let holds = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !["", "{}", "[]"].contains(&text.as_str()),
        Value::Number(number) => number.as_i64() != Some(0),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) => true,
    };
    row.0.iter().filter(|(name, value)| !known(name) && holds(value)).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::super::tests::row;
    use super::*;

    #[test]
    fn a_row_becomes_a_client_with_its_secrets() {
        let found = HydraClient::of(&row(json!({
            "id": "app", "client_name": "App", "client_secret": "$2a$10$x", "rotated_secrets": "[\"$2a$10$old\"]",
            "redirect_uris": ["https://a.example/cb"], "grant_types": "[\"refresh_token\"]", "skip_consent": 1,
            "scope": "a b", "jwks": "{\"keys\":null}", "metadata": "{\"team\":\"x\"}", "skip_logout_consent": null,
            "client_credentials_grant_access_token_lifespan": 5_400_000_000_000_i64, "subject_type": "public",
            "created_at": "2025-01-02T03:04:05", "updated_at": "2026-01-02T03:04:05", "nid": "n", "pk_deprecated": 7,
        })))
        .unwrap();
        let client = &found.client;
        assert_eq!((client.client_id.as_str(), client.client_name.as_str(), client.skip_consent), ("app", "App", true));
        assert_eq!(
            (&client.redirect_uris, &client.grant_types),
            (&vec!["https://a.example/cb".to_owned()], &vec!["refresh_token".to_owned()])
        );
        assert_eq!(
            (&client.jwks, &client.metadata, client.skip_logout_consent),
            (&json!({}), &json!({"team": "x"}), None)
        );
        assert_eq!(client.cc_access_token_lifespan(), Some(Duration::from_secs(5400)));
        assert_eq!(
            (found.secret_hash.as_str(), found.rotated_secret_hashes),
            ("$2a$10$x", vec!["$2a$10$old".to_owned()])
        );
        assert_eq!((found.created_at.secs(), found.updated_at.secs()), (1_735_787_045, 1_767_323_045));
        assert_eq!(found.unknown, Vec::<String>::new());
        assert!(!client.to_document().unwrap().contains("$2a$"), "no hash among what is shown");
    }

    #[test]
    fn what_stays_behind_is_named() {
        let found =
            HydraClient::of(&row(json!({"id": "a", "dpop_bound": true, "new_list": "[]", "new_text": ""}))).unwrap();
        assert_eq!(found.unknown, ["dpop_bound"]);
    }

    #[test]
    fn a_column_of_another_kind_is_named() {
        for (column, value) in [
            ("redirect_uris", json!("https://a|https://b")),
            ("jwks", json!("[]")),
            ("implicit_grant_id_token_lifespan", json!(-1)),
            ("created_at", json!("yesterday")),
            ("rotated_secrets", json!("$2a$10$old")),
        ] {
            assert_eq!(HydraClient::of(&row(json!({"id": "a", column: value}))).unwrap_err(), Odd(column));
        }
    }
}
