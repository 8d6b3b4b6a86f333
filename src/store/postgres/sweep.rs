//! Sweeping in PostgreSQL, under a lease. It waits for nobody: what others hold is left to the next sweep.

use super::faults::Fault;
use super::{LOCK_CLASS, LOCK_SWEEP};
use crate::store::upkeep::{CONSENT_ROUND, DEAD_KEPT, DECIDED_KEPT};
use crate::store::{Sweep, SweepCounts};
use deadpool_postgres::{GenericClient, Object};
use std::time::Duration;
use uuid::Uuid;

/// These plans do depend on a value: the number of rows.
const PLANNED_BY_LIMIT: &str = "SET LOCAL plan_cache_mode = force_custom_plan";
const LEASE: &str = "SELECT pg_try_advisory_xact_lock($1, $2)";

/// Whether this transaction has the lease: one process sweeps at a time.
pub(super) async fn leased(tx: &impl GenericClient) -> Result<bool, Fault> {
    let statement = tx.prepare_cached(LEASE).await?;
    Ok(tx.query_one(&statement, &[&LOCK_CLASS, &LOCK_SWEEP]).await?.try_get(0)?)
}

/// At most $1 rows whose time was over $2 microseconds ago. The moment is a query of its own: compared with a function that
/// changes from row to row, no index ends where the rows do that are over, and each sweep would read all that are not.
macro_rules! over {
    ($table:literal, $key:literal, $over:literal) => {
        over!($table, $key, $over, "")
    };
    ($table:literal, $key:literal, $over:literal, $and:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE (",
            $key,
            ") IN (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $over,
            " <= (SELECT clock_timestamp() - $2::bigint * interval '1 microsecond')",
            $and,
            " ORDER BY ",
            $over,
            " LIMIT $1 FOR UPDATE SKIP LOCKED)"
        )
    };
}

/// Deletes a batch of what was over so long ago; how many.
async fn delete(db: &impl GenericClient, sql: &str, limit: i64, span: Duration, more: &mut bool) -> Result<u64, Fault> {
    let statement = db.prepare_cached(sql).await?;
    let gone = db.execute(&statement, &[&limit, &micros(span)]).await?;
    *more |= gone >= limit.unsigned_abs();
    Ok(gone)
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// Tokens before families and consents, which go when nothing belongs to them any more.
pub(super) async fn sweep(conn: &mut Object, limit: i64) -> Result<Sweep, Fault> {
    let tx = conn.transaction().await?;
    if !leased(&tx).await? {
        return Ok(Sweep::Elsewhere);
    }
    tx.batch_execute(PLANNED_BY_LIMIT).await?;
    let (now, more) = (Duration::ZERO, &mut false);
    let mut counts = SweepCounts {
        access_tokens: delete(&tx, over!("access_token_ffff", "signature", "expires_at"), limit, now, more).await?,
        refresh_tokens: delete(&tx, over!("refresh_token", "signature", "expires_at"), limit, now, more).await?,
        in_hours: 0,
        codes: delete(&tx, over!("authorization_code", "signature", "expires_at"), limit, now, more).await?,
        devices: delete(&tx, over!("device", "signature", "expires_at"), limit, now, more).await?,
        jtis: delete(&tx, over!("assertion_jti", "nid, client_id, jti", "expires_at"), limit, now, more).await?,
        guesses: delete(&tx, over!("device_guess", "challenge", "expires_at"), limit, now, more).await?,
        login_sessions: delete(&tx, over!("login_session", "id", "expires_at"), limit, DECIDED_KEPT, more).await?,
        flow_bodies: delete(&tx, over!("flow_body", "handle", "expires_at"), limit, now, more).await?,
        deliveries: delete(&tx, over!("logout_delivery", "id", "created_at", " AND dead"), limit, DEAD_KEPT, more)
            .await?,
        consents: consents(&tx, limit, more).await?,
        families: 0,
        more: *more,
    };
    families(&tx, REVOKED_SHARED, limit, now, &mut counts).await?;
    families(&tx, REVOKED, limit, DECIDED_KEPT, &mut counts).await?;
    tx.commit().await?;
    Ok(Sweep::Swept(counts))
}

/// Consents on which nothing stands any more go with their families; the others are looked at again when the last of
/// what stands on them ends, or after $2 microseconds. Nothing can begin to stand on a consent without a row. An access
/// token that has expired stays until its hour is dropped, and holds nothing.
const CONSENTS: &str = "
    WITH due AS MATERIALIZED (
        SELECT id, nid, client_id FROM consent WHERE sweep_after <= (SELECT clock_timestamp())
        ORDER BY sweep_after LIMIT $1 FOR UPDATE SKIP LOCKED),
    f AS MATERIALIZED (SELECT id FROM token_family WHERE id IN (SELECT id FROM due) FOR UPDATE SKIP LOCKED),
    seen AS MATERIALIZED (
        SELECT due.id, greatest(
            (SELECT max(t.expires_at) FROM access_token t
             WHERE t.nid = due.nid AND t.client_id = due.client_id AND t.family_id = due.id
                   AND t.expires_at > clock_timestamp()),
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
    gone AS (DELETE FROM token_family k USING seen WHERE k.id = seen.id AND seen.ends IS NULL),
    deleted AS (DELETE FROM consent k USING seen WHERE k.id = seen.id AND seen.ends IS NULL RETURNING k.id)
    SELECT (SELECT count(*) FROM deleted), (SELECT count(*) FROM due)";

async fn consents(db: &impl GenericClient, limit: i64, more: &mut bool) -> Result<u64, Fault> {
    let statement = db.prepare_cached(CONSENTS).await?;
    let row = db.query_one(&statement, &[&limit, &micros(CONSENT_ROUND)]).await?;
    let (deleted, looked_at): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    *more |= looked_at >= limit;
    Ok(deleted.unsigned_abs())
}

/// Families that were revoked $2 microseconds ago. One of a consent keeps its id taken for that time, so that the
/// consent cannot be granted again; one that a client had for itself is needed no longer.
const REVOKED: &str = "
    SELECT id FROM token_family
    WHERE revoked_at <= (SELECT clock_timestamp() - $2::bigint * interval '1 microsecond') AND NOT shared
    ORDER BY revoked_at LIMIT $1 FOR UPDATE SKIP LOCKED";
const REVOKED_SHARED: &str = "
    SELECT id FROM token_family
    WHERE revoked_at <= (SELECT clock_timestamp() - $2::bigint * interval '1 microsecond')
        AND shared AND revoked_at IS NOT NULL
    ORDER BY revoked_at LIMIT $1 FOR UPDATE SKIP LOCKED";

/// At most $2 rows of these families.
macro_rules! of_families {
    ($table:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE signature IN (SELECT t.signature FROM token_family f JOIN ",
            $table,
            " t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
            WHERE f.id = ANY($1) LIMIT $2 FOR UPDATE OF t SKIP LOCKED)"
        )
    };
}

/// A revoked family is needed only while something belongs to it: without its family no token is valid. Its consent
/// goes too, unless it may still spare the user a question.
const EMPTY: &str = "
    WITH e AS MATERIALIZED (
        SELECT f.id FROM token_family f
        WHERE f.id = ANY($1)
            AND NOT EXISTS (SELECT 1 FROM access_token t
                WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)
            AND NOT EXISTS (SELECT 1 FROM refresh_token t
                WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)
            AND NOT EXISTS (SELECT 1 FROM authorization_code t
                WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)
            AND NOT EXISTS (SELECT 1 FROM device t
                WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)),
    k AS MATERIALIZED (
        SELECT id FROM consent
        WHERE id IN (SELECT id FROM e)
            AND NOT (remember AND (remember_until IS NULL OR remember_until > clock_timestamp()))
        FOR UPDATE SKIP LOCKED),
    gone AS (DELETE FROM consent t USING k WHERE t.id = k.id)
    DELETE FROM token_family t USING e WHERE t.id = e.id";

/// Deletes revoked families with all that belongs to them, a batch of each kind of row; those with more rows stay.
async fn families(
    db: &impl GenericClient,
    revoked: &str,
    limit: i64,
    span: Duration,
    counts: &mut SweepCounts,
) -> Result<(), Fault> {
    let statement = db.prepare_cached(revoked).await?;
    let due = db.query(&statement, &[&limit, &micros(span)]).await?;
    let due = due.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    if due.is_empty() {
        return Ok(());
    }
    let mut more = i64::try_from(due.len()).is_ok_and(|n| n >= limit);
    for (sql, count) in [
        (of_families!("access_token"), &mut counts.access_tokens),
        (of_families!("refresh_token"), &mut counts.refresh_tokens),
        (of_families!("authorization_code"), &mut counts.codes),
        (of_families!("device"), &mut counts.devices),
    ] {
        let statement = db.prepare_cached(sql).await?;
        let gone = db.execute(&statement, &[&due, &limit]).await?;
        *count += gone;
        more |= gone >= limit.unsigned_abs();
    }
    counts.more |= more;
    let statement = db.prepare_cached(EMPTY).await?;
    counts.families += db.execute(&statement, &[&due]).await?;
    Ok(())
}
