//! Tokens and families ended in PostgreSQL.
//!
//! Invariant: a family's row is held before anything that belongs to it is touched, families in the order of their ids.

use super::faults::Fault;
use crate::store::{Revoke, Revoked};
use deadpool_postgres::GenericClient;
use uuid::Uuid;

const REVOKE: &str = "
    WITH a AS MATERIALIZED (
        SELECT * FROM unnest($2::bytea[], $3::bytea[], $4::text[]) WITH ORDINALITY AS a (access, refresh, client_id, n)),
    found AS MATERIALIZED (
        SELECT a.n, t.family_id, t.signature FROM a
        JOIN access_token t ON t.signature = a.access AND t.client_id = a.client_id
        WHERE t.nid IS NOT DISTINCT FROM $1
        UNION ALL
        SELECT a.n, t.family_id, NULL FROM a
        JOIN refresh_token t ON t.signature = a.refresh AND t.client_id = a.client_id
        WHERE t.nid IS NOT DISTINCT FROM $1),
    f AS MATERIALIZED (
        SELECT id FROM token_family WHERE id IN (SELECT family_id FROM found) AND NOT shared ORDER BY id FOR UPDATE),
    ended AS (
        UPDATE token_family t SET revoked_at = coalesce(t.revoked_at, clock_timestamp()), version = t.version + 1
        FROM f WHERE t.id = f.id RETURNING t.id),
    held AS MATERIALIZED (
        SELECT signature FROM access_token
        WHERE signature IN (SELECT signature FROM found) AND (SELECT count(*) FROM ended) >= 0
        ORDER BY signature FOR UPDATE),
    gone AS (DELETE FROM access_token WHERE signature IN (SELECT signature FROM held))
    SELECT f.id FROM a LEFT JOIN found ON found.n = a.n LEFT JOIN f ON f.id = found.family_id ORDER BY a.n";

/// Deletes the access tokens, and revokes the families but for those a client has for itself: these.
pub(super) async fn revoke_all(
    db: &impl GenericClient,
    nid: Uuid,
    orders: &[&Revoke],
) -> Result<Vec<Option<Uuid>>, Fault> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let statement = db.prepare_cached(REVOKE).await?;
    let access = |o: &&Revoke| if let Revoked::Access(key) = o.token { Some(key.to_vec()) } else { None };
    let refresh = |o: &&Revoke| if let Revoked::Refresh(key) = o.token { Some(key.to_vec()) } else { None };
    let access: Vec<Option<Vec<u8>>> = orders.iter().map(access).collect();
    let refresh: Vec<Option<Vec<u8>>> = orders.iter().map(refresh).collect();
    let clients: Vec<&str> = orders.iter().map(|o| o.client_id.as_str()).collect();
    let ended = db.query(&statement, &[&nid, &access, &refresh, &clients]).await?;
    ended.iter().map(|row| Ok(row.try_get(0)?)).collect()
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
