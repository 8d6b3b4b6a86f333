//! Tokens that somebody presents: whether they are ours, and which row they have. What is not ours costs no query.

use super::{ApiError, App};
use crate::actors::key_manager::ACCESS_TOKEN_SET;
use crate::crypto::jose::Unverified;
use crate::domain::token::jwt;
use crate::domain::token::opaque::{Presented, TokenKind};
use crate::store::{AccessKey, SignatureHash};
use crate::telemetry::labels::SecretKind;
use std::time::Duration;

/// Keys are read every five seconds; older than this they say nothing of a key that is not among them.
const KEYS_ARE_OLD: Duration = Duration::from_secs(15);

/// Which row a token has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// An access token's.
    Access(AccessKey),
    /// A refresh token's.
    Refresh(SignatureHash),
}

/// An opaque token of that kind that we made.
pub fn opaque(app: &App, kind: TokenKind, token: &str) -> Option<Presented> {
    let found = app.opaque.present(kind, token)?;
    app.metrics.opened_with(SecretKind::System, found.generation);
    Some(found)
}

/// The row of an access token that we made, opaque or signed.
///
/// # Errors
/// 503 for a signed token while this process has not read any key, or not for some time: it may be ours.
pub fn access(app: &App, token: &str) -> Result<Option<AccessKey>, ApiError> {
    if let Some(found) = app.opaque.present_access(token) {
        app.metrics.opened_with(SecretKind::System, found.generation);
        return Ok(Some(found.key));
    }
    let Ok(unverified) = Unverified::parse(token) else { return Ok(None) };
    let ring = app.keys.borrow().clone();
    if ring.is_empty() {
        return Err(ApiError::Unavailable("there are no keys yet to verify the token with".to_owned()));
    }
    let key = unverified.header.kid.as_deref().and_then(|kid| ring.verifying(ACCESS_TOKEN_SET, kid));
    if key.is_none() && app.clock.now().since(ring.read_at) > KEYS_ARE_OLD {
        return Err(ApiError::Unavailable(
            "the keys are out of date; the token may be signed with a newer one".to_owned(),
        ));
    }
    let Some(claims) = key.and_then(|key| unverified.verify_with(key).ok()) else { return Ok(None) };
    Ok(jwt::row_key(token, claims.str("jti").unwrap_or_default()))
}

/// The row of an access or a refresh token that we made. Which of them it is, the token itself proves: a hint of the
/// caller (`token_type_hint`, RFC 7009 §2.1, RFC 7662 §2.1) could add nothing.
///
/// # Errors
/// As [`access`].
pub fn any(app: &App, token: &str) -> Result<Option<Row>, ApiError> {
    match opaque(app, TokenKind::Refresh, token) {
        Some(found) => Ok(Some(Row::Refresh(found.signature))),
        None => Ok(access(app, token)?.map(Row::Access)),
    }
}
