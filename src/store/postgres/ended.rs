//! What ends with a client or with its tokens in PostgreSQL: families at once, rows in bounded batches.
//!
//! Invariant: families are held in the order of their ids; a deletion of rows waits for nobody.

use super::faults::Fault;
use super::{PostgresStore, run};
use crate::store::StoreError;
use deadpool_postgres::GenericClient;
use uuid::Uuid;

/// How many families one statement revokes, or rows it deletes.
const BATCH: i64 = 1000;

/// Every statement here goes by a range and an order that only the client's index has: where all rows are one client's, the
/// planner takes any other index of the network for another client too, or the whole table.
const END_FAMILIES: &str = "
    WITH h AS MATERIALIZED (
        SELECT id FROM token_family
        WHERE id = ANY(ARRAY(
                SELECT id FROM token_family
                WHERE nid = $1 AND client_id >= $2 AND client_id <= $2 AND revoked_at IS NULL
                ORDER BY client_id, revoked_at LIMIT $3))
            AND revoked_at IS NULL
        ORDER BY id FOR UPDATE)
    UPDATE token_family SET revoked_at = clock_timestamp(), version = version + 1 WHERE id = ANY(ARRAY(SELECT id FROM h))";

/// Revokes every family of a client whose row the transaction holds: from the commit on none of its tokens is valid. What
/// [`PostgresStore::end_most_families`] has left is one batch, or little more.
pub(super) async fn end_families(db: &impl GenericClient, nid: Uuid, client: &str) -> Result<(), Fault> {
    let statement = db.prepare_cached(END_FAMILIES).await?;
    while db.execute(&statement, &[&nid, &client, &BATCH]).await? >= BATCH.unsigned_abs() {}
    Ok(())
}

/// Leaves the family that a client has for itself, which must not end before the client knows its new one.
const END_SOME: &str = "
    WITH live AS MATERIALIZED (
        SELECT id FROM token_family
        WHERE nid = $1 AND client_id >= $2 AND client_id <= $2 AND revoked_at IS NULL AND NOT shared
        ORDER BY client_id, revoked_at LIMIT $3::bigint + 1),
    h AS MATERIALIZED (
        SELECT id FROM token_family
        WHERE id = ANY(ARRAY(SELECT id FROM live)) AND revoked_at IS NULL AND (SELECT count(*) FROM live) > $3
        ORDER BY id FOR UPDATE)
    UPDATE token_family SET revoked_at = clock_timestamp(), version = version + 1 WHERE id = ANY(ARRAY(SELECT id FROM h))";

/// Revokes a batch of a client's families if one statement is not to revoke all that there are; whether it did.
async fn end_some(db: &impl GenericClient, nid: Uuid, client: &str) -> Result<bool, Fault> {
    let statement = db.prepare_cached(END_SOME).await?;
    Ok(db.execute(&statement, &[&nid, &client, &BATCH]).await? > 0)
}

/// Rows of a client's revoked families, from one family on.
macro_rules! dead {
    ($table:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE signature = ANY(ARRAY(
                SELECT t.signature FROM ",
            $table,
            " t CROSS JOIN LATERAL (
                    SELECT 1 FROM token_family f WHERE f.id = t.family_id AND f.revoked_at IS NOT NULL OFFSET 0) f
                WHERE t.nid = $1 AND (t.client_id, t.family_id) >= ($2, $4) AND t.client_id <= $2
                ORDER BY t.client_id, t.family_id LIMIT $3 FOR UPDATE OF t SKIP LOCKED))
            RETURNING family_id"
        )
    };
}
const DEAD: [&str; 4] = [dead!("access_token"), dead!("refresh_token"), dead!("authorization_code"), dead!("device")];

/// Deletes a batch of dead rows; the family to go on from if there may be more.
async fn delete_some(
    db: &impl GenericClient,
    nid: Uuid,
    client: &str,
    sql: &str,
    from: Uuid,
) -> Result<Option<Uuid>, Fault> {
    let statement = db.prepare_cached(sql).await?;
    let gone = db.query(&statement, &[&nid, &client, &BATCH, &from]).await?;
    let families = gone.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    let full = i64::try_from(families.len()).is_ok_and(|n| n >= BATCH);
    Ok(families.into_iter().max().filter(|_| full))
}

/// Deletes a batch of each kind of row of the client's revoked families.
pub(super) async fn delete_dead(db: &impl GenericClient, nid: Uuid, client: &str) -> Result<(), Fault> {
    for sql in DEAD {
        delete_some(db, nid, client, sql, Uuid::nil()).await?;
    }
    Ok(())
}

/// What is left of a client that is gone, so that another one of the same id does not find it. One statement sees the
/// new client or none of what belongs to it.
const LEFT: [&str; 3] = [
    "DELETE FROM consent WHERE id = ANY(ARRAY(
        SELECT id FROM consent WHERE nid = $1 AND client_id >= $2 AND client_id <= $2
            AND NOT EXISTS (SELECT 1 FROM client WHERE nid = $1 AND id = $2)
        ORDER BY client_id, subject, handled_at LIMIT $3 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM device WHERE signature = ANY(ARRAY(
        SELECT signature FROM device WHERE nid = $1 AND client_id = $2
            AND NOT EXISTS (SELECT 1 FROM client WHERE nid = $1 AND id = $2)
        ORDER BY signature LIMIT $3 FOR UPDATE))",
    "DELETE FROM forced_subject WHERE nid = $1 AND client_id = $2 AND subject = ANY(ARRAY(
        SELECT subject FROM forced_subject WHERE nid = $1 AND client_id = $2
            AND NOT EXISTS (SELECT 1 FROM client WHERE nid = $1 AND id = $2)
        ORDER BY subject LIMIT $3 FOR UPDATE))",
];

/// Deletes a batch of one kind of what a client that is gone has left; whether there may be more.
async fn delete_some_left(db: &impl GenericClient, nid: Uuid, client: &str, sql: &str) -> Result<bool, Fault> {
    let statement = db.prepare_cached(sql).await?;
    Ok(db.execute(&statement, &[&nid, &client, &BATCH]).await? >= BATCH.unsigned_abs())
}

/// Deletes a batch of each kind of what a client that is gone has left.
pub(super) async fn delete_left(db: &impl GenericClient, nid: Uuid, client: &str) -> Result<(), Fault> {
    for sql in LEFT {
        delete_some_left(db, nid, client, sql).await?;
    }
    Ok(())
}

impl PostgresStore {
    /// Revokes a client's families, a batch at a time, until one statement can revoke those that are left.
    pub(super) async fn end_most_families(&self, nid: Uuid, client: &str) -> Result<(), StoreError> {
        while run!(self, |conn| end_some(&*conn, nid, client))? {}
        Ok(())
    }

    /// Deletes the rows of a client's revoked families, a batch at a time.
    pub(super) async fn delete_all_dead(&self, nid: Uuid, client: &str) -> Result<(), StoreError> {
        for sql in DEAD {
            let mut from = Some(Uuid::nil());
            while let Some(family) = from {
                from = run!(self, |conn| delete_some(&*conn, nid, client, sql, family))?;
            }
        }
        Ok(())
    }

    /// Deletes what belonged to a client that is gone. It is not there for anybody any more, so a fault changes nothing:
    /// what stays is swept, or goes before another client of the same id is made.
    pub(super) async fn delete_rest(&self, nid: Uuid, client: &str) {
        let mut done = self.delete_all_dead(nid, client).await;
        if done.is_ok() {
            done = self.delete_all_left(nid, client).await;
        }
        if let Err(error) = done {
            tracing::warn!(%error, client, "rows of a client that was deleted are left for later");
        }
    }

    /// Deletes all that a client that is gone has left, a batch at a time.
    pub(super) async fn delete_all_left(&self, nid: Uuid, client: &str) -> Result<(), StoreError> {
        for sql in LEFT {
            while run!(self, |conn| delete_some_left(&*conn, nid, client, sql))? {}
        }
        Ok(())
    }
}
