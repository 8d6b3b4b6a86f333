//! Rows to records: times, UUIDs and lists as SQLite has them.

use crate::domain::world::Timestamp;
use crate::store::{
    AccessToken, AuthorizationCode, ClientRecord, Consent, DeviceRequest, FoundCode, FoundRefresh, KeyRow,
    LoginSession, LogoutDelivery, RefreshToken,
};
use rusqlite::types::Type;
use rusqlite::{Error, Row};
use uuid::Uuid;

/// A list as JSON text.
pub(super) fn list_text(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}

fn moment(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_micros)
}

fn moment_if_any(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
}

/// A column with a UUID.
pub(super) fn uuid(row: &Row<'_>, column: &str) -> rusqlite::Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

fn uuid_if_any(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Uuid>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(Uuid::from_bytes))
}

fn list(row: &Row<'_>, column: &str) -> rusqlite::Result<Vec<String>> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|_| Error::InvalidColumnType(0, column.to_owned(), Type::Text))
}

/// A row of `client`.
pub(super) fn client(row: &Row<'_>) -> rusqlite::Result<ClientRecord> {
    Ok(ClientRecord {
        id: row.get("id")?,
        name: row.get("name")?,
        owner: row.get("owner")?,
        document: row.get("document")?,
        secret_hash: row.get("secret_hash")?,
        rotated_secret_hashes: list(row, "rotated_secret_hashes")?,
        registration_token_hash: row.get("registration_token_hash")?,
        family_id: uuid(row, "family_id")?,
        has_remembered_consent: row.get("has_remembered_consent")?,
        version: row.get("version")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}

/// A row of `access_token`.
pub(super) fn access_token(row: &Row<'_>) -> rusqlite::Result<AccessToken> {
    Ok(AccessToken {
        signature: row.get("signature")?,
        family_id: uuid(row, "family_id")?,
        client_id: row.get("client_id")?,
        subject: row.get("subject")?,
        scope: list(row, "scope")?,
        audience: list(row, "audience")?,
        requested_at: moment(row, "requested_at")?,
        expires_at: moment(row, "expires_at")?,
        session: row.get("session")?,
    })
}

/// A row of `refresh_token` with `expired` and `revoked`, found at that moment.
pub(super) fn found_refresh(row: &Row<'_>, now: Timestamp) -> rusqlite::Result<FoundRefresh> {
    let token = RefreshToken {
        signature: row.get("signature")?,
        family_id: uuid(row, "family_id")?,
        client_id: row.get("client_id")?,
        subject: row.get("subject")?,
        scope: list(row, "scope")?,
        audience: list(row, "audience")?,
        requested_at: moment(row, "requested_at")?,
        expires_at: moment_if_any(row, "expires_at")?,
        access_token: row.get("access_token")?,
        session: row.get("session")?,
    };
    Ok(FoundRefresh {
        token,
        used_at: moment_if_any(row, "used_at")?,
        replayed: row.get("replayed")?,
        successor: row.get("successor")?,
        expired: row.get("expired")?,
        revoked: row.get("revoked")?,
        now,
    })
}

/// A row of `authorization_code` with `expired` and `revoked`.
pub(super) fn found_code(row: &Row<'_>) -> rusqlite::Result<FoundCode> {
    let code = AuthorizationCode {
        signature: row.get("signature")?,
        family_id: uuid(row, "family_id")?,
        client_id: row.get("client_id")?,
        redirect_uri: row.get("redirect_uri")?,
        code_challenge: row.get("code_challenge")?,
        expires_at: moment(row, "expires_at")?,
        session: row.get("session")?,
    };
    let spent = moment_if_any(row, "spent_at")?.is_some();
    Ok(FoundCode { code, spent, expired: row.get("expired")?, revoked: row.get("revoked")? })
}

/// A row of `login_session`.
pub(super) fn login_session(row: &Row<'_>) -> rusqlite::Result<LoginSession> {
    Ok(LoginSession {
        id: uuid(row, "id")?,
        subject: row.get("subject")?,
        authenticated_at: moment(row, "authenticated_at")?,
        expires_at: moment(row, "expires_at")?,
        identity_provider_session_id: row.get("identity_provider_session_id")?,
    })
}

/// A row of `consent`.
pub(super) fn consent(row: &Row<'_>) -> rusqlite::Result<Consent> {
    Ok(Consent {
        id: uuid(row, "id")?,
        client_id: row.get("client_id")?,
        subject: row.get("subject")?,
        session_id: uuid(row, "session_id")?,
        scope: list(row, "scope")?,
        audience: list(row, "audience")?,
        skipped: row.get("skipped")?,
        remember: row.get("remember")?,
        remember_until: moment_if_any(row, "remember_until")?,
        requested_at: moment(row, "requested_at")?,
        handled_at: moment(row, "handled_at")?,
        detail: row.get("detail")?,
    })
}

/// A row of `device`.
pub(super) fn device(row: &Row<'_>) -> rusqlite::Result<DeviceRequest> {
    Ok(DeviceRequest {
        signature: row.get("signature")?,
        user_code: row.get("user_code")?,
        client_id: row.get("client_id")?,
        scope: list(row, "scope")?,
        audience: list(row, "audience")?,
        requested_at: moment(row, "requested_at")?,
        expires_at: moment(row, "expires_at")?,
        interval: row.get("poll_interval")?,
        flow_id: uuid_if_any(row, "flow_id")?,
    })
}

/// A row of `logout_delivery`.
pub(super) fn delivery(row: &Row<'_>) -> rusqlite::Result<LogoutDelivery> {
    Ok(LogoutDelivery {
        id: uuid(row, "id")?,
        client_id: row.get("client_id")?,
        uri: row.get("uri")?,
        subject: row.get("subject")?,
        session_id: uuid(row, "session_id")?,
        attempts: row.get("attempts")?,
    })
}

/// A row of `json_web_key`.
pub(super) fn key(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        set: row.get("set_id")?,
        kid: row.get("kid")?,
        alg: row.get("alg")?,
        sealed: row.get("sealed")?,
        created_at: moment(row, "created_at")?,
        activates_at: moment(row, "activates_at")?,
        retires_at: moment_if_any(row, "retires_at")?,
    })
}
