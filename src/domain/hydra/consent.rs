//! A row of `hydra_oauth2_flow`, which holds a login and a consent at once.

use super::{Odd, Row};
use crate::domain::flow::consent::ConsentDecision;
use crate::domain::flow::login::LoginDecision;
use crate::domain::world::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::Uuid;

/// Hydra's number of a flow whose consent was used; newer releases store none.
const CONSENT_USED: i64 = 6;

/// A consent that a user gave in Hydra.
#[derive(Clone, Debug, PartialEq)]
pub struct HydraConsent {
    /// `consent_request_id`.
    pub id: Uuid,
    /// The flow: `login_challenge` of the consent request.
    pub flow_id: Uuid,
    /// `sid`.
    pub session_id: Uuid,
    /// To whom.
    pub client_id: String,
    /// The query of the authorization request.
    pub query: String,
    /// By way of a device.
    pub device: bool,
    /// Requested scopes.
    pub requested_scope: Vec<String>,
    /// Requested audience.
    pub requested_audience: Vec<String>,
    /// `oidc_context`.
    pub oidc_context: Value,
    /// The login, with the subject.
    pub login: LoginDecision,
    /// The consent.
    pub granted: ConsentDecision,
    /// When the flow began; what is remembered for a time is counted from here.
    pub requested_at: Timestamp,
    /// Until when it may spare the next question; `None` for ever.
    pub remember_until: Option<Timestamp>,
}

impl HydraConsent {
    /// Reads a row; `None` for one that spares nobody a question: not granted, not remembered, itself skipped, or over.
    ///
    /// # Errors
    /// [`Odd`], naming the first column that is not understood.
    pub fn of(row: &Row, now: Timestamp) -> Result<Option<Self>, Odd> {
        let requested_at = row.moment("requested_at")?.ok_or(Odd("requested_at"))?;
        let remember_for = match row.number("consent_remember_for") {
            None => 0,
            Some(seconds) => u64::try_from(seconds).map_err(|_| Odd("consent_remember_for"))?,
        };
        let until = (remember_for > 0).then(|| requested_at.plus(Duration::from_secs(remember_for)));
        if !stands(row) || until.is_some_and(|until| until <= now) {
            return Ok(None);
        }
        let auth_time = row.moment("login_authenticated_at")?.unwrap_or(requested_at).secs();
        let login = LoginDecision {
            subject: row.text("subject").to_owned(),
            auth_time,
            acr: row.text("acr").to_owned(),
            amr: row.list("amr")?,
            context: some(row.json("context")?),
            ..LoginDecision::default()
        };
        let granted = ConsentDecision {
            scope: row.list("granted_scope")?,
            audience: row.list("granted_at_audience")?,
            remember: true,
            remember_for,
            access_claims: row.object("session_access_token")?,
            id_claims: row.object("session_id_token")?,
            context: Value::Null,
        };
        Ok(Some(Self {
            id: id("consent", row.text("consent_challenge_id"), row.text("login_challenge")),
            flow_id: id("flow", row.text("login_challenge"), ""),
            session_id: id("session", row.text("login_session_id"), row.text("login_challenge")),
            client_id: row.text("client_id").to_owned(),
            query: row.text("request_url").split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default(),
            device: !row.text("device_challenge_id").is_empty(),
            requested_scope: row.list("requested_scope")?,
            requested_audience: row.list("requested_at_audience")?,
            oidc_context: Value::Object(row.object("oidc_context")?),
            login,
            granted,
            requested_at,
            remember_until: until,
        }))
    }
}

fn stands(row: &Row) -> bool {
    let was_used = row.number("state").is_none_or(|state| state == CONSENT_USED);
    let error = row.text("consent_error");
    was_used
        && ["", "{}", "null"].contains(&error)
        && row.flag("consent_remember") == Some(true)
        && row.flag("consent_skip") != Some(true)
}

/// An empty object is how Hydra stores that nothing was said.
fn some(context: Value) -> Value {
    if context.as_object().is_some_and(serde_json::Map::is_empty) { Value::Null } else { context }
}

/// Hydra's ids are UUIDs with or without hyphens. One that is something else always becomes the same UUID, or a second
/// move would bring everything twice.
fn id(kind: &str, text: &str, or: &str) -> Uuid {
    Uuid::parse_str(text).unwrap_or_else(|_| {
        let digest: [u8; 32] = Sha256::digest(format!("hydra/{kind}/{text}/{or}")).into();
        let mut first = [0; 16];
        first.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        uuid::Builder::from_custom_bytes(first).into_uuid()
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::super::tests::row;
    use super::*;
    use serde_json::json;

    fn flow(over: Value) -> Row {
        let mut columns = json!({
            "login_challenge": "6a1b2c3d4e5f60718293a4b5c6d7e8f9", "consent_challenge_id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "login_session_id": "11111111-2222-4333-8444-555555555555", "client_id": "app", "subject": "ada",
            "request_url": "https://id.example/oauth2/auth?client_id=app&scope=openid", "requested_scope": ["openid", "a"],
            "granted_scope": ["openid"], "granted_at_audience": [], "amr": ["pwd"], "acr": "1", "context": {},
            "oidc_context": {"display": "page"}, "consent_remember": true, "consent_skip": false, "consent_error": "{}",
            "consent_remember_for": 0, "state": 6, "requested_at": "2026-01-01T00:00:00",
            "session_id_token": {"email": "ada@example.com"}, "session_access_token": {},
        });
        for (name, value) in over.as_object().unwrap() {
            columns[name] = value.clone();
        }
        row(columns)
    }

    fn read(over: Value) -> Option<HydraConsent> {
        HydraConsent::of(&flow(over), Timestamp::from_secs(1_780_000_000)).unwrap()
    }

    #[test]
    fn a_remembered_consent_is_read() {
        let found = read(json!({})).unwrap();
        assert_eq!(found.id.simple().to_string(), "0f1e2d3c4b5a69788796a5b4c3d2e1f0");
        assert_eq!(found.session_id.to_string(), "11111111-2222-4333-8444-555555555555");
        assert_eq!((found.client_id.as_str(), found.login.subject.as_str()), ("app", "ada"));
        assert_eq!((found.query.as_str(), found.device), ("client_id=app&scope=openid", false));
        assert_eq!((found.granted.scope, found.requested_scope.len()), (vec!["openid".to_owned()], 2));
        assert_eq!((found.login.auth_time, found.remember_until), (1_767_225_600, None));
        assert_eq!(found.granted.id_claims["email"], "ada@example.com");
    }

    #[test]
    fn what_spares_no_question_is_left() {
        for over in [
            json!({"consent_remember": false}),
            json!({"consent_skip": true}),
            json!({"consent_error": "{\"error\":\"access_denied\"}"}),
            json!({"state": 5}),
            json!({"consent_remember_for": 3600}),
        ] {
            assert_eq!(read(over.clone()), None, "{over}");
        }
        for over in [json!({"state": null}), json!({"consent_error": null}), json!({"consent_remember_for": null})] {
            assert!(read(over.clone()).is_some(), "{over}");
        }
        let year = read(json!({"consent_remember_for": 366 * 24 * 3600})).unwrap();
        assert_eq!(year.remember_until.unwrap().rfc3339(), "2027-01-02T00:00:00Z");
    }

    #[test]
    fn an_id_that_is_no_uuid_becomes_the_same_one_every_time() {
        let odd = json!({"consent_challenge_id": "challenge-0014", "login_session_id": null});
        let (one, again) = (read(odd.clone()).unwrap(), read(odd).unwrap());
        assert_eq!((one.id, one.session_id), (again.id, again.session_id));
        assert_ne!(one.id, one.session_id);
        assert_ne!(one.id, read(json!({"consent_challenge_id": "challenge-0015"})).unwrap().id);
    }
}
