//! Grants: from a token request to what is to be issued, or a refusal.

pub mod authorization_code;
pub mod client_credentials;
pub mod device_code;
pub mod refresh_token;

use super::client::Client;
use super::error::{ErrorCode, OAuthError};
use super::scope::{ScopeStrategy, audience_allowed, is_scope_token};
use super::token::session::TokenSession;
use std::time::Duration;

/// Checks that a client may use a grant.
///
/// # Errors
/// `unauthorized_client`.
pub fn check_grant(client: &Client, grant_type: &str) -> Result<(), OAuthError> {
    if client.allows_grant(grant_type) {
        return Ok(());
    }
    Err(OAuthError::new(
        ErrorCode::UnauthorizedClient,
        format!("The OAuth 2.0 Client is not allowed to use authorization grant '{grant_type}'."),
    ))
}

/// Checks that a client may ask for these scopes.
///
/// # Errors
/// `invalid_scope`.
pub fn check_scope(client: &Client, scope: &[String], strategy: ScopeStrategy) -> Result<(), OAuthError> {
    let allowed = client.scopes();
    match scope.iter().find(|s| !is_scope_token(s) || !strategy.covers(allowed.iter().copied(), s)) {
        Some(bad) => Err(scope_refused(bad)),
        None => Ok(()),
    }
}

fn scope_refused(scope: &str) -> OAuthError {
    let hint = format!("The OAuth 2.0 Client is not allowed to request scope '{scope}'.");
    OAuthError::new(ErrorCode::InvalidScope, hint)
}

/// Checks that a client may ask for these audiences.
///
/// # Errors
/// `invalid_request`.
pub fn check_audience(client: &Client, audience: &[String]) -> Result<(), OAuthError> {
    match audience.iter().find(|a| !audience_allowed(&client.audience, a)) {
        None => Ok(()),
        Some(bad) => Err(OAuthError::new(
            ErrorCode::InvalidRequest,
            format!("Requested audience '{bad}' has not been whitelisted by the OAuth 2.0 Client."),
        )),
    }
}

/// By which way tokens of a user are issued: a client may have lifespans of its own for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// At the authorization endpoint.
    Implicit,
    /// For an authorization code.
    AuthorizationCode,
    /// For a refresh token.
    RefreshToken,
    /// For a device code.
    DeviceCode,
}

/// How long tokens live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifespans {
    /// An access token.
    pub access: Duration,
    /// An ID token.
    pub id: Duration,
    /// A refresh token; `None` for ever.
    pub refresh: Option<Duration>,
}

impl Lifespans {
    /// The server's, with the client's own in their place where it has any.
    #[must_use]
    pub fn of(self, client: &Client, via: Via) -> Self {
        let own = &client.lifespans;
        let (access, id, refresh) = match via {
            Via::Implicit => (own.implicit_grant_access_token_lifespan, own.implicit_grant_id_token_lifespan, None),
            Via::AuthorizationCode => (
                own.authorization_code_grant_access_token_lifespan,
                own.authorization_code_grant_id_token_lifespan,
                own.authorization_code_grant_refresh_token_lifespan,
            ),
            Via::RefreshToken => (
                own.refresh_token_grant_access_token_lifespan,
                own.refresh_token_grant_id_token_lifespan,
                own.refresh_token_grant_refresh_token_lifespan,
            ),
            Via::DeviceCode => (
                own.device_authorization_grant_access_token_lifespan,
                own.device_authorization_grant_id_token_lifespan,
                own.device_authorization_grant_refresh_token_lifespan,
            ),
        };
        Self { access: access.unwrap_or(self.access), id: id.unwrap_or(self.id), refresh: refresh.or(self.refresh) }
    }
}

/// What is to be issued on a user's consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Scopes of the access token.
    pub scope: Vec<String>,
    /// How long each token lives.
    pub lifespans: Lifespans,
    /// With a refresh token.
    pub refresh: bool,
    /// With an ID token.
    pub id_token: bool,
}

impl Issue {
    /// All that was granted: a refresh token if the user granted offline access and the client may use one, an ID token
    /// if `openid` was granted.
    fn all(client: &Client, session: &TokenSession, lifespans: Lifespans) -> Self {
        Self {
            scope: session.scope.clone(),
            lifespans,
            refresh: session.is_offline() && client.allows_grant(refresh_token::GRANT_TYPE),
            id_token: session.has_scope("openid"),
        }
    }
}

/// What is known of a code or token that came from another client than it was issued to.
fn issued_to(owner: &str, client: &Client, hint: &str) -> Result<(), OAuthError> {
    if owner == client.client_id { Ok(()) } else { Err(OAuthError::new(ErrorCode::InvalidGrant, hint)) }
}

/// What the tests of the grants share.
#[cfg(test)]
mod samples {
    use super::*;
    use crate::domain::client::Lifespans as Own;
    use serde_json::Map;
    use uuid::Uuid;

    /// One hour, two hours, a day.
    pub(super) const LIFESPANS: Lifespans = Lifespans {
        access: Duration::from_secs(3600),
        id: Duration::from_secs(7200),
        refresh: Some(Duration::from_secs(86_400)),
    };

    /// A client that may do everything and whose own access tokens live as many seconds as the grant is long in name.
    pub(super) fn client() -> Client {
        let grants = ["authorization_code", "refresh_token", device_code::GRANT_TYPE];
        let own = |secs| Some(Duration::from_secs(secs));
        Client {
            client_id: "c".to_owned(),
            scope: "openid offline a b".to_owned(),
            grant_types: grants.map(str::to_owned).to_vec(),
            lifespans: Own {
                authorization_code_grant_access_token_lifespan: own(1),
                refresh_token_grant_access_token_lifespan: own(2),
                device_authorization_grant_access_token_lifespan: own(3),
                implicit_grant_access_token_lifespan: own(4),
                ..Own::default()
            },
            ..Client::default()
        }
    }

    /// A session with these scopes.
    pub(super) fn session(scope: &[&str]) -> TokenSession {
        TokenSession {
            subject: "u".to_owned(),
            client_subject: "u".to_owned(),
            session_id: Uuid::nil(),
            requested_scope: Vec::new(),
            scope: scope.iter().map(|s| (*s).to_owned()).collect(),
            audience: Vec::new(),
            nonce: String::new(),
            auth_time: 0,
            requested_at: 0,
            acr: String::new(),
            amr: Vec::new(),
            access_claims: Map::new(),
            id_claims: Map::new(),
        }
    }

    #[test]
    fn a_client_may_have_lifespans_of_its_own_for_each_way() {
        for (via, secs) in
            [(Via::AuthorizationCode, 1), (Via::RefreshToken, 2), (Via::DeviceCode, 3), (Via::Implicit, 4)]
        {
            let own = LIFESPANS.of(&client(), via);
            assert_eq!(own, Lifespans { access: Duration::from_secs(secs), ..LIFESPANS });
            assert_eq!(LIFESPANS.of(&Client::default(), via), LIFESPANS);
        }
    }
}
