//! Tokens and families ended in PostgreSQL.
//!
//! Invariant: a family's row is held before anything that belongs to it is touched, families in the order of their ids.

use super::faults::Fault;
use crate::store::{Revoke, Revoked};
use deadpool_postgres::GenericClient;
use uuid::Uuid;

/// How many rows of a kind one statement ends or deletes.
const BATCH: i64 = 1000;

const REVOKE: &str = "
    WITH a AS MATERIALIZED (
        SELECT * FROM unnest($2::bytea[], $3::bytea[], $4::text[]) AS a (access, refresh, client_id)),
    found AS MATERIALIZED (
        SELECT t.family_id, t.signature FROM a
        JOIN access_token t ON t.signature = a.access AND t.client_id = a.client_id WHERE t.nid = $1
        UNION ALL
        SELECT t.family_id, NULL FROM a
        JOIN refresh_token t ON t.signature = a.refresh AND t.client_id = a.client_id WHERE t.nid = $1),
    f AS MATERIALIZED (
        SELECT id FROM token_family WHERE id IN (SELECT family_id FROM found) AND NOT shared ORDER BY id FOR UPDATE),
    ended AS (
        UPDATE token_family t SET revoked_at = coalesce(t.revoked_at, clock_timestamp()), version = t.version + 1
        FROM f WHERE t.id = f.id RETURNING t.id),
    held AS MATERIALIZED (
        SELECT signature FROM access_token
        WHERE signature IN (SELECT signature FROM found) AND (SELECT count(*) FROM ended) >= 0
        ORDER BY signature FOR UPDATE)
    DELETE FROM access_token WHERE signature IN (SELECT signature FROM held)";

/// Deletes the access tokens, and revokes the families but for those a client has for itself.
pub(super) async fn revoke_all(db: &impl GenericClient, nid: Uuid, orders: &[&Revoke]) -> Result<(), Fault> {
    if orders.is_empty() {
        return Ok(());
    }
    let statement = db.prepare_cached(REVOKE).await?;
    let access = |o: &&Revoke| if let Revoked::Access(key) = o.token { Some(key.to_vec()) } else { None };
    let refresh = |o: &&Revoke| if let Revoked::Refresh(key) = o.token { Some(key.to_vec()) } else { None };
    let access: Vec<Option<Vec<u8>>> = orders.iter().map(access).collect();
    let refresh: Vec<Option<Vec<u8>>> = orders.iter().map(refresh).collect();
    let clients: Vec<&str> = orders.iter().map(|o| o.client_id.as_str()).collect();
    db.execute(&statement, &[&nid, &access, &refresh, &clients]).await?;
    Ok(())
}

const END: &str = "
    WITH f AS MATERIALIZED (
        SELECT id FROM token_family WHERE id = ANY($2) AND nid = $1 AND NOT shared ORDER BY id FOR UPDATE)
    UPDATE token_family t SET revoked_at = coalesce(t.revoked_at, clock_timestamp()), version = t.version + 1
    FROM f WHERE t.id = f.id";

/// Revokes families but for those a client has for itself.
pub(super) async fn end_all(db: &impl GenericClient, nid: Uuid, families: &[Uuid]) -> Result<(), Fault> {
    if families.is_empty() {
        return Ok(());
    }
    let statement = db.prepare_cached(END).await?;
    db.execute(&statement, &[&nid, &families]).await?;
    Ok(())
}

const END_OF_CLIENT: &str = "
    WITH f AS MATERIALIZED (
        SELECT id FROM token_family WHERE nid = $1 AND client_id = $2 AND revoked_at IS NULL ORDER BY id FOR UPDATE)
    UPDATE token_family t SET revoked_at = clock_timestamp(), version = t.version + 1 FROM f WHERE t.id = f.id";

/// Revokes every family of a client: from the commit on none of its tokens is valid.
pub(super) async fn end_families(db: &impl GenericClient, nid: Uuid, client: &str) -> Result<(), Fault> {
    let statement = db.prepare_cached(END_OF_CLIENT).await?;
    db.execute(&statement, &[&nid, &client]).await?;
    Ok(())
}

/// Rows of a client's revoked families. What another transaction holds is left to it, or to the sweep.
const DEAD: [&str; 4] = [
    "DELETE FROM access_token WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN access_token t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.nid = $1 AND f.client_id = $2 AND f.revoked_at IS NOT NULL LIMIT $3 FOR UPDATE OF t SKIP LOCKED)",
    "DELETE FROM refresh_token WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN refresh_token t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.nid = $1 AND f.client_id = $2 AND f.revoked_at IS NOT NULL LIMIT $3 FOR UPDATE OF t SKIP LOCKED)",
    "DELETE FROM authorization_code WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN authorization_code t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.nid = $1 AND f.client_id = $2 AND f.revoked_at IS NOT NULL LIMIT $3 FOR UPDATE OF t SKIP LOCKED)",
    "DELETE FROM device WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN device t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.nid = $1 AND f.client_id = $2 AND f.revoked_at IS NOT NULL LIMIT $3 FOR UPDATE OF t SKIP LOCKED)",
];

/// What is left of a client that is gone, so that another one of the same id does not find it. One statement sees the
/// new client or none of what belongs to it.
const LEFT: [&str; 3] = [
    "DELETE FROM consent WHERE id IN (
        SELECT id FROM consent WHERE nid = $1 AND client_id = $2
            AND NOT EXISTS (SELECT 1 FROM client WHERE nid = $1 AND id = $2)
        LIMIT $3 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM device WHERE signature IN (
        SELECT signature FROM device WHERE nid = $1 AND client_id = $2
            AND NOT EXISTS (SELECT 1 FROM client WHERE nid = $1 AND id = $2)
        ORDER BY signature LIMIT $3 FOR UPDATE)",
    "DELETE FROM forced_subject WHERE nid = $1 AND client_id = $2 AND subject IN (
        SELECT subject FROM forced_subject WHERE nid = $1 AND client_id = $2
            AND NOT EXISTS (SELECT 1 FROM client WHERE nid = $1 AND id = $2)
        ORDER BY subject LIMIT $3 FOR UPDATE)",
];

/// Deletes a batch of each; whether there may be more.
async fn delete(db: &impl GenericClient, nid: Uuid, client: &str, kinds: &[&str]) -> Result<bool, Fault> {
    let mut more = false;
    for sql in kinds {
        let statement = db.prepare_cached(sql).await?;
        more |= db.execute(&statement, &[&nid, &client, &BATCH]).await? >= BATCH.unsigned_abs();
    }
    Ok(more)
}

/// Deletes a batch of each kind of row of the client's revoked families; whether there may be more.
pub(super) async fn delete_dead(db: &impl GenericClient, nid: Uuid, client: &str) -> Result<bool, Fault> {
    delete(db, nid, client, &DEAD).await
}

/// Deletes a batch of each kind of what a client that is gone has left; whether there may be more.
pub(super) async fn delete_left(db: &impl GenericClient, nid: Uuid, client: &str) -> Result<bool, Fault> {
    delete(db, nid, client, &LEFT).await
}
