//! Sweeping in PostgreSQL, under a lease. It waits for nobody: what others hold is left to the next sweep.

use super::faults::Fault;
use super::{LOCK_CLASS, LOCK_SWEEP};
use crate::store::upkeep::{CONSENT_ROUND, DEAD_KEPT, DECIDED_KEPT};
use crate::store::{Sweep, SweepCounts};
use deadpool_postgres::{GenericClient, Object};
use std::time::Duration;

const LEASE: &str = "SELECT pg_try_advisory_xact_lock($1, $2)";

/// All that follow: at most $1 rows of before $2 microseconds ago.
const ACCESS_TOKENS: [&str; 2] = [
    "DELETE FROM access_token WHERE signature IN (
        SELECT signature FROM access_token
        WHERE expires_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM access_token WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN access_token t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.revoked_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE OF t SKIP LOCKED)",
];
const REFRESH_TOKENS: [&str; 2] = [
    "DELETE FROM refresh_token WHERE signature IN (
        SELECT signature FROM refresh_token
        WHERE expires_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM refresh_token WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN refresh_token t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.revoked_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE OF t SKIP LOCKED)",
];
const CODES: [&str; 2] = [
    "DELETE FROM authorization_code WHERE signature IN (
        SELECT signature FROM authorization_code
        WHERE expires_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM authorization_code WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN authorization_code t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.revoked_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE OF t SKIP LOCKED)",
];
const DEVICES: [&str; 2] = [
    "DELETE FROM device WHERE signature IN (
        SELECT signature FROM device WHERE expires_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM device WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN device t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.revoked_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE OF t SKIP LOCKED)",
];
const JTIS: [&str; 1] = ["
    DELETE FROM assertion_jti WHERE (nid, client_id, jti) IN (
        SELECT nid, client_id, jti FROM assertion_jti
        WHERE expires_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE SKIP LOCKED)"];
const GUESSES: [&str; 1] = ["
    DELETE FROM device_guess WHERE challenge IN (
        SELECT challenge FROM device_guess
        WHERE expires_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE SKIP LOCKED)"];
const FLOW_BODIES: [&str; 1] = ["
    DELETE FROM flow_body WHERE handle IN (
        SELECT handle FROM flow_body WHERE expires_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE SKIP LOCKED)"];
const LOGIN_SESSIONS: [&str; 1] = ["
    DELETE FROM login_session WHERE id IN (
        SELECT id FROM login_session WHERE expires_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE SKIP LOCKED)"];
const DELIVERIES: [&str; 1] = ["
    DELETE FROM logout_delivery WHERE id IN (
        SELECT id FROM logout_delivery
        WHERE dead AND created_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
        LIMIT $1 FOR UPDATE SKIP LOCKED)"];

/// Consents on which nothing stands any more go with their families; the others are looked at again when the last of
/// what stands on them ends, or after $2 microseconds. Nothing can begin to stand on a consent without a row.
const CONSENTS: [&str; 1] = ["
    WITH due AS MATERIALIZED (
        SELECT id, nid, client_id FROM consent WHERE sweep_after <= clock_timestamp()
        ORDER BY sweep_after LIMIT $1 FOR UPDATE SKIP LOCKED),
    f AS MATERIALIZED (SELECT id FROM token_family WHERE id IN (SELECT id FROM due) FOR UPDATE SKIP LOCKED),
    seen AS MATERIALIZED (
        SELECT due.id, greatest(
            (SELECT max(t.expires_at) FROM access_token t
             WHERE t.nid = due.nid AND t.client_id = due.client_id AND t.family_id = due.id),
            (SELECT max(coalesce(t.expires_at, 'infinity')) FROM refresh_token t
             WHERE t.nid = due.nid AND t.client_id = due.client_id AND t.family_id = due.id),
            (SELECT max(t.expires_at) FROM authorization_code t
             WHERE t.nid = due.nid AND t.client_id = due.client_id AND t.family_id = due.id),
            (SELECT max(t.expires_at) FROM device t
             WHERE t.nid = due.nid AND t.client_id = due.client_id AND t.family_id = due.id)) AS ends
        FROM due LEFT JOIN f ON f.id = due.id
        WHERE f.id IS NOT NULL OR NOT EXISTS (SELECT 1 FROM token_family x WHERE x.id = due.id)),
    later AS (
        UPDATE consent k
        SET sweep_after = greatest(clock_timestamp(),
                                   least(seen.ends, clock_timestamp() + $2::bigint * interval '1 microsecond'))
        FROM seen WHERE k.id = seen.id AND seen.ends IS NOT NULL),
    gone AS (DELETE FROM token_family k USING seen WHERE k.id = seen.id AND seen.ends IS NULL)
    DELETE FROM consent k USING seen WHERE k.id = seen.id AND seen.ends IS NULL"];

/// A revoked family is needed only while something belongs to it: without its family no token is valid. One of a
/// consent keeps its id taken for $2 microseconds; its consent goes too, unless it may still spare the user a question.
const FAMILIES: [&str; 1] = ["
    WITH f AS MATERIALIZED (
        SELECT f.id FROM token_family f
        WHERE f.revoked_at <= clock_timestamp()
            AND (f.shared OR f.revoked_at <= clock_timestamp() - $2::bigint * interval '1 microsecond')
            AND NOT EXISTS (SELECT 1 FROM access_token t
                WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)
            AND NOT EXISTS (SELECT 1 FROM refresh_token t
                WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)
            AND NOT EXISTS (SELECT 1 FROM authorization_code t
                WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)
            AND NOT EXISTS (SELECT 1 FROM device t
                WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)
        LIMIT $1 FOR UPDATE SKIP LOCKED),
    k AS MATERIALIZED (
        SELECT id FROM consent
        WHERE id IN (SELECT id FROM f)
            AND NOT (remember AND (remember_until IS NULL OR remember_until > clock_timestamp()))
        FOR UPDATE SKIP LOCKED),
    gone AS (DELETE FROM consent t USING k WHERE t.id = k.id)
    DELETE FROM token_family t USING f WHERE t.id = f.id"];

async fn delete(db: &impl GenericClient, kinds: &[&str], limit: i64, span: Duration) -> Result<u64, Fault> {
    let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    let mut gone = 0;
    for sql in kinds {
        let statement = db.prepare_cached(sql).await?;
        gone += db.execute(&statement, &[&limit, &span]).await?;
    }
    Ok(gone)
}

/// Tokens before families and consents, which go when nothing belongs to them any more.
pub(super) async fn sweep(conn: &mut Object, limit: i64) -> Result<Sweep, Fault> {
    let tx = conn.transaction().await?;
    let statement = tx.prepare_cached(LEASE).await?;
    if !tx.query_one(&statement, &[&LOCK_CLASS, &LOCK_SWEEP]).await?.try_get::<_, bool>(0)? {
        return Ok(Sweep::Elsewhere);
    }
    let now = Duration::ZERO;
    let counts = SweepCounts {
        access_tokens: delete(&tx, &ACCESS_TOKENS, limit, now).await?,
        refresh_tokens: delete(&tx, &REFRESH_TOKENS, limit, now).await?,
        codes: delete(&tx, &CODES, limit, now).await?,
        devices: delete(&tx, &DEVICES, limit, now).await?,
        jtis: delete(&tx, &JTIS, limit, now).await?,
        guesses: delete(&tx, &GUESSES, limit, now).await?,
        login_sessions: delete(&tx, &LOGIN_SESSIONS, limit, DECIDED_KEPT).await?,
        flow_bodies: delete(&tx, &FLOW_BODIES, limit, now).await?,
        deliveries: delete(&tx, &DELIVERIES, limit, DEAD_KEPT).await?,
        consents: delete(&tx, &CONSENTS, limit, CONSENT_ROUND).await?,
        families: delete(&tx, &FAMILIES, limit, DECIDED_KEPT).await?,
    };
    tx.commit().await?;
    Ok(Sweep::Swept(counts))
}
