//! Signing in: whether a remembered login will do, what the app may answer, and what must still hold when the browser
//! comes back (OpenID Connect Core §3.1.2.3).

use super::{Decision, Flow};
use crate::domain::authorize::AuthorizeRequest;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::world::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// A login that a browser remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Who signed in.
    #[serde(rename = "s")]
    pub subject: String,
    /// When, in seconds since the epoch.
    #[serde(rename = "t")]
    pub auth_time: i64,
}

/// What follows from an accepted login.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoginDecision {
    /// Who signed in.
    #[serde(rename = "s")]
    pub subject: String,
    /// `auth_time`, in seconds since the epoch.
    #[serde(rename = "t")]
    pub auth_time: i64,
    /// Keep a session.
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    pub remember: bool,
    /// For so many seconds; 0 for as long as the browser runs.
    #[serde(rename = "f", default, skip_serializing_if = "is_zero")]
    pub remember_for: u64,
    /// Let a remembered session live longer.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub extend: bool,
    /// `acr`.
    #[serde(rename = "a", default, skip_serializing_if = "String::is_empty")]
    pub acr: String,
    /// `amr`.
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// Anything, for the consent app.
    #[serde(rename = "c", default, skip_serializing_if = "Value::is_null")]
    pub context: Value,
    /// The subject's name for this client.
    #[serde(rename = "o", default, skip_serializing_if = "String::is_empty")]
    pub forced_subject: String,
    /// The identity provider's session.
    #[serde(rename = "p", default, skip_serializing_if = "String::is_empty")]
    pub identity_provider_session_id: String,
}

const fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The body of `PUT …/login/accept`. Null counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is named after its member on the wire")]
pub struct LoginAcceptance {
    pub subject: Option<String>,
    pub remember: Option<bool>,
    pub remember_for: Option<i64>,
    pub extend_session_lifespan: Option<bool>,
    pub acr: Option<String>,
    pub amr: Option<Vec<String>>,
    pub context: Value,
    pub force_subject_identifier: Option<String>,
    pub identity_provider_session_id: Option<String>,
}

/// What the app's acceptance comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Accepted {
    /// The browser may go on.
    Login(Box<LoginDecision>),
    /// Somebody else than the remembered user: the browser begins again, and the login page asks.
    AskAgain,
}

fn bad(hint: &str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, hint)
}

/// Judges an acceptance.
///
/// # Errors
/// `invalid_request` for a missing subject or a negative time.
pub fn accept(flow: &Flow, body: LoginAcceptance, now: Timestamp) -> Result<Accepted, OAuthError> {
    let subject = body.subject.unwrap_or_default();
    if subject.is_empty() {
        return Err(bad("Field 'subject' must not be empty."));
    }
    if subject.contains('\0') {
        return Err(bad("Field 'subject' must not contain a NUL."));
    }
    let remember_for = u64::try_from(body.remember_for.unwrap_or_default())
        .map_err(|_| bad("Field 'remember_for' must be 0 or a positive number of seconds."))?;
    let known = flow.remembered.as_ref();
    if known.is_some_and(|r| r.subject != subject) {
        return Ok(Accepted::AskAgain);
    }
    Ok(Accepted::Login(Box::new(LoginDecision {
        subject,
        // Whoever signs in does so after the flow began, whatever the clocks of two replicas say.
        auth_time: known.map_or(now.secs().max(flow.requested_at), |r| r.auth_time),
        remember: known.is_some() || body.remember.unwrap_or_default(),
        remember_for,
        extend: known.is_some() && body.extend_session_lifespan.unwrap_or_default(),
        acr: body.acr.unwrap_or_default(),
        amr: body.amr.unwrap_or_default(),
        context: body.context,
        forced_subject: body.force_subject_identifier.unwrap_or_default(),
        identity_provider_session_id: body.identity_provider_session_id.unwrap_or_default(),
    })))
}

/// Whether the remembered login will do for this request. `expected` are the subjects that the client would have, by
/// its ID token hint or its `claims`; `None` for any.
///
/// # Errors
/// `login_required` when no page may be shown and none will do, or when somebody else is signed in.
pub fn usable(
    request: &AuthorizeRequest,
    remembered: Option<Remembered>,
    expected: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Result<Option<Remembered>, OAuthError> {
    let required = |hint: &str| OAuthError::new(ErrorCode::LoginRequired, hint);
    let fresh = |r: &Remembered| request.max_age.is_none_or(|max| now.secs().saturating_sub(r.auth_time) <= max);
    let Some(known) = remembered.filter(|_| !request.prompt.wants_login()) else {
        return none_or("Prompt 'none' was requested, but no existing login session was found.", request);
    };
    if !fresh(&known) || request.max_age == Some(0) {
        return none_or(
            "Request failed because prompt is set to 'none' and authentication time reached 'max_age'.",
            request,
        );
    }
    if !expected(&known.subject) {
        return if request.prompt.none { Err(required(WRONG_SUBJECT)) } else { Ok(None) };
    }
    Ok(Some(known))
}

const WRONG_SUBJECT: &str =
    "Request failed because subject claim from id_token_hint does not match subject from authentication session.";

fn none_or(hint: &str, request: &AuthorizeRequest) -> Result<Option<Remembered>, OAuthError> {
    if request.prompt.none { Err(OAuthError::new(ErrorCode::LoginRequired, hint)) } else { Ok(None) }
}

/// What must hold when an accepted login comes back.
///
/// # Errors
/// `login_required` when the login does not do what the request asked for.
pub fn holds(
    request: &AuthorizeRequest,
    flow: &Flow,
    login: &LoginDecision,
    expected: impl Fn(&str) -> bool,
) -> Result<(), OAuthError> {
    let required = |hint: &str| Err(OAuthError::new(ErrorCode::LoginRequired, hint));
    if request.prompt.none && login.auth_time > flow.requested_at {
        return required(
            "Failed to validate OpenID Connect request because prompt was set to 'none' but auth_time happened after the authorization request was registered, indicating that the user was logged in during this request which is not allowed.",
        );
    }
    if request.prompt.wants_login() && login.auth_time < flow.requested_at {
        return required(
            "Failed to validate OpenID Connect request because prompt was set to 'login' but auth_time happened before the authorization request was registered, indicating that the user was not re-authenticated which is forbidden.",
        );
    }
    if !expected(&login.subject) {
        return required(WRONG_SUBJECT);
    }
    let wanted = request.essential_acr();
    if !wanted.is_empty() && !wanted.contains(&login.acr) {
        return required("The authentication does not have the 'acr' that the 'claims' parameter calls essential.");
    }
    Ok(())
}

/// How long a login is remembered: by the browser (`None`: until it is closed) and by the server.
pub fn lifetime(login: &LoginDecision, longest: Duration) -> (Option<Duration>, Duration) {
    match login.remember_for {
        0 => (None, longest),
        secs => {
            let asked = Duration::from_secs(secs).min(longest);
            (Some(asked), asked)
        }
    }
}

impl Flow {
    /// The accepted login.
    pub const fn accepted_login(&self) -> Option<&LoginDecision> {
        match &self.login {
            Some(Decision::Accepted(login)) => Some(login),
            _ => None,
        }
    }
}
