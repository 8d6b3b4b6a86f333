//! Tokens in PostgreSQL.
//!
//! Invariant: who issues holds the client's row in share mode from the comparison of its version until the commit, so
//! that a change of the client or its deletion waits, and whoever issues later sees it.

use super::batch::{self, Columns};
use super::faults::Fault;
use super::rows;
use super::{PostgresStore, feed, run};
use crate::store::{AccessToken, Change, Issue, Revoke, SignatureHash, StoreError, TokenStore, Verdict, Write};
use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Object};
use std::collections::HashSet;
use uuid::Uuid;

/// How many dead rows one statement deletes.
const DEAD_BATCH: i64 = 1000;

/// The rows are locked in the order of their ids, so that two batches never wait for each other.
const ISSUE: &str = "
    WITH c AS MATERIALIZED (
        SELECT id, version FROM client WHERE nid = $1 AND id = ANY($2) ORDER BY id FOR SHARE)
    INSERT INTO access_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at,
                              session)
    SELECT a.signature, $1, a.family_id, a.client_id, a.subject, a.scope, a.audience, a.requested_at, a.expires_at,
           a.session
    FROM unnest($3::bytea[], $4::uuid[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[],
                $10::timestamptz[], $11::timestamptz[], $12::bytea[])
         AS a (signature, family_id, client_id, version, subject, scope, audience, requested_at, expires_at, session)
    JOIN c ON c.id = a.client_id AND c.version = a.version
    RETURNING signature";

/// Issues what is asked for by clients that have not changed; the signatures written.
pub(super) async fn issue_all(
    db: &impl GenericClient,
    nid: Uuid,
    orders: &[&Issue],
) -> Result<HashSet<SignatureHash>, Fault> {
    let statement = db.prepare_cached(ISSUE).await?;
    let columns = Columns::of(orders);
    let written = db.query(&statement, &columns.values(&nid)).await?;
    written
        .iter()
        .map(|row| {
            let signature: &[u8] = row.try_get(0)?;
            signature.try_into().map_err(|_| Fault::Corrupt("a signature is not 32 bytes".to_owned()))
        })
        .collect()
}

const REVOKE: &str = "
    WITH found AS MATERIALIZED (
        SELECT t.signature, t.family_id
        FROM unnest($2::bytea[], $3::text[]) AS a (signature, client_id)
        JOIN access_token t ON t.signature = a.signature AND t.client_id = a.client_id
        WHERE t.nid = $1),
    ended AS (
        UPDATE token_family SET revoked_at = coalesce(revoked_at, clock_timestamp()), version = version + 1
        WHERE NOT shared AND id IN (SELECT family_id FROM found))
    DELETE FROM access_token WHERE signature IN (SELECT signature FROM found)";

/// Deletes the tokens, and revokes their families but for those a client has for itself.
pub(super) async fn revoke_all(db: &impl GenericClient, nid: Uuid, orders: &[&Revoke]) -> Result<(), Fault> {
    if orders.is_empty() {
        return Ok(());
    }
    let statement = db.prepare_cached(REVOKE).await?;
    let signatures: Vec<&[u8]> = orders.iter().map(|o| o.signature.as_slice()).collect();
    let clients: Vec<&str> = orders.iter().map(|o| o.client_id.as_str()).collect();
    db.execute(&statement, &[&nid, &signatures, &clients]).await?;
    Ok(())
}

const VALID: &str = "
    SELECT t.signature, t.family_id, t.client_id, t.subject, t.scope, t.audience, t.requested_at, t.expires_at,
           t.session
    FROM access_token t JOIN token_family f ON f.id = t.family_id
    WHERE t.signature = $1 AND t.nid = $2 AND t.expires_at > clock_timestamp() AND f.revoked_at IS NULL";

async fn valid(conn: &Object, nid: Uuid, signature: &SignatureHash) -> Result<Option<AccessToken>, Fault> {
    let statement = conn.prepare_cached(VALID).await?;
    conn.query_opt(&statement, &[&signature.as_slice(), &nid]).await?.as_ref().map(rows::access_token).transpose()
}

const END_FAMILIES: &str = "
    UPDATE token_family SET revoked_at = clock_timestamp(), version = version + 1
    WHERE nid = $1 AND client_id = $2 AND revoked_at IS NULL";

/// Revokes every family of a client: from the commit on none of its tokens is valid.
pub(super) async fn end_families(db: &impl GenericClient, nid: Uuid, client: &str) -> Result<(), Fault> {
    let statement = db.prepare_cached(END_FAMILIES).await?;
    db.execute(&statement, &[&nid, &client]).await?;
    Ok(())
}

const DELETE_DEAD: &str = "
    DELETE FROM access_token WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN access_token t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.nid = $1 AND f.client_id = $2 AND f.revoked_at IS NOT NULL LIMIT $3)";

/// Deletes a batch of tokens of the client's revoked families; whether there may be more.
pub(super) async fn delete_dead(db: &impl GenericClient, nid: Uuid, client: &str) -> Result<bool, Fault> {
    let statement = db.prepare_cached(DELETE_DEAD).await?;
    Ok(db.execute(&statement, &[&nid, &client, &DEAD_BATCH]).await? >= DEAD_BATCH.unsigned_abs())
}

const NEW_FAMILY: &str = "UPDATE client SET family_id = $3, version = version + 1 WHERE nid = $1 AND id = $2";
const INSERT_FAMILY: &str = "
    INSERT INTO token_family (id, nid, client_id, subject, shared, version) VALUES ($1, $2, $3, $3, true, 1)";

/// The client's row first: it waits for issues under way, whose families then end with the others.
async fn renew_family(conn: &mut Object, nid: Uuid, client: &str, family: Uuid) -> Result<bool, Fault> {
    let tx = conn.transaction().await?;
    let statement = tx.prepare_cached(NEW_FAMILY).await?;
    let found = tx.execute(&statement, &[&nid, &client, &family]).await? > 0;
    end_families(&tx, nid, client).await?;
    if found {
        let statement = tx.prepare_cached(INSERT_FAMILY).await?;
        tx.execute(&statement, &[&family, &nid, &client]).await?;
        feed::notify(&tx, &feed::client_payload(client)).await?;
    }
    tx.commit().await?;
    Ok(found)
}

impl PostgresStore {
    /// Deletes the tokens of a client's revoked families, a batch at a time.
    pub(super) async fn delete_all_dead(&self, nid: Uuid, client: &str) -> Result<(), StoreError> {
        while run!(self, |conn| delete_dead(&*conn, nid, client))? {}
        Ok(())
    }
}

#[async_trait]
impl TokenStore for PostgresStore {
    async fn write_tokens(&self, writes: &[Write]) -> Result<Vec<Verdict>, StoreError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let nid = self.nid().await?;
        match batch::shape(writes) {
            batch::Shape::Issues(orders) => {
                let written = run!(self, |conn| issue_all(&*conn, nid, &orders))?;
                Ok(orders.iter().map(|o| batch::verdict(&written, o)).collect())
            }
            batch::Shape::Revokes(orders) => {
                run!(self, |conn| revoke_all(&*conn, nid, &orders))?;
                Ok(vec![Verdict::Done; writes.len()])
            }
            batch::Shape::Mixed => run!(self, |conn| batch::write_mixed(conn, nid, writes)),
        }
    }

    async fn access_token(&self, signature: &SignatureHash) -> Result<Option<AccessToken>, StoreError> {
        let nid = self.nid().await?;
        run!(self, |conn| valid(&*conn, nid, signature))
    }

    async fn delete_tokens_of_client(&self, client_id: &str, new_family: Uuid) -> Result<bool, StoreError> {
        if client_id.contains('\0') {
            return Ok(false);
        }
        let nid = self.nid().await?;
        let found = run!(self, |conn| renew_family(conn, nid, client_id, new_family))?;
        if found {
            self.tell(Change::Client(client_id.to_owned()));
        }
        self.delete_all_dead(nid, client_id).await?;
        Ok(found)
    }
}
