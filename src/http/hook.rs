//! The hooks: the operator's own service may put claims into tokens or deny them. Called after validation and before
//! anything is written; a failed hook costs nothing.

mod question;

use super::form::Form;
use super::outbound::{self, Outbound, Whose, fault};
use super::{ApiError, App};
use crate::domain::client::Client;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::grant::Issue;
use crate::domain::grant::client_credentials::{Grant, Request};
use crate::domain::token::session::TokenSession;
use crate::store::deadline;
use crate::telemetry::labels::{Hook, HookOutcome};
use crate::telemetry::traces;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};
use tracing::Instrument;
use uuid::Uuid;

/// Largest answer, in bytes.
const LIMIT: usize = 5 * 1024 * 1024;
/// Requests that may wait for hooks at once.
pub const AT_ONCE: usize = 64;
/// Longest time for all tries, if the request has that much.
const LONGEST: Duration = Duration::from_secs(15);
/// Tries while the hook cannot be reached.
const TRIES: u32 = 3;

/// Where the hook is and how we prove who we are.
#[derive(Clone, PartialEq, Eq)]
pub struct HookTarget {
    /// Its URL.
    pub url: String,
    /// A header to send: `Cookie` or the configured one, with its value.
    pub header: Option<(String, String)>,
}

/// What is about to be issued to a user's client.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// To whom.
    pub client: &'a Client,
    /// The request.
    pub form: &'a Form,
    /// What.
    pub issue: &'a Issue,
    /// On which consent.
    pub family_id: Uuid,
}

#[derive(Deserialize)]
struct Answer {
    session: Claims,
}

/// Extra claims, to be put in the place of those that were there; none in the place of all that are left out.
#[derive(Deserialize)]
struct Claims {
    access_token: Option<Map<String, Value>>,
    id_token: Option<Map<String, Value>>,
}

/// Asks the token hook, if there is one, for the extra claims of a client's own token.
///
/// # Errors
/// `access_denied` when the hook says no, `server_error` when it answers nonsense or not at all.
pub async fn for_client(
    app: &App,
    client: &Client,
    form: &Form,
    request: &Request,
    grant: &Grant,
) -> Result<Map<String, Value>, ApiError> {
    let Some(target) = &app.rules.token_hook else { return Ok(Map::new()) };
    let question = json!({
        "session": question::of_client(app, &client.client_id),
        "request": question::request(client, form, &request.scope, (&grant.scope, &grant.audience)),
    });
    Ok(ask(app, target, Hook::Token, &question).await?.and_then(|claims| claims.access_token).unwrap_or_default())
}

/// Asks the token hook, if there is one, and puts the claims it answers into the session.
///
/// # Errors
/// As [`for_client`].
pub async fn for_user(app: &App, about: &About<'_>, session: &mut TokenSession) -> Result<(), ApiError> {
    let Some(target) = &app.rules.token_hook else { return Ok(()) };
    let granted = (about.issue.scope.as_slice(), session.audience.as_slice());
    let question = json!({
        "session": question::of_user(app, about, session),
        "request": question::request(about.client, about.form, &session.requested_scope, granted),
    });
    put(session, ask(app, target, Hook::Token, &question).await?);
    Ok(())
}

/// The same with the hook that is asked at a refresh alone, before the other.
///
/// # Errors
/// As [`for_client`].
pub async fn for_refresh(app: &App, about: &About<'_>, session: &mut TokenSession) -> Result<(), ApiError> {
    let Some(target) = &app.rules.refresh_token_hook else { return Ok(()) };
    let (id, scope, audience) = (&about.client.client_id, &about.issue.scope, &session.audience);
    let question = json!({
        "subject": session.subject,
        "session": question::of_user(app, about, session),
        "requester": {
            "client_id": id, "granted_scopes": scope, "granted_audience": audience, "grant_types": ["refresh_token"],
        },
        "client_id": id, "granted_scopes": scope, "granted_audience": audience,
    });
    put(session, ask(app, target, Hook::RefreshToken, &question).await?);
    Ok(())
}

/// The hook's claims stand in the place of the earlier ones, for this answer and those of later refreshes.
fn put(session: &mut TokenSession, claims: Option<Claims>) {
    if let Some(claims) = claims {
        session.access_claims = claims.access_token.unwrap_or_default();
        session.id_claims = claims.id_token.unwrap_or_default();
    }
}

/// Asks a hook; nothing when it leaves the claims as they are.
async fn ask(app: &App, target: &HookTarget, which: Hook, question: &Value) -> Result<Option<Claims>, ApiError> {
    // A hook that hangs may hold this many requests and no more.
    let Ok(_place) = app.hook_permits.try_acquire() else {
        return Err(ApiError::Unavailable("too many requests wait for the token hook".to_owned()));
    };
    let name = if which == Hook::RefreshToken { "hook.refresh_token" } else { "hook.token" };
    let (began, span) = (Instant::now(), traces::span(name));
    let call = call(&app.outbound, target, question).instrument(span.clone());
    let called = tokio::time::timeout(deadline::left(LONGEST), call).await;
    let (outcome, answer) = match called.unwrap_or_else(|_| Err("it did not answer in time".to_owned())) {
        Ok(Heard::Claims(claims)) => (HookOutcome::Ok, Ok(Some(claims))),
        Ok(Heard::Keep) => (HookOutcome::Ok, Ok(None)),
        Ok(Heard::Deny) => {
            let hint = "The token hook target responded with an error that denies the request.";
            (HookOutcome::Denied, Err(OAuthError::new(ErrorCode::AccessDenied, hint)))
        }
        Err(why) => {
            tracing::error!(error = why, "the {} hook failed", which.as_str());
            let hint = "The token hook target responded with an error.";
            (HookOutcome::Error, Err(OAuthError::new(ErrorCode::ServerError, hint).with_debug(why)))
        }
    };
    app.metrics.webhook(which, outcome, began.elapsed().as_secs_f64());
    if !matches!(outcome, HookOutcome::Ok) && !span.is_none() {
        traces::fail(&span, outcome.as_str());
    }
    Ok(answer?)
}

/// What a hook may say.
enum Heard {
    Claims(Claims),
    Keep,
    Deny,
}

async fn call(outbound: &Outbound, target: &HookTarget, body: &Value) -> Result<Heard, String> {
    let mut response = send(outbound, target, body).await?;
    match response.status().as_u16() {
        200 => {}
        204 => return Ok(Heard::Keep),
        403 => return Ok(Heard::Deny),
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
    Ok(Heard::Claims(answer.session))
}

async fn send(outbound: &Outbound, target: &HookTarget, body: &Value) -> Result<reqwest::Response, String> {
    let mut why = String::new();
    for tried in 0..TRIES {
        let mut request = outbound.operator().post(&target.url).json(body);
        if let Some((name, value)) = &target.header {
            request = request.header(name, value);
        }
        match outbound::send(request, Whose::Operator, tried).await {
            Ok(response) => return Ok(response),
            Err(e) if e.is_connect() => why = fault(e),
            Err(e) => return Err(fault(e)),
        }
    }
    Err(why)
}
