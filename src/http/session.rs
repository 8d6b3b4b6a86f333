//! What tokens are to say, at rest: sealed to its row, or, where the operator says so, in the clear.

use super::{ApiError, App};
use crate::crypto::seal::{SealError, aad};
use crate::domain::token::expiry_hour::hash_in;
use crate::domain::token::session::{AccessSession, TokenSession};
use crate::store::{AccessKey, AccessToken};
use crate::telemetry::labels::SecretKind;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// First byte of what is stored in the clear; a sealed envelope begins with its version.
const CLEAR: u8 = 0;

/// In whose rows it lies: what was sealed for one row opens in no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Access tokens.
    Access,
    /// Authorization codes.
    Code,
    /// Refresh tokens.
    Refresh,
    /// Devices' requests.
    Device,
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Code => "authorization_code",
            Self::Refresh => "refresh_token",
            Self::Device => "device_request",
        }
    }
}

/// The bytes to store in the row of a code, a refresh token or a device, by the row's key.
///
/// # Errors
/// 503 without randomness.
pub fn close_tokens(app: &App, table: Table, row: &[u8], session: &TokenSession) -> Result<Vec<u8>, ApiError> {
    close(app, table, row, session)
}

/// What [`close_tokens`] stored; `None` when the secret that sealed it was dropped, which ends the code or token.
///
/// # Errors
/// 500 when it was tampered with, or lies in the clear although it is to be sealed.
pub fn open_tokens(app: &App, table: Table, row: &[u8], sealed: &[u8]) -> Result<Option<TokenSession>, ApiError> {
    open(app, table, row, sealed)
}

/// The bytes to store in an access token's row; none when there is nothing to keep.
///
/// # Errors
/// 503 without randomness.
pub fn close_access(app: &App, row: &AccessKey, session: &AccessSession) -> Result<Vec<u8>, ApiError> {
    if session.is_empty() { Ok(Vec::new()) } else { close(app, Table::Access, hash_in(row), session) }
}

/// What an access token's row keeps; `None` when the secret that sealed it was dropped, which ends the token.
///
/// # Errors
/// 500 when it was tampered with, or lies in the clear although it is to be sealed.
pub fn open_access(app: &App, row: &AccessToken) -> Result<Option<AccessSession>, ApiError> {
    if row.session.is_empty() {
        return Ok(Some(AccessSession::default()));
    }
    open(app, Table::Access, hash_in(&row.signature), &row.session)
}

fn close(app: &App, table: Table, row: &[u8], session: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    let plain = serde_json::to_vec(session).map_err(|e| ApiError::Internal(e.to_string()))?;
    if !app.rules.encrypt_sessions {
        return Ok([&[CLEAR], plain.as_slice()].concat());
    }
    let sealed = app.sessions.seal(&app.entropy.bytes()?, &aad(table.name(), "session", row), &plain);
    sealed.map_err(|e| ApiError::Internal(e.to_string()))
}

fn open<T: DeserializeOwned>(app: &App, table: Table, row: &[u8], sealed: &[u8]) -> Result<Option<T>, ApiError> {
    let broken = |why: String| ApiError::Internal(format!("session data of {}: {why}", table.name()));
    let read = |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|e| broken(e.to_string()));
    match sealed.split_first() {
        Some((&CLEAR, plain)) if !app.rules.encrypt_sessions => read(plain).map(Some),
        _ => match app.sessions.open(&aad(table.name(), "session", row), sealed) {
            Ok(opened) => {
                app.metrics.opened_with(SecretKind::System, opened.generation);
                read(&opened.plain).map(Some)
            }
            Err(SealError::UnknownKey) => Ok(None),
            Err(e) => Err(broken(e.to_string())),
        },
    }
}
