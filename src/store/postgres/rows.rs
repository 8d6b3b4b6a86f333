//! Rows to records, and the port's times as PostgreSQL has them.

use super::faults::Fault;
use crate::domain::world::Timestamp;
use crate::store::{
    AccessKey, AccessToken, AuthorizationCode, ClientRecord, Consent, DeviceRequest, FoundCode, FoundRefresh, KeyRow,
    LoginSession, LogoutDelivery, RefreshToken,
};
use bytes::{BufMut, BytesMut};
use std::error::Error;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// PostgreSQL counts from 2000-01-01: microseconds since the Unix epoch.
const EPOCH: i64 = 946_684_800_000_000;
/// The first and the last moment it knows, in its own count.
const RANGE: (i64, i64) = (-211_813_488_000_000_000, 9_223_371_331_199_999_999);

/// A moment on its way to or from `timestamptz`. Moments out of range become the nearest one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(pub(super) Timestamp);

impl ToSql for Moment {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(self.0.micros().saturating_sub(EPOCH).clamp(RANGE.0, RANGE.1));
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Moment {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        Ok(Self(Timestamp::from_micros(micros.saturating_add(EPOCH))))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// A list as JSON text.
pub(super) fn list_text(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}

fn list(row: &Row, column: &str) -> Result<Vec<String>, Fault> {
    serde_json::from_str(row.try_get(column)?).map_err(|_| Fault::Corrupt(format!("column {column} is no list")))
}

/// A column of 32 bytes.
pub(super) fn hash(row: &Row, column: &str) -> Result<[u8; 32], Fault> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| Fault::Corrupt(format!("column {column} is not 32 bytes")))
}

/// A column with the key of an access token.
pub(super) fn access_key(row: &Row, column: &str) -> Result<AccessKey, Fault> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| Fault::Corrupt(format!("column {column} is not 34 bytes")))
}

/// A column with a count.
pub(super) fn count(row: &Row, column: &str) -> Result<u32, Fault> {
    let count: i32 = row.try_get(column)?;
    u32::try_from(count).map_err(|_| Fault::Corrupt(format!("column {column} is negative")))
}

/// A count as PostgreSQL has it; one that is too great becomes the greatest.
pub(super) fn int(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn moment_if_any(row: &Row, column: &str) -> Result<Option<Timestamp>, Fault> {
    Ok(row.try_get::<_, Option<Moment>>(column)?.map(|m| m.0))
}

/// A column with a moment.
pub(super) fn moment(row: &Row, column: &str) -> Result<Timestamp, Fault> {
    Ok(row.try_get::<_, Moment>(column)?.0)
}

/// A row of `client`.
pub(super) fn client(row: &Row) -> Result<ClientRecord, Fault> {
    Ok(ClientRecord {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        owner: row.try_get("owner")?,
        document: row.try_get("document")?,
        secret_hash: row.try_get("secret_hash")?,
        rotated_secret_hashes: list(row, "rotated_secret_hashes")?,
        registration_token_hash: row.try_get("registration_token_hash")?,
        family_id: row.try_get("family_id")?,
        has_remembered_consent: row.try_get("has_remembered_consent")?,
        version: row.try_get("version")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}

/// A row of `access_token`.
pub(super) fn access_token(row: &Row) -> Result<AccessToken, Fault> {
    Ok(AccessToken {
        signature: access_key(row, "signature")?,
        family_id: row.try_get("family_id")?,
        client_id: row.try_get("client_id")?,
        subject: row.try_get("subject")?,
        scope: list(row, "scope")?,
        audience: list(row, "audience")?,
        requested_at: moment(row, "requested_at")?,
        expires_at: moment(row, "expires_at")?,
        session: row.try_get("session")?,
    })
}

/// A row of `refresh_token` with `now`, `expired` and `revoked`.
pub(super) fn found_refresh(row: &Row) -> Result<FoundRefresh, Fault> {
    let token = RefreshToken {
        signature: hash(row, "signature")?,
        family_id: row.try_get("family_id")?,
        client_id: row.try_get("client_id")?,
        subject: row.try_get("subject")?,
        scope: list(row, "scope")?,
        audience: list(row, "audience")?,
        requested_at: moment(row, "requested_at")?,
        expires_at: moment_if_any(row, "expires_at")?,
        access_token: access_key(row, "access_token")?,
        session: row.try_get("session")?,
    };
    Ok(FoundRefresh {
        token,
        used_at: moment_if_any(row, "used_at")?,
        replayed: count(row, "replayed")?,
        successor: row.try_get("successor")?,
        expired: row.try_get("expired")?,
        revoked: row.try_get("revoked")?,
        now: moment(row, "now")?,
    })
}

/// A row of `authorization_code` with `expired` and `revoked`.
pub(super) fn found_code(row: &Row) -> Result<FoundCode, Fault> {
    let code = AuthorizationCode {
        signature: hash(row, "signature")?,
        family_id: row.try_get("family_id")?,
        client_id: row.try_get("client_id")?,
        redirect_uri: row.try_get("redirect_uri")?,
        code_challenge: row.try_get("code_challenge")?,
        expires_at: moment(row, "expires_at")?,
        session: row.try_get("session")?,
    };
    let spent = moment_if_any(row, "spent_at")?.is_some();
    Ok(FoundCode { code, spent, expired: row.try_get("expired")?, revoked: row.try_get("revoked")? })
}

/// A row of `login_session`.
pub(super) fn login_session(row: &Row) -> Result<LoginSession, Fault> {
    Ok(LoginSession {
        id: row.try_get("id")?,
        subject: row.try_get("subject")?,
        authenticated_at: moment(row, "authenticated_at")?,
        expires_at: moment(row, "expires_at")?,
        identity_provider_session_id: row.try_get("identity_provider_session_id")?,
    })
}

/// A row of `consent`.
pub(super) fn consent(row: &Row) -> Result<Consent, Fault> {
    Ok(Consent {
        id: row.try_get("id")?,
        client_id: row.try_get("client_id")?,
        subject: row.try_get("subject")?,
        session_id: row.try_get("session_id")?,
        scope: list(row, "scope")?,
        audience: list(row, "audience")?,
        skipped: row.try_get("skipped")?,
        remember: row.try_get("remember")?,
        remember_until: moment_if_any(row, "remember_until")?,
        requested_at: moment(row, "requested_at")?,
        handled_at: moment(row, "handled_at")?,
        detail: row.try_get("detail")?,
    })
}

/// A row of `device`.
pub(super) fn device(row: &Row) -> Result<DeviceRequest, Fault> {
    Ok(DeviceRequest {
        signature: hash(row, "signature")?,
        user_code: hash(row, "user_code")?,
        client_id: row.try_get("client_id")?,
        scope: list(row, "scope")?,
        audience: list(row, "audience")?,
        requested_at: moment(row, "requested_at")?,
        expires_at: moment(row, "expires_at")?,
        interval: count(row, "poll_interval")?,
        flow_id: row.try_get("flow_id")?,
    })
}

/// A row of `logout_delivery`.
pub(super) fn delivery(row: &Row) -> Result<LogoutDelivery, Fault> {
    Ok(LogoutDelivery {
        id: row.try_get("id")?,
        client_id: row.try_get("client_id")?,
        uri: row.try_get("uri")?,
        subject: row.try_get("subject")?,
        session_id: row.try_get("session_id")?,
        attempts: count(row, "attempts")?,
    })
}

/// A row of `json_web_key`.
pub(super) fn key(row: &Row) -> Result<KeyRow, Fault> {
    Ok(KeyRow {
        set: row.try_get("set_id")?,
        kid: row.try_get("kid")?,
        alg: row.try_get("alg")?,
        sealed: row.try_get("sealed")?,
        created_at: moment(row, "created_at")?,
        activates_at: moment(row, "activates_at")?,
        retires_at: moment_if_any(row, "retires_at")?,
    })
}
