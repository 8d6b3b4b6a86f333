//! Signing with our own keys. A slow signature waits for its turn: whoever waits too long is better told to come again.

use super::{ApiError, App};
use crate::crypto::jose::SigningKey;
use crate::telemetry::traces;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// How long a slow signature may wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// The key that signs for a set at this moment.
///
/// # Errors
/// 503 while there is none.
pub fn signer(app: &App, set: &str) -> Result<SigningKey, ApiError> {
    let ring = app.keys.borrow().clone();
    let key = ring.signer(set, app.clock.now()).cloned();
    key.ok_or_else(|| ApiError::Unavailable("there is no signing key yet".to_owned()))
}

/// Signs claims into a compact JWT.
///
/// # Errors
/// 503 when too many are being signed.
pub async fn jwt(app: &App, key: SigningKey, claims: &impl Serialize) -> Result<String, ApiError> {
    typed(app, key, "JWT", claims).await
}

/// The same with another `typ` in its header.
///
/// # Errors
/// As [`jwt()`].
pub async fn typed(app: &App, key: SigningKey, typ: &'static str, claims: &impl Serialize) -> Result<String, ApiError> {
    let internal = |e: &dyn std::fmt::Display| ApiError::Internal(e.to_string());
    if !key.is_slow() {
        return key.sign_jwt(typ, claims).map_err(|e| internal(&e));
    }
    let claims = serde_json::to_vec(claims).map_err(|e| internal(&e))?;
    slowly(app, key, typ, claims).instrument(traces::span("jwt.sign")).await
}

/// Waits for its turn, and leaves this thread to others.
async fn slowly(app: &App, key: SigningKey, typ: &'static str, claims: Vec<u8>) -> Result<String, ApiError> {
    let internal = |e: &dyn std::fmt::Display| ApiError::Internal(e.to_string());
    let waiting = tokio::time::timeout(PATIENCE, Arc::clone(&app.sign_permits).acquire_owned()).await;
    let permit = waiting.map_err(|_| ApiError::Unavailable("too many tokens are being signed".to_owned()))?;
    let permit = permit.map_err(|e| internal(&e))?;
    let work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        key.sign_payload(typ, claims)
    });
    work.await.map_err(|e| internal(&e))?.map_err(|e| internal(&e))
}
