//! The authorization code grant (RFC 6749 §4.1.3).
//!
//! Everything is checked before the code is spent, so that a stranger's guess costs its owner nothing. Only a code that
//! was spent already has an effect when it comes again: it ends the grant.

use super::{Issue, Lifespans, Via, issued_to};
use crate::domain::client::Client;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::domain::pkce;
use crate::domain::token::session::TokenSession;

/// The `grant_type` of this grant.
pub const GRANT_TYPE: &str = "authorization_code";

/// A code, as it was found.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// To whom it was issued.
    pub client_id: &'a str,
    /// `redirect_uri` of the authorization request, if it had one.
    pub redirect_uri: Option<&'a str>,
    /// `code_challenge` of the authorization request, if it had one.
    pub code_challenge: Option<&'a str>,
    /// Redeemed before.
    pub spent: bool,
    /// Over by the store's clock.
    pub expired: bool,
    /// Its grant was ended.
    pub revoked: bool,
}

/// What the client sent with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// `redirect_uri`.
    pub redirect_uri: Option<&'a str>,
    /// `code_verifier` (RFC 7636 §4.5).
    pub code_verifier: Option<&'a str>,
}

/// What is to be done with a code that may be redeemed, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Redeem it for this.
    Issue(Issue),
    /// It came twice: end the grant, then answer [`replayed`].
    Replayed,
}

/// Decides on a code of an authenticated client that may use this grant.
///
/// # Errors
/// `invalid_grant`.
pub fn decide(
    client: &Client,
    code: &Code<'_>,
    session: &TokenSession,
    request: &Request<'_>,
    lifespans: Lifespans,
) -> Result<Decision, OAuthError> {
    let other = "The OAuth 2.0 Client ID from this request does not match the one from the authorize request.";
    issued_to(code.client_id, client, other)?;
    if code.spent {
        return Ok(Decision::Replayed);
    }
    if code.revoked || code.expired {
        return Err(unknown());
    }
    if code.redirect_uri.is_some() && code.redirect_uri != request.redirect_uri {
        return Err(OAuthError::new(
            ErrorCode::InvalidGrant,
            "The 'redirect_uri' from this request does not match the one from the authorize request.",
        ));
    }
    pkce::verify(code.code_challenge, request.code_verifier)?;
    Ok(Decision::Issue(Issue::all(client, session, lifespans.of(client, Via::AuthorizationCode))))
}

/// A code that nobody knows or that is over.
pub fn unknown() -> OAuthError {
    OAuthError::plain(ErrorCode::InvalidGrant)
}

/// A code that came twice.
pub fn replayed() -> OAuthError {
    OAuthError::new(ErrorCode::InvalidGrant, "The authorization code has already been used.")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]
mod tests {
    use super::super::samples::{LIFESPANS, client, session};
    use super::*;

    const URI: Option<&str> = Some("https://a/cb");
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: Option<&str> = Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    const GOOD: Code<'_> = Code {
        client_id: "c",
        redirect_uri: URI,
        code_challenge: CHALLENGE,
        spent: false,
        expired: false,
        revoked: false,
    };
    const SENT: Request<'_> = Request { redirect_uri: URI, code_verifier: Some(VERIFIER) };

    fn decided(code: Code<'_>, sent: Request<'_>) -> Result<Decision, OAuthError> {
        decide(&client(), &code, &session(&["openid", "offline"]), &sent, LIFESPANS)
    }

    #[test]
    fn what_is_issued_follows_from_what_was_granted() {
        for (scope, refresh, id_token) in [
            (vec!["openid", "offline"], true, true),
            (vec!["offline_access", "a"], true, false),
            (vec!["openid", "a"], false, true),
            (vec![], false, false),
        ] {
            let Ok(Decision::Issue(made)) = decide(&client(), &GOOD, &session(&scope), &SENT, LIFESPANS) else {
                panic!("{scope:?} was refused")
            };
            assert_eq!((made.refresh, made.id_token), (refresh, id_token), "{scope:?}");
            assert_eq!((made.scope, made.lifespans.access.as_secs()), (session(&scope).scope, 1));
        }
        let without = Client { grant_types: vec![GRANT_TYPE.to_owned()], ..client() };
        let made = decide(&without, &GOOD, &session(&["offline"]), &SENT, LIFESPANS).unwrap();
        assert!(matches!(made, Decision::Issue(Issue { refresh: false, .. })));
    }

    #[test]
    fn b03_b09_a_strangers_guess_is_refused_and_nothing_more() {
        for (code, sent, why) in [
            (Code { client_id: "d", ..GOOD }, SENT, "Client ID"),
            (Code { client_id: "d", spent: true, ..GOOD }, SENT, "Client ID"),
            (Code { revoked: true, ..GOOD }, SENT, ""),
            (Code { expired: true, ..GOOD }, SENT, ""),
            (GOOD, Request { redirect_uri: None, ..SENT }, "redirect_uri"),
            (GOOD, Request { redirect_uri: Some("https://a/cb/"), ..SENT }, "redirect_uri"),
            (GOOD, Request { code_verifier: None, ..SENT }, "verifier"),
            (Code { code_challenge: None, ..GOOD }, SENT, "PKCE"),
        ] {
            let e = decided(code, sent).unwrap_err();
            assert_eq!(e.code, ErrorCode::InvalidGrant);
            assert!(e.hint.contains(why) && why.is_empty() == e.hint.is_empty(), "{} for {why}", e.hint);
        }
    }

    #[test]
    fn b01_a_spent_code_of_this_client_is_a_replay_whatever_else_is_wrong() {
        let spent = Code { spent: true, ..GOOD };
        for (code, sent) in
            [(spent, SENT), (spent, Request::default()), (Code { expired: true, revoked: true, ..spent }, SENT)]
        {
            assert_eq!(decided(code, sent), Ok(Decision::Replayed));
        }
    }

    #[test]
    fn a_redirect_uri_that_was_not_asked_with_is_not_looked_at() {
        let code = Code { redirect_uri: None, ..GOOD };
        assert!(decided(code, SENT).is_ok() && decided(code, Request { redirect_uri: None, ..SENT }).is_ok());
    }
}
