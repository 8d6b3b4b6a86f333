//! The client credentials grant (RFC 6749 §4.4).

use super::{check_audience, check_grant, check_scope};
use crate::domain::client::Client;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::scope::ScopeStrategy;
use std::time::Duration;

/// The `grant_type` of this grant.
pub const GRANT_TYPE: &str = "client_credentials";

/// What the client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Requested scopes.
    pub scope: Vec<String>,
    /// Requested audience.
    pub audience: Vec<String>,
}

/// What this server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How a client's scopes cover a requested one.
    pub strategy: ScopeStrategy,
    /// No scope asked for means all of the client's.
    pub default_scope: bool,
    /// How long the token lives unless the client has a lifespan of its own.
    pub lifespan: Duration,
}

/// What is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Granted scopes.
    pub scope: Vec<String>,
    /// Granted audience.
    pub audience: Vec<String>,
    /// How long the token lives.
    pub lifespan: Duration,
}

/// Decides on a request of an authenticated client.
///
/// # Errors
/// `unauthorized_client`, `invalid_grant` for a public client, `invalid_scope`, or `invalid_request` for an audience.
pub fn decide(client: &Client, request: &Request, rules: Rules) -> Result<Grant, OAuthError> {
    if client.is_public() {
        return Err(OAuthError::new(
            ErrorCode::InvalidGrant,
            "The OAuth 2.0 Client is marked as public and is thus not allowed to use authorization grant 'client_credentials'.",
        ));
    }
    check_grant(client, GRANT_TYPE)?;
    let scope = granted_scope(client, request, rules)?;
    check_audience(client, &request.audience)?;
    let lifespan = client.cc_access_token_lifespan().unwrap_or(rules.lifespan);
    Ok(Grant { scope, audience: request.audience.clone(), lifespan })
}

fn granted_scope(client: &Client, request: &Request, rules: Rules) -> Result<Vec<String>, OAuthError> {
    if request.scope.is_empty() && rules.default_scope {
        return Ok(client.scopes().into_iter().map(str::to_owned).collect());
    }
    check_scope(client, &request.scope, rules.strategy)?;
    Ok(request.scope.clone())
}
