//! Clients in PostgreSQL.

use super::faults::Fault;
use super::rows::{self, Moment};
use super::{PostgresStore, ended, feed, run};
use crate::store::{Change, ClientPage, ClientRecord, ClientStore, Replaced, StoreError};
use async_trait::async_trait;
use deadpool_postgres::Object;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

const INSERT: &str = "
    WITH c AS (
        INSERT INTO client (nid, id, name, owner, document, secret_hash, rotated_secret_hashes,
                            registration_token_hash, family_id, version, created_at, updated_at, has_remembered_consent)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13))
    INSERT INTO token_family (id, nid, client_id, subject, shared, version) VALUES ($9, $1, $2, $2, true, 1)";

async fn insert(conn: &Object, nid: Uuid, c: &ClientRecord) -> Result<(), Fault> {
    let statement = conn.prepare_cached(INSERT).await?;
    let rotated = rows::list_text(&c.rotated_secret_hashes);
    let (created, updated) = (Moment(c.created_at), Moment(c.updated_at));
    let values: [&(dyn ToSql + Sync); 13] = [
        &nid,
        &c.id,
        &c.name,
        &c.owner,
        &c.document,
        &c.secret_hash,
        &rotated,
        &c.registration_token_hash,
        &c.family_id,
        &c.version,
        &created,
        &updated,
        &c.has_remembered_consent,
    ];
    conn.execute(&statement, &values).await?;
    Ok(())
}

const BY_ID: &str = "
    SELECT id, name, owner, document, secret_hash, rotated_secret_hashes, registration_token_hash, family_id, version,
           created_at, updated_at, has_remembered_consent
    FROM client WHERE nid = $1 AND id = $2";

async fn by_id(conn: &Object, nid: Uuid, id: &str) -> Result<Option<ClientRecord>, Fault> {
    let statement = conn.prepare_cached(BY_ID).await?;
    conn.query_opt(&statement, &[&nid, &id]).await?.as_ref().map(rows::client).transpose()
}

const LIST: &str = "
    SELECT id, name, owner, document, secret_hash, rotated_secret_hashes, registration_token_hash, family_id, version,
           created_at, updated_at, has_remembered_consent
    FROM client
    WHERE nid = $1 AND ($2::text IS NULL OR id > $2) AND ($3::text IS NULL OR name = $3)
          AND ($4::text IS NULL OR owner = $4)
    ORDER BY id LIMIT $5";

async fn list(conn: &Object, nid: Uuid, page: &ClientPage) -> Result<Vec<ClientRecord>, Fault> {
    let statement = conn.prepare_cached(LIST).await?;
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    let found = conn.query(&statement, &[&nid, &page.after, &page.name, &page.owner, &limit]).await?;
    found.iter().map(rows::client).collect()
}

const REPLACE: &str = "
    WITH c AS (
        UPDATE client SET name = $4, owner = $5, document = $6, secret_hash = $7, rotated_secret_hashes = $8,
                          registration_token_hash = $9, version = version + 1, created_at = $10, updated_at = $11
        WHERE nid = $1 AND id = $2 AND version = $3 RETURNING id)
    SELECT pg_notify('signet_change', $12) FROM c";
const EXISTS: &str = "SELECT 1 FROM client WHERE nid = $1 AND id = $2";

async fn replace(conn: &Object, nid: Uuid, c: &ClientRecord, expected: i64) -> Result<Replaced, Fault> {
    let statement = conn.prepare_cached(REPLACE).await?;
    let rotated = rows::list_text(&c.rotated_secret_hashes);
    let (created, updated) = (Moment(c.created_at), Moment(c.updated_at));
    let payload = feed::client_payload(&c.id);
    let values: [&(dyn ToSql + Sync); 12] = [
        &nid,
        &c.id,
        &expected,
        &c.name,
        &c.owner,
        &c.document,
        &c.secret_hash,
        &rotated,
        &c.registration_token_hash,
        &created,
        &updated,
        &payload,
    ];
    if !conn.query(&statement, &values).await?.is_empty() {
        return Ok(Replaced::Done);
    }
    let statement = conn.prepare_cached(EXISTS).await?;
    Ok(match conn.query_opt(&statement, &[&nid, &c.id]).await? {
        Some(_) => Replaced::Stale,
        None => Replaced::Missing,
    })
}

const NOTE_REMEMBERED: &str = "
    WITH c AS (
        UPDATE client SET has_remembered_consent = true
        WHERE nid = $1 AND id = $2 AND NOT has_remembered_consent RETURNING id)
    SELECT pg_notify('signet_change', $3) FROM c";

async fn note_remembered(conn: &Object, nid: Uuid, id: &str) -> Result<bool, Fault> {
    let statement = conn.prepare_cached(NOTE_REMEMBERED).await?;
    Ok(!conn.query(&statement, &[&nid, &id, &feed::client_payload(id)]).await?.is_empty())
}

/// Waits for issues under way, which share the row; whoever comes later finds it gone.
const DELETE: &str = "DELETE FROM client WHERE nid = $1 AND id = $2";

async fn delete(conn: &mut Object, nid: Uuid, id: &str) -> Result<bool, Fault> {
    let tx = conn.transaction().await?;
    let statement = tx.prepare_cached(DELETE).await?;
    if tx.execute(&statement, &[&nid, &id]).await? == 0 {
        return Ok(false);
    }
    ended::end_families(&tx, nid, id).await?;
    ended::delete_dead(&tx, nid, id).await?;
    ended::delete_left(&tx, nid, id).await?;
    feed::notify(&tx, &feed::client_payload(id)).await?;
    tx.commit().await?;
    Ok(true)
}

#[async_trait]
impl ClientStore for PostgresStore {
    async fn create_client(&self, record: &ClientRecord) -> Result<(), StoreError> {
        let nid = self.nid().await?;
        self.delete_all_left(nid, &record.id).await?;
        run!(self, |conn| insert(&*conn, nid, record))
    }

    async fn client(&self, id: &str) -> Result<Option<ClientRecord>, StoreError> {
        // PostgreSQL has no NUL in text, so no client has it in its id.
        if id.contains('\0') {
            return Ok(None);
        }
        let nid = self.nid().await?;
        run!(self, |conn| by_id(&*conn, nid, id))
    }

    async fn clients(&self, page: &ClientPage) -> Result<Vec<ClientRecord>, StoreError> {
        if [&page.after, &page.name, &page.owner].iter().any(|text| text.as_deref().is_some_and(|t| t.contains('\0'))) {
            return Ok(Vec::new());
        }
        let nid = self.nid().await?;
        run!(self, |conn| list(&*conn, nid, page))
    }

    async fn replace_client(&self, record: &ClientRecord, expected: i64) -> Result<Replaced, StoreError> {
        let nid = self.nid().await?;
        let outcome = run!(self, |conn| replace(&*conn, nid, record, expected))?;
        if outcome == Replaced::Done {
            self.tell(Change::Client(record.id.clone()));
        }
        Ok(outcome)
    }

    async fn note_remembered_consent(&self, id: &str) -> Result<(), StoreError> {
        let nid = self.nid().await?;
        if run!(self, |conn| note_remembered(&*conn, nid, id))? {
            self.tell(Change::Client(id.to_owned()));
        }
        Ok(())
    }

    async fn delete_client(&self, id: &str) -> Result<bool, StoreError> {
        if id.contains('\0') {
            return Ok(false);
        }
        let nid = self.nid().await?;
        let was_there = self.client(id).await?.is_some();
        self.end_most_families(nid, id).await?;
        let deleted = match run!(self, |conn| delete(conn, nid, id)) {
            // The answer to the commit may have been lost: whoever asks again must not hear that there was no client.
            Err(error) if !was_there || self.client(id).await != Ok(None) => return Err(error),
            outcome => outcome.unwrap_or(true),
        };
        if deleted {
            self.tell(Change::Client(id.to_owned()));
            self.delete_rest(nid, id).await;
        }
        Ok(deleted)
    }
}
