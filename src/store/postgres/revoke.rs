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
        SELECT a.n, t.family_id, t.signature FROM a CROSS JOIN LATERAL (
            SELECT signature, nid, client_id, family_id FROM access_token
            WHERE access_token.signature = a.access OFFSET 0) t
        WHERE t.nid = $1 AND t.client_id = a.client_id
        UNION ALL
        SELECT a.n, t.family_id, NULL FROM a CROSS JOIN LATERAL (
            SELECT nid, client_id, family_id FROM refresh_token WHERE refresh_token.signature = a.refresh OFFSET 0) t
        WHERE t.nid = $1 AND t.client_id = a.client_id),
    f AS MATERIALIZED (
        SELECT k.id FROM (SELECT DISTINCT family_id FROM found ORDER BY 1) AS u (id) CROSS JOIN LATERAL (
            SELECT id FROM token_family WHERE token_family.id = u.id AND NOT shared OFFSET 0 FOR UPDATE) k),
    ended AS (
        UPDATE token_family t SET revoked_at = coalesce(t.revoked_at, clock_timestamp()), version = t.version + 1
        WHERE t.id = ANY(ARRAY(SELECT id FROM f)) RETURNING t.id),
    held AS MATERIALIZED (
        SELECT k.signature FROM (SELECT DISTINCT signature FROM found ORDER BY 1) AS u (signature) CROSS JOIN LATERAL (
            SELECT signature FROM access_token WHERE access_token.signature = u.signature OFFSET 0 FOR UPDATE) k
        WHERE (SELECT count(*) FROM ended) >= 0),
    gone AS (DELETE FROM access_token WHERE signature = ANY(ARRAY(SELECT signature FROM held)))
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
        SELECT k.id FROM (SELECT DISTINCT unnest($2::uuid[]) ORDER BY 1) AS u (id) CROSS JOIN LATERAL (
            SELECT id FROM token_family WHERE token_family.id = u.id AND nid IS NOT DISTINCT FROM $1 AND NOT shared
            OFFSET 0 FOR UPDATE) k)
    UPDATE token_family t SET revoked_at = coalesce(t.revoked_at, clock_timestamp()), version = t.version + 1
    WHERE t.id = ANY(ARRAY(SELECT id FROM f))";

/// Revokes families but for those a client has for itself.
pub(super) async fn end_all(db: &impl GenericClient, nid: Uuid, families: &[Uuid]) -> Result<(), Fault> {
    if families.is_empty() {
        return Ok(());
    }
    let statement = db.prepare_cached(END).await?;
    db.execute(&statement, &[&nid, &families]).await?;
    Ok(())
}
