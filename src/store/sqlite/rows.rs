//! Rows to records: times, UUIDs and lists as SQLite has them.

use crate::domain::world::Timestamp;
use crate::store::{AccessToken, ClientRecord, KeyRow, StoreError};
use rusqlite::Row;
use uuid::Uuid;

/// A list as JSON text.
pub(super) fn list_text(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}

fn moment(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_micros)
}

fn uuid(row: &Row<'_>, column: &str) -> rusqlite::Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

fn list(row: &Row<'_>, column: &str) -> Result<Vec<String>, StoreError> {
    let text: String = row.get(column).map_err(super::faults::store_error)?;
    serde_json::from_str(&text).map_err(|_| StoreError::Corrupt(format!("column {column} is no list")))
}

/// A row of `client`.
pub(super) fn client(row: &Row<'_>) -> Result<ClientRecord, StoreError> {
    let rotated_secret_hashes = list(row, "rotated_secret_hashes")?;
    let plain = || -> rusqlite::Result<ClientRecord> {
        Ok(ClientRecord {
            id: row.get("id")?,
            name: row.get("name")?,
            owner: row.get("owner")?,
            document: row.get("document")?,
            secret_hash: row.get("secret_hash")?,
            rotated_secret_hashes,
            registration_token_hash: row.get("registration_token_hash")?,
            family_id: uuid(row, "family_id")?,
            version: row.get("version")?,
            created_at: moment(row, "created_at")?,
            updated_at: moment(row, "updated_at")?,
        })
    };
    plain().map_err(super::faults::store_error)
}

/// A row of `access_token`.
pub(super) fn access_token(row: &Row<'_>) -> Result<AccessToken, StoreError> {
    let (scope, audience) = (list(row, "scope")?, list(row, "audience")?);
    let plain = || -> rusqlite::Result<AccessToken> {
        Ok(AccessToken {
            signature: row.get("signature")?,
            family_id: uuid(row, "family_id")?,
            client_id: row.get("client_id")?,
            subject: row.get("subject")?,
            scope,
            audience,
            requested_at: moment(row, "requested_at")?,
            expires_at: moment(row, "expires_at")?,
            session: row.get("session")?,
        })
    };
    plain().map_err(super::faults::store_error)
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
        retires_at: row.get::<_, Option<i64>>("retires_at")?.map(Timestamp::from_micros),
    })
}
