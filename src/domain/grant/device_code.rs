//! The device authorization grant (RFC 8628 §3.4).

use super::{Issue, Lifespans, Via, check_audience, check_scope, issued_to};
use crate::domain::client::Client;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::scope::ScopeStrategy;
use crate::domain::token::session::TokenSession;

/// The `grant_type` of this grant.
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Checks that a client may ask for a device code with these scopes and audiences (RFC 8628 §3.1).
///
/// # Errors
/// `invalid_grant` as Hydra says it for a client without this grant, `invalid_scope`, `invalid_request`.
pub fn check_request(
    client: &Client,
    scope: &[String],
    audience: &[String],
    strategy: ScopeStrategy,
) -> Result<(), OAuthError> {
    if !client.allows_grant(GRANT_TYPE) {
        let hint = format!("The requested OAuth 2.0 Client does not have the '{GRANT_TYPE}' grant.");
        return Err(OAuthError::new(ErrorCode::InvalidGrant, hint));
    }
    check_scope(client, scope, strategy)?;
    check_audience(client, audience)
}

/// Where a device's request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has decided yet.
    Pending,
    /// Refused.
    Denied,
    /// Granted.
    Granted,
    /// Tokens were issued.
    Redeemed,
}

/// A poll, as the store saw it.
#[derive(Clone, Copy, Debug)]
pub struct Poll<'a> {
    /// To whom the device code was issued.
    pub client_id: &'a str,
    /// Where it stands.
    pub state: State,
    /// Over by the store's clock.
    pub expired: bool,
    /// It came sooner than the interval allows.
    pub too_fast: bool,
}

/// Whether the poll of a client that may use this grant gets tokens.
///
/// # Errors
/// `authorization_pending`, `slow_down`, `access_denied` and `expired_token` (RFC 8628 §3.5); `invalid_grant` for a
/// code of another client or one that was redeemed.
pub fn check(client: &Client, poll: &Poll<'_>) -> Result<(), OAuthError> {
    let other = "The OAuth 2.0 Client ID from this request does not match the one from the authorize request.";
    issued_to(poll.client_id, client, other)?;
    match poll.state {
        State::Redeemed => Err(unknown()),
        _ if poll.expired => Err(OAuthError::plain(ErrorCode::ExpiredToken)),
        State::Denied => Err(OAuthError::plain(ErrorCode::AccessDenied)),
        State::Pending if poll.too_fast => Err(OAuthError::new(
            ErrorCode::SlowDown,
            "Ensure that you don't call the token endpoint sooner than the polling interval",
        )),
        State::Pending => Err(OAuthError::plain(ErrorCode::AuthorizationPending)),
        State::Granted => Ok(()),
    }
}

/// What a granted device gets.
pub fn issue(client: &Client, session: &TokenSession, lifespans: Lifespans) -> Issue {
    Issue::all(client, session, lifespans.of(client, Via::DeviceCode))
}

/// A device code that nobody knows, or that was redeemed.
pub fn unknown() -> OAuthError {
    OAuthError::plain(ErrorCode::InvalidGrant)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{LIFESPANS, client, session};
    use super::*;

    #[test]
    fn j03_j05_what_a_poll_hears() {
        let poll = |client_id, state, expired, too_fast| {
            check(&client(), &Poll { client_id, state, expired, too_fast }).map_err(|e| e.code)
        };
        for (state, expired, too_fast, heard) in [
            (State::Pending, false, false, Err(ErrorCode::AuthorizationPending)),
            (State::Pending, false, true, Err(ErrorCode::SlowDown)),
            (State::Pending, true, true, Err(ErrorCode::ExpiredToken)),
            (State::Denied, false, true, Err(ErrorCode::AccessDenied)),
            (State::Granted, false, true, Ok(())),
            (State::Granted, true, false, Err(ErrorCode::ExpiredToken)),
            (State::Redeemed, true, false, Err(ErrorCode::InvalidGrant)),
        ] {
            assert_eq!(poll("c", state, expired, too_fast), heard, "{state:?} {expired} {too_fast}");
            assert_eq!(poll("d", state, expired, too_fast), Err(ErrorCode::InvalidGrant));
        }
    }

    #[test]
    fn what_a_device_may_ask_for() {
        let words = |text: &str| text.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let asked = |client: &Client, scope, audience| {
            check_request(client, &words(scope), &words(audience), ScopeStrategy::Exact).map_err(|e| e.code)
        };
        let without = Client { grant_types: Vec::new(), ..client() };
        assert_eq!(asked(&client(), "openid a", ""), Ok(()));
        assert_eq!(asked(&without, "openid a", ""), Err(ErrorCode::InvalidGrant));
        assert_eq!(asked(&client(), "admin", ""), Err(ErrorCode::InvalidScope));
        assert_eq!(asked(&client(), "", "https://api"), Err(ErrorCode::InvalidRequest));
    }

    #[test]
    fn a_device_has_lifespans_of_its_own() {
        let made = issue(&client(), &session(&["openid", "offline"]), LIFESPANS);
        assert!(made.refresh && made.id_token && made.lifespans.access.as_secs() == 3);
    }
}
