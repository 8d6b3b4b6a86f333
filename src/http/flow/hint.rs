//! `id_token_hint` (OpenID Connect Core §3.1.2.1): an ID token of ours, of whatever age.

use super::super::App;
use crate::actors::key_manager::ID_TOKEN_SET;
use crate::crypto::jose::{Claims, Unverified};
use crate::domain::error::{ErrorCode, OAuthError};

fn bad(hint: &str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, hint)
}

/// Reads a hint. Any published key will do; it may have expired, but must not be a token of another kind.
///
/// # Errors
/// `invalid_request`.
pub fn read(app: &App, token: &str) -> Result<Claims, OAuthError> {
    let malformed = || bad("The 'id_token_hint' is not an ID token of this server.");
    let token = Unverified::parse(token).map_err(|_| malformed())?;
    if token.header.typ.as_deref().is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt")) {
        return Err(malformed());
    }
    let ring = app.keys.borrow().clone();
    let key = token.header.kid.as_deref().and_then(|kid| ring.verifying(ID_TOKEN_SET, kid)).ok_or_else(malformed)?;
    let claims = token.verify_with(key).map_err(|_| malformed())?;
    if claims.0.contains_key("events") || claims.str("iss") != Some(app.rules.issuer.as_str()) {
        return Err(malformed());
    }
    Ok(claims)
}
