//! Refreshing (RFC 6749 §6): a refresh token is exchanged for a successor, and a used one that comes again ends the
//! grant (RFC 9700 §4.14.2), unless it comes within the grace that the operator allows. Then it gets the very answer
//! that it got the first time: a client whose answer was lost goes on, and there is never a second chain.

use super::{Issue, Lifespans, Via, check_audience, check_scope, issued_to, scope_refused};
use crate::domain::client::Client;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::scope::{ScopeStrategy, is_scope_token};
use crate::domain::token::session::TokenSession;
use crate::domain::world::Timestamp;
use std::time::Duration;

/// The `grant_type` of this grant.
pub const GRANT_TYPE: &str = "refresh_token";

/// How long, and how often, a used refresh token may come again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grace {
    /// Since its first use; zero for never.
    pub period: Duration,
    /// At most so often; 0 for no bound.
    pub most: u32,
}

impl Grace {
    /// Whether a token used first at `used_at`, whose answer was handed out again `replayed` times, may come `now`.
    pub fn covers(self, used_at: Timestamp, replayed: u32, now: Timestamp) -> bool {
        now.since(used_at) < self.period && (self.most == 0 || replayed < self.most)
    }
}

/// What this server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How a scope covers another.
    pub strategy: ScopeStrategy,
    /// How long tokens live.
    pub lifespans: Lifespans,
    /// When a used token may come again.
    pub grace: Grace,
}

/// A refresh token, as it was found.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// To whom it was issued.
    pub client_id: &'a str,
    /// When it was used first.
    pub used_at: Option<Timestamp>,
    /// The answer to its first use was kept, as it is where there is a grace.
    pub kept: bool,
    /// How often its answer was handed out again.
    pub replayed: u32,
    /// Over by the store's clock.
    pub expired: bool,
    /// Its grant was ended.
    pub revoked: bool,
    /// The store's present moment.
    pub now: Timestamp,
}

impl Token<'_> {
    /// Whether presenting it would give tokens: what introspection calls active.
    pub fn is_active(&self, grace: Grace) -> bool {
        let usable = self.used_at.is_none_or(|at| self.may_come_again(grace, at));
        usable && !self.revoked && !self.expired
    }

    fn may_come_again(&self, grace: Grace, used_at: Timestamp) -> bool {
        self.kept && grace.covers(used_at, self.replayed, self.now)
    }
}

/// What is to be done with a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Exchange it for this.
    Rotate(Issue),
    /// Hand out the answer of its first use once more.
    Replay,
    /// It came again: end the grant, then answer [`reused`].
    Reused,
}

/// Decides on a refresh token of an authenticated client that may use this grant. `scope` is what the client asks for;
/// nothing means all that was granted, less narrows the access token alone.
///
/// # Errors
/// `invalid_grant`; `invalid_scope` for more than was granted, or for what the client may no longer ask for;
/// `invalid_request` for an audience that it may no longer ask for; `scope_not_granted` without offline access.
pub fn decide(
    client: &Client,
    token: &Token<'_>,
    session: &TokenSession,
    scope: &[String],
    rules: &Rules,
) -> Result<Decision, OAuthError> {
    let other = "The OAuth 2.0 Client ID from this request does not match the ID during the initial token issuance.";
    issued_to(token.client_id, client, other)?;
    match token.used_at {
        _ if token.revoked => return Err(unknown()),
        Some(at) if token.may_come_again(rules.grace, at) => return Ok(Decision::Replay),
        Some(_) => return Ok(Decision::Reused),
        None if token.expired => {
            return Err(OAuthError::new(ErrorCode::InvalidGrant, "The refresh token expired."));
        }
        None => {}
    }
    still_allowed(client, session, rules.strategy)?;
    let mut issue = Issue::all(client, session, rules.lifespans.of(client, Via::RefreshToken));
    if !scope.is_empty() {
        narrow(&mut issue, scope, rules.strategy)?;
    }
    Ok(Decision::Rotate(issue))
}

/// What was granted once must be what the client may ask for today.
fn still_allowed(client: &Client, session: &TokenSession, strategy: ScopeStrategy) -> Result<(), OAuthError> {
    if !session.is_offline() {
        return Err(OAuthError::new(
            ErrorCode::ScopeNotGranted,
            "The OAuth 2.0 Client was not granted scope offline or offline_access and may thus not perform the 'refresh_token' authorization grant.",
        ));
    }
    check_scope(client, &session.scope, strategy)?;
    check_audience(client, &session.audience)
}

/// The scopes asked for in the place of those granted, which must cover them (RFC 6749 §6).
fn narrow(issue: &mut Issue, scope: &[String], strategy: ScopeStrategy) -> Result<(), OAuthError> {
    let granted = |s: &String| is_scope_token(s) && strategy.covers(issue.scope.iter().map(String::as_str), s);
    if let Some(wider) = scope.iter().find(|s| !granted(s)) {
        return Err(scope_refused(wider));
    }
    issue.id_token = scope.iter().any(|s| s == "openid");
    issue.scope = scope.to_vec();
    Ok(())
}

/// A refresh token that nobody knows, or whose grant was ended.
pub fn unknown() -> OAuthError {
    OAuthError::new(ErrorCode::InvalidGrant, "The refresh token is malformed or not valid.")
}

/// A refresh token that was used and came again.
pub fn reused() -> OAuthError {
    OAuthError::new(ErrorCode::InvalidGrant, "The refresh token was already used.")
        .with_debug("Refresh token re-use was detected. All related tokens have been revoked.")
}

#[cfg(test)]
mod tests;
