//! Granting: whether an earlier consent will do, and what the app may answer.

use super::{Decision, Flow};
use crate::domain::authorize::AuthorizeRequest;
use crate::domain::client::Client;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::redirect_uri;
use crate::domain::scope::ScopeStrategy;
use crate::domain::world::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// What follows from an accepted consent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConsentDecision {
    /// Granted scopes.
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// Granted audience.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// Spare the user the question next time.
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    pub remember: bool,
    /// For so many seconds; 0 for ever.
    #[serde(rename = "f", default, skip_serializing_if = "is_zero")]
    pub remember_for: u64,
    /// Extra claims of access tokens.
    #[serde(rename = "x", default, skip_serializing_if = "Map::is_empty")]
    pub access_claims: Map<String, Value>,
    /// Extra claims of the ID token and of userinfo.
    #[serde(rename = "d", default, skip_serializing_if = "Map::is_empty")]
    pub id_claims: Map<String, Value>,
    /// Anything, for the list of consents.
    #[serde(rename = "c", default, skip_serializing_if = "Value::is_null")]
    pub context: Value,
}

const fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The body of `PUT …/consent/accept`. Null counts as absent, in a list too: Hydra's reference app sends `[null]` for a
/// user who ticked nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is named after its member on the wire")]
pub struct ConsentAcceptance {
    pub grant_scope: Option<Vec<Option<String>>>,
    pub grant_access_token_audience: Option<Vec<Option<String>>>,
    pub remember: Option<bool>,
    pub remember_for: Option<i64>,
    pub session: Option<ConsentSession>,
    pub context: Value,
}

/// `session` of an acceptance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is named after its member on the wire")]
pub struct ConsentSession {
    pub access_token: Option<Map<String, Value>>,
    pub id_token: Option<Map<String, Value>>,
}

/// Judges an acceptance: nothing may be granted that was not asked for.
///
/// # Errors
/// `invalid_request`, naming the field.
pub fn accept(scope: &[String], audience: &[String], body: ConsentAcceptance) -> Result<ConsentDecision, OAuthError> {
    let bad = |hint: String| OAuthError::new(ErrorCode::InvalidRequest, hint);
    let granted = unique(body.grant_scope.unwrap_or_default());
    if let Some(more) = granted.iter().find(|s| !scope.contains(s)) {
        return Err(bad(format!("Field 'grant_scope' has '{more}', which was not requested.")));
    }
    let for_whom = unique(body.grant_access_token_audience.unwrap_or_default());
    if let Some(more) = for_whom.iter().find(|a| !audience.contains(a)) {
        return Err(bad(format!("Field 'grant_access_token_audience' has '{more}', which was not requested.")));
    }
    let remember_for = u64::try_from(body.remember_for.unwrap_or_default())
        .map_err(|_| bad("Field 'remember_for' must be 0 or a positive number of seconds.".to_owned()))?;
    let session = body.session.unwrap_or_default();
    Ok(ConsentDecision {
        scope: granted,
        audience: for_whom,
        remember: body.remember.unwrap_or_default(),
        remember_for,
        access_claims: session.access_token.unwrap_or_default(),
        id_claims: session.id_token.unwrap_or_default(),
        context: body.context,
    })
}

fn unique(items: Vec<Option<String>>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    items.into_iter().flatten().filter(|i| seen.insert(i.clone())).collect()
}

/// Whether an earlier consent to `granted` spares the user the question. A client without a secret might be anybody:
/// only an address that nobody else can receive at vouches for it, and a device has none (RFC 6749 §10.2).
pub fn may_skip(request: &AuthorizeRequest, client: &Client, granted: &[String], strategy: ScopeStrategy) -> bool {
    let vouched = || match &request.target {
        None => false,
        Some(target) => redirect_uri::is_vouched(&target.redirect_uri),
    };
    !request.prompt.consent
        && (!client.is_public() || vouched())
        && request.scope.iter().all(|s| strategy.covers(granted.iter().map(String::as_str), s))
}

/// What to say when no page may be shown and none spares the question.
pub fn required() -> OAuthError {
    OAuthError::new(ErrorCode::ConsentRequired, "Prompt 'none' was requested, but no previous consent was found.")
}

/// Until when a consent is remembered; `None` for ever.
pub fn remembered_until(decision: &ConsentDecision, now: Timestamp) -> Option<Timestamp> {
    (decision.remember_for > 0).then(|| now.plus(Duration::from_secs(decision.remember_for)))
}

impl Flow {
    /// The accepted consent.
    pub const fn accepted_consent(&self) -> Option<&ConsentDecision> {
        match &self.consent {
            Some(Decision::Accepted(consent)) => Some(consent),
            _ => None,
        }
    }
}
