//! Rows to records, and the port's times as PostgreSQL has them.

use super::faults::Fault;
use crate::domain::world::Timestamp;
use crate::store::{AccessToken, ClientRecord, KeyRow};
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

fn moment(row: &Row, column: &str) -> Result<Timestamp, Fault> {
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
        version: row.try_get("version")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}

/// A row of `access_token`.
pub(super) fn access_token(row: &Row) -> Result<AccessToken, Fault> {
    let signature: &[u8] = row.try_get("signature")?;
    Ok(AccessToken {
        signature: signature.try_into().map_err(|_| Fault::Corrupt("a signature is not 32 bytes".to_owned()))?,
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

/// A row of `json_web_key`.
pub(super) fn key(row: &Row) -> Result<KeyRow, Fault> {
    Ok(KeyRow {
        set: row.try_get("set_id")?,
        kid: row.try_get("kid")?,
        alg: row.try_get("alg")?,
        sealed: row.try_get("sealed")?,
        created_at: moment(row, "created_at")?,
        activates_at: moment(row, "activates_at")?,
        retires_at: row.try_get::<_, Option<Moment>>("retires_at")?.map(|m| m.0),
    })
}
