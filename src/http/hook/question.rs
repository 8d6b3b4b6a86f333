//! What a hook is asked, member for member as Hydra asks it.

use super::About;
use crate::domain::client::Client;
use crate::domain::token::session::TokenSession;
use crate::domain::world::Timestamp;
use crate::http::App;
use crate::http::form::Form;
use serde_json::{Map, Value, json};

/// What a hook hears of the form.
const PAYLOAD: [&str; 5] = ["grant_type", "response_type", "scope", "client_id", "assertion"];

/// The session of a client that asks for itself.
pub(super) fn of_client(app: &App, id: &str) -> Value {
    let claims = json!({"iss": app.rules.issuer, "sub": id, "aud": [], "ext": {}});
    let id_token = json!({"id_token_claims": claims, "headers": {"extra": {}}, "username": "", "subject": id});
    session(app, id, &id_token, &Map::new(), "")
}

/// `request`, as Hydra sends it; `granted` is scope and audience.
pub(super) fn request(client: &Client, form: &Form, requested: &[String], granted: (&[String], &[String])) -> Value {
    let payload: Map<String, Value> =
        PAYLOAD.iter().filter_map(|name| form.get(name).map(|value| ((*name).to_owned(), json!([value])))).collect();
    json!({
        "client_id": client.client_id,
        "requested_scopes": requested,
        "granted_scopes": granted.0,
        "granted_audience": granted.1,
        "grant_types": [form.get("grant_type").unwrap_or_default()],
        "payload": payload,
    })
}

/// `session`, as Hydra sends it.
fn session(app: &App, client_id: &str, id_token: &Value, extra: &Map<String, Value>, consent: &str) -> Value {
    json!({
        "id_token": id_token,
        "extra": extra,
        "kid": "",
        "client_id": client_id,
        "consent_challenge": consent,
        "exclude_not_before_claim": app.rules.jwt.exclude_not_before,
        "allowed_top_level_claims": app.rules.jwt.allowed_top_level,
        "mirror_top_level_claims": app.rules.jwt.mirror_top_level,
        "preserve_ext_claims": app.rules.jwt.preserve_ext,
    })
}

/// The session of a user; moments are RFC 3339 texts, as Go writes them.
pub(super) fn of_user(app: &App, about: &About<'_>, of: &TokenSession) -> Value {
    let now = app.clock.now().whole_second();
    let (lifespans, at) = (about.issue.lifespans, |secs| Timestamp::from_secs(secs).rfc3339());
    let mut ext = of.id_claims.clone();
    ext.insert("sid".to_owned(), json!(of.session_id));
    let mut expires_at = json!({"access_token": now.plus(lifespans.access).rfc3339()});
    if let (Some(span), Some(members)) = (lifespans.refresh, expires_at.as_object_mut()) {
        members.insert("refresh_token".to_owned(), json!(now.plus(span).rfc3339()));
    }
    let id_token = json!({
        "id_token_claims": {
            "jti": "", "iss": app.rules.issuer, "sub": of.client_subject, "aud": [about.client.client_id],
            "nonce": of.nonce, "exp": now.plus(lifespans.id).rfc3339(), "iat": now.rfc3339(),
            "rat": at(of.requested_at), "auth_time": at(of.auth_time), "at_hash": "", "acr": of.acr, "amr": of.amr,
            "c_hash": "", "ext": ext,
        },
        "headers": {"extra": {}}, "expires_at": expires_at, "username": "", "subject": of.subject,
    });
    let consent = about.family_id.simple().to_string();
    session(app, &about.client.client_id, &id_token, &of.access_claims, &consent)
}
