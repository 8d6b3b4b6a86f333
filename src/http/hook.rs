//! The token hook: the operator's own service may add claims to a token or deny it. Called after validation and before
//! anything is written; a failed hook costs nothing.

use super::outbound::{Outbound, fault};
use super::{ApiError, App};
use crate::domain::client::Client;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::grant::client_credentials::{GRANT_TYPE, Grant, Request};
use crate::telemetry::labels::{Hook, HookOutcome};
use crate::telemetry::traces;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::Instant;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Largest answer, in bytes.
const LIMIT: usize = 5 * 1024 * 1024;
/// Requests that may wait for hooks at once.
pub const AT_ONCE: usize = 64;
/// Tries while the hook cannot be reached.
const TRIES: usize = 3;

/// Where the hook is and how we prove who we are.
#[derive(Clone, PartialEq, Eq)]
pub struct HookTarget {
    /// Its URL.
    pub url: String,
    /// A header to send: `Cookie` or the configured one, with its value.
    pub header: Option<(String, String)>,
}

#[derive(Deserialize)]
struct Answer {
    session: Session,
}

#[derive(Deserialize)]
struct Session {
    #[serde(default)]
    access_token: Map<String, Value>,
}

/// Asks the hook, if there is one, for the extra claims of a client_credentials token.
///
/// # Errors
/// `access_denied` when the hook says no, `server_error` when it answers nonsense or not at all.
pub async fn ask(app: &App, client: &Client, request: &Request, grant: &Grant) -> Result<Map<String, Value>, ApiError> {
    let Some(target) = &app.rules.token_hook else { return Ok(Map::new()) };
    // A hook that hangs may hold this many requests and no more.
    let Ok(_place) = app.hook_permits.try_acquire() else {
        return Err(ApiError::Unavailable("too many requests wait for the token hook".to_owned()));
    };
    let (began, body) = (Instant::now(), question(app, client, request, grant));
    let (outcome, answer) = match call(&app.outbound, target, &body).await {
        Ok(Some(claims)) => (HookOutcome::Ok, Ok(claims)),
        Ok(None) => {
            let hint = "The token hook target responded with an error that denies the request.";
            (HookOutcome::Denied, Err(OAuthError::new(ErrorCode::AccessDenied, hint)))
        }
        Err(why) => {
            tracing::error!(error = why, "the token hook failed");
            let hint = "The token hook target responded with an error.";
            (HookOutcome::Error, Err(OAuthError::new(ErrorCode::ServerError, hint).with_debug(why)))
        }
    };
    app.metrics.webhook(Hook::Token, outcome, began.elapsed().as_secs_f64());
    Ok(answer?)
}

/// What Hydra sends.
fn question(app: &App, client: &Client, request: &Request, grant: &Grant) -> Value {
    json!({
        "session": {
            "id_token": {"id_token_claims": {"iss": app.rules.issuer, "sub": client.client_id, "aud": [], "ext": {}}, "headers": {"extra": {}}, "username": "", "subject": client.client_id},
            "extra": {}, "client_id": client.client_id, "consent_challenge": "",
            "exclude_not_before_claim": app.rules.jwt.exclude_not_before,
            "allowed_top_level_claims": app.rules.jwt.allowed_top_level,
            "mirror_top_level_claims": app.rules.jwt.mirror_top_level,
            "preserve_ext_claims": app.rules.jwt.preserve_ext,
        },
        "request": {
            "client_id": client.client_id,
            "requested_scopes": request.scope,
            "granted_scopes": grant.scope,
            "granted_audience": grant.audience,
            "grant_types": [GRANT_TYPE],
            "payload": {"grant_type": [GRANT_TYPE], "scope": [request.scope.join(" ")]},
        },
    })
}

/// The claims; `None` for a denial.
async fn call(outbound: &Outbound, target: &HookTarget, body: &Value) -> Result<Option<Map<String, Value>>, String> {
    let mut response = send(outbound, target, body).await?;
    match response.status().as_u16() {
        200 => {}
        204 => return Ok(Some(Map::new())),
        403 => return Ok(None),
        other => return Err(format!("status {other}")),
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fault)? {
        if bytes.len() + chunk.len() > LIMIT {
            return Err(format!("the answer is longer than {LIMIT} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    let answer: Answer = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    Ok(Some(answer.session.access_token))
}

async fn send(outbound: &Outbound, target: &HookTarget, body: &Value) -> Result<reqwest::Response, String> {
    let mut why = String::new();
    for _ in 0..TRIES {
        let mut request = outbound.operator().post(&target.url).json(body);
        if let Some((name, value)) = &target.header {
            request = request.header(name, value);
        }
        let mut trace = Vec::new();
        traces::inject(&tracing::Span::current().context(), |name, value| trace.push((name.to_owned(), value)));
        for (name, value) in trace {
            request = request.header(name, value);
        }
        match request.send().await {
            Ok(response) => return Ok(response),
            Err(e) if e.is_connect() => why = fault(e),
            Err(e) => return Err(fault(e)),
        }
    }
    Err(why)
}
