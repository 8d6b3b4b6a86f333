//! Extra claims at rest: sealed to their row, or, where the operator says so, in the clear.

use super::{ApiError, App};
use crate::crypto::seal::{SealError, aad};
use crate::store::{AccessToken, SignatureHash};
use crate::telemetry::labels::SecretKind;
use serde_json::{Map, Value};

/// First byte of claims that are stored in the clear; a sealed envelope begins with its version.
const CLEAR: u8 = 0;

/// The bytes to store; empty when there are no claims.
///
/// # Errors
/// 503 without randomness.
pub fn close(app: &App, row: &SignatureHash, claims: &Map<String, Value>) -> Result<Vec<u8>, ApiError> {
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let plain = serde_json::to_vec(claims).map_err(|e| ApiError::Internal(e.to_string()))?;
    if !app.rules.encrypt_sessions {
        return Ok([&[CLEAR], plain.as_slice()].concat());
    }
    let sealed = app.sessions.seal(&app.entropy.bytes()?, &aad("access_token", "session", row), &plain);
    sealed.map_err(|e| ApiError::Internal(e.to_string()))
}

/// The claims of a row; `None` when the secret that sealed them was dropped, which ends the token.
///
/// # Errors
/// 500 when they were tampered with, or lie in the clear although claims are to be sealed.
pub fn open(app: &App, row: &AccessToken) -> Result<Option<Map<String, Value>>, ApiError> {
    let broken = |why: String| ApiError::Internal(format!("session data of an access token: {why}"));
    let read = |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|e| broken(e.to_string()));
    match row.session.split_first() {
        None => Ok(Some(Map::new())),
        Some((&CLEAR, plain)) if !app.rules.encrypt_sessions => read(plain).map(Some),
        Some(_) => match app.sessions.open(&aad("access_token", "session", &row.signature), &row.session) {
            Ok(opened) => {
                if opened.generation > 0 {
                    app.metrics.old_secret_used(SecretKind::System);
                }
                read(&opened.plain).map(Some)
            }
            Err(SealError::UnknownKey) => Ok(None),
            Err(e) => Err(broken(e.to_string())),
        },
    }
}
