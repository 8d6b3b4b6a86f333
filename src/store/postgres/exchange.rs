//! Codes and refresh tokens exchanged for tokens in PostgreSQL, each batch in one statement.
//!
//! Invariant: the client's row is shared and the family's row held before the code or refresh token is touched, each
//! in the order of its key; whoever waited for a row judges it as it is then. So of two uses one comes second and finds
//! it used, and what is issued is either there before its family is revoked or never. The tokens are inserted for those
//! alone whose update found the row. What the statement's snapshot may lack is therefore only what came after.

use super::columns::{AccessColumns, RefreshColumns, Values, distinct};
use super::faults::Fault;
use crate::store::{Redeem, Replay, Rotate, Source, Verdict};
use deadpool_postgres::GenericClient;
use std::collections::BTreeSet;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

const REDEEM: &str = "
    WITH a AS MATERIALIZED (
        SELECT * FROM unnest($4::bigint[], $5::bytea[], $6::bytea[],
            $7::bytea[], $8::uuid[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[],
            $14::timestamptz[], $15::bytea[],
            $16::bytea[], $17::text[], $18::text[], $19::text[], $20::timestamptz[], $21::timestamptz[], $22::bytea[],
            $23::bytea[]) WITH ORDINALITY
        AS a (version, code, device,
            signature, family_id, client_id, subject, scope, audience, requested_at, expires_at, session,
            r_signature, r_subject, r_scope, r_audience, r_requested_at, r_expires_at, r_access_token, r_session, n)),
    c AS MATERIALIZED (
        SELECT k.* FROM unnest($2::text[]) AS u (id) CROSS JOIN LATERAL (
            SELECT id, version FROM client WHERE nid = $1 AND client.id = u.id OFFSET 0 FOR SHARE) k),
    f AS MATERIALIZED (
        SELECT k.id FROM unnest($3::uuid[]) AS u (id) CROSS JOIN LATERAL (
            SELECT id FROM token_family WHERE token_family.id = u.id AND nid IS NOT DISTINCT FROM $1 AND revoked_at IS NULL
            OFFSET 0 FOR UPDATE) k
        WHERE (SELECT count(*) FROM c) >= 0),
    o AS MATERIALIZED (
        SELECT DISTINCT ON (a.code, a.device, a.client_id, a.family_id) a.*
        FROM a JOIN c ON c.id = a.client_id AND c.version = a.version JOIN f ON f.id = a.family_id
        ORDER BY a.code, a.device, a.client_id, a.family_id, a.n),
    spent AS (
        UPDATE authorization_code t SET spent_at = clock_timestamp() FROM o
        WHERE t.signature = o.code AND t.nid IS NOT DISTINCT FROM $1
              AND t.client_id = o.client_id AND t.family_id = o.family_id
              AND t.spent_at IS NULL AND t.expires_at > clock_timestamp()
        RETURNING o.n),
    redeemed AS (
        UPDATE device t SET state = 'redeemed' FROM o
        WHERE t.signature = o.device AND t.nid IS NOT DISTINCT FROM $1
              AND t.client_id = o.client_id AND t.family_id = o.family_id
              AND t.state = 'granted' AND t.expires_at > clock_timestamp()
        RETURNING o.n),
    w AS MATERIALIZED (
        SELECT o.* FROM o JOIN (SELECT n FROM spent UNION ALL SELECT n FROM redeemed) s ON s.n = o.n),
    issued AS (
        INSERT INTO access_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at,
                                  expires_at, session)
        SELECT signature, $1, family_id, client_id, subject, scope, audience, requested_at, expires_at, session FROM w),
    refreshed AS (
        INSERT INTO refresh_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at,
                                   expires_at, replayed, access_token, successor, session)
        SELECT r_signature, $1, family_id, client_id, r_subject, r_scope, r_audience, r_requested_at, r_expires_at, 0,
               r_access_token, '', r_session FROM w WHERE r_signature IS NOT NULL)
    SELECT c.id IS NOT NULL, w.n IS NOT NULL
    FROM a LEFT JOIN c ON c.id = a.client_id AND c.version = a.version LEFT JOIN w ON w.n = a.n
    ORDER BY a.n";

/// Exchanges codes, each once.
pub(super) async fn redeem_all(db: &impl GenericClient, nid: Uuid, orders: &[&Redeem]) -> Result<Vec<Verdict>, Fault> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let (locked, families) = locks(orders.iter().map(|o| (o.access.client_id.as_str(), o.access.family_id)));
    let versions: Vec<i64> = orders.iter().map(|o| o.client_version).collect();
    let code = |o: &&Redeem| if let Source::Code(key) = o.source { Some(key.to_vec()) } else { None };
    let device = |o: &&Redeem| if let Source::Device(key) = o.source { Some(key.to_vec()) } else { None };
    let codes: Vec<Option<Vec<u8>>> = orders.iter().map(code).collect();
    let devices: Vec<Option<Vec<u8>>> = orders.iter().map(device).collect();
    let access = AccessColumns::of(orders.iter().map(|o| Some(&o.access)));
    let refresh = RefreshColumns::of(orders.iter().map(|o| o.refresh.as_ref()));
    let mut values: Values<'_> = vec![&nid, &locked, &families, &versions, &codes, &devices];
    values.extend(access.values());
    values.extend(refresh.values());
    verdicts(db, REDEEM, &values).await
}

/// All access tokens of a family that a statement does not see come from a refresh token that it does not see either,
/// so the deletion leaves none behind. They are looked up family by family, then deleted by key: joined, a planner that
/// knows a table of one client's tokens would rather go through all of them.
const ROTATE: &str = "
    WITH a AS MATERIALIZED (
        SELECT * FROM unnest($4::bigint[], $5::bytea[], $6::bytea[], $7::boolean[],
            $8::bytea[], $9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[], $14::timestamptz[],
            $15::timestamptz[], $16::bytea[],
            $17::bytea[], $18::text[], $19::text[], $20::text[], $21::timestamptz[], $22::timestamptz[], $23::bytea[],
            $24::bytea[]) WITH ORDINALITY
        AS a (version, presented, successor, strict,
            signature, family_id, client_id, subject, scope, audience, requested_at, expires_at, session,
            r_signature, r_subject, r_scope, r_audience, r_requested_at, r_expires_at, r_access_token, r_session, n)),
    c AS MATERIALIZED (
        SELECT k.* FROM unnest($2::text[]) AS u (id) CROSS JOIN LATERAL (
            SELECT id, version FROM client WHERE nid = $1 AND client.id = u.id OFFSET 0 FOR SHARE) k),
    f AS MATERIALIZED (
        SELECT k.id FROM unnest($3::uuid[]) AS u (id) CROSS JOIN LATERAL (
            SELECT id FROM token_family WHERE token_family.id = u.id AND nid IS NOT DISTINCT FROM $1 AND revoked_at IS NULL
            OFFSET 0 FOR UPDATE) k
        WHERE (SELECT count(*) FROM c) >= 0),
    o AS MATERIALIZED (
        SELECT DISTINCT ON (a.presented, a.client_id, a.family_id) a.*
        FROM a JOIN c ON c.id = a.client_id AND c.version = a.version JOIN f ON f.id = a.family_id
        ORDER BY a.presented, a.client_id, a.family_id, a.n),
    used AS (
        UPDATE refresh_token t
        SET used_at = clock_timestamp(), successor = o.successor,
            expires_at = coalesce(t.expires_at, clock_timestamp() + interval '90 days')
        FROM o
        WHERE t.signature = o.presented AND t.nid IS NOT DISTINCT FROM $1
              AND t.client_id = o.client_id AND t.family_id = o.family_id
              AND t.used_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp())
        RETURNING o.n, t.access_token AS former),
    w AS MATERIALIZED (SELECT o.*, used.former FROM o JOIN used ON used.n = o.n),
    dropped AS (
        DELETE FROM access_token t
        WHERE t.signature = ANY(ARRAY(
            SELECT former FROM w WHERE NOT strict
            UNION ALL SELECT k.signature FROM w CROSS JOIN LATERAL (
                SELECT a.signature FROM access_token a
                WHERE a.nid = $1 AND a.client_id = w.client_id AND a.family_id = w.family_id OFFSET 0) k
            WHERE w.strict))),
    issued AS (
        INSERT INTO access_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at,
                                  expires_at, session)
        SELECT signature, $1, family_id, client_id, subject, scope, audience, requested_at, expires_at, session FROM w),
    refreshed AS (
        INSERT INTO refresh_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at,
                                   expires_at, replayed, access_token, successor, session)
        SELECT r_signature, $1, family_id, client_id, r_subject, r_scope, r_audience, r_requested_at, r_expires_at, 0,
               r_access_token, '', r_session FROM w)
    SELECT c.id IS NOT NULL, w.n IS NOT NULL
    FROM a LEFT JOIN c ON c.id = a.client_id AND c.version = a.version LEFT JOIN w ON w.n = a.n
    ORDER BY a.n";

/// Exchanges refresh tokens, each once.
pub(super) async fn rotate_all(db: &impl GenericClient, nid: Uuid, orders: &[&Rotate]) -> Result<Vec<Verdict>, Fault> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let (locked, families) = locks(orders.iter().map(|o| (o.access.client_id.as_str(), o.access.family_id)));
    let versions: Vec<i64> = orders.iter().map(|o| o.client_version).collect();
    let presented: Vec<&[u8]> = orders.iter().map(|o| o.presented.as_slice()).collect();
    let successors: Vec<&[u8]> = orders.iter().map(|o| o.successor.as_slice()).collect();
    let strict: Vec<bool> = orders.iter().map(|o| o.strict).collect();
    let access = AccessColumns::of(orders.iter().map(|o| Some(&o.access)));
    let refresh = RefreshColumns::of(orders.iter().map(|o| Some(&o.refresh)));
    let mut values: Values<'_> = vec![&nid, &locked, &families, &versions, &presented, &successors, &strict];
    values.extend(access.values());
    values.extend(refresh.values());
    verdicts(db, ROTATE, &values).await
}

/// Several of one token are counted one by one.
const REPLAY: &str = "
    WITH a AS MATERIALIZED (
        SELECT signature, most, n, row_number() OVER (PARTITION BY signature ORDER BY n) AS turn
        FROM unnest($2::bytea[], $3::bigint[]) WITH ORDINALITY AS a (signature, most, n)),
    f AS MATERIALIZED (
        SELECT k.id FROM unnest(ARRAY(
            SELECT DISTINCT t.family_id FROM refresh_token t WHERE t.signature = ANY($2) ORDER BY 1)) AS u (id)
        CROSS JOIN LATERAL (
            SELECT id FROM token_family WHERE token_family.id = u.id AND nid IS NOT DISTINCT FROM $1 AND revoked_at IS NULL
            OFFSET 0 FOR UPDATE) k),
    t AS MATERIALIZED (
        SELECT t.signature, t.replayed FROM refresh_token t
        WHERE t.signature = ANY($2) AND t.nid IS NOT DISTINCT FROM $1 AND t.used_at IS NOT NULL
              AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp()) AND t.family_id IN (SELECT id FROM f)
        ORDER BY t.signature FOR UPDATE),
    w AS MATERIALIZED (
        SELECT a.n, a.signature FROM a JOIN t ON t.signature = a.signature WHERE t.replayed + a.turn <= a.most),
    counted AS (
        UPDATE refresh_token t SET replayed = t.replayed + s.times
        FROM (SELECT signature, count(*) AS times FROM w GROUP BY signature) s WHERE t.signature = s.signature)
    SELECT true, w.n IS NOT NULL FROM a LEFT JOIN w ON w.n = a.n ORDER BY a.n";

/// Counts replays.
pub(super) async fn replay_all(db: &impl GenericClient, nid: Uuid, orders: &[&Replay]) -> Result<Vec<Verdict>, Fault> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let presented: Vec<&[u8]> = orders.iter().map(|o| o.presented.as_slice()).collect();
    let most: Vec<i64> = orders.iter().map(|o| i64::from(o.most)).collect();
    verdicts(db, REPLAY, &[&nid, &presented, &most]).await
}

/// The clients and families that a batch holds, each once.
fn locks<'a>(orders: impl Iterator<Item = (&'a str, Uuid)> + Clone) -> (Vec<&'a str>, Vec<Uuid>) {
    let families: BTreeSet<Uuid> = orders.clone().map(|(_, family)| family).collect();
    (distinct(orders.map(|(client, _)| client)), families.into_iter().collect())
}

/// Runs a statement that says for each order whether its client is as it was, and whether it was written.
async fn verdicts(db: &impl GenericClient, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Verdict>, Fault> {
    let statement = db.prepare_cached(sql).await?;
    let found = db.query(&statement, values).await?;
    found
        .iter()
        .map(|row| {
            Ok(match (row.try_get(0)?, row.try_get(1)?) {
                (false, _) => Verdict::ClientChanged,
                (true, false) => Verdict::Used,
                (true, true) => Verdict::Done,
            })
        })
        .collect()
}
