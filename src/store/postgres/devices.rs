//! Devices in PostgreSQL (RFC 8628): asked for, given to a flow by their user code, polled.

use super::faults::Fault;
use super::rows::{self, Moment, int, list_text};
use super::sessions::done_or_used;
use crate::store::{Attempt, DevicePoll, DeviceRequest, DeviceState, FlowVerdict, SignatureHash, UserCodeGuess};
use deadpool_postgres::{GenericClient, Object};
use std::collections::HashSet;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// An ended request's user code is free again. Two who find it free at once meet at the index.
const CREATE: &str = "
    WITH c AS MATERIALIZED (
        SELECT id FROM client WHERE nid = $1 AND id = $4 AND version = $11 FOR SHARE),
    gone AS (
        DELETE FROM device WHERE nid = $1 AND user_code = $3 AND expires_at <= clock_timestamp() RETURNING signature)
    INSERT INTO device (signature, nid, user_code, client_id, scope, audience, requested_at, expires_at, poll_interval,
                        flow_id, state, session)
    SELECT $2, $1, $3, c.id, $5, $6, $7, $8, $9, $10, 'pending', '' FROM c WHERE (SELECT count(*) FROM gone) >= 0";

/// Inserts a device's request; whether its client is as it was.
pub(super) async fn create(
    db: &impl GenericClient,
    nid: Uuid,
    device: &DeviceRequest,
    client_version: i64,
) -> Result<bool, Fault> {
    let statement = db.prepare_cached(CREATE).await?;
    let (scope, audience) = (list_text(&device.scope), list_text(&device.audience));
    let (requested, expires) = (Moment(device.requested_at), Moment(device.expires_at));
    let (signature, user_code) = (device.signature.as_slice(), device.user_code.as_slice());
    let interval = int(device.interval);
    let values: [&(dyn ToSql + Sync); 11] = [
        &nid,
        &signature,
        &user_code,
        &device.client_id,
        &scope,
        &audience,
        &requested,
        &expires,
        &interval,
        &device.flow_id,
        &client_version,
    ];
    Ok(db.execute(&statement, &values).await? > 0)
}

/// Holds the challenge's row, so that its guesses come one after the other.
const GUESSES: &str = "
    INSERT INTO device_guess AS t (challenge, nid, wrong, expires_at) VALUES ($1, $2, 0, $3)
    ON CONFLICT (challenge) DO UPDATE
    SET wrong = CASE WHEN t.expires_at > clock_timestamp() THEN t.wrong ELSE 0 END,
        expires_at = greatest(t.expires_at, excluded.expires_at)
    RETURNING wrong";
const WRONG_OF_ALL: &str = "
    SELECT coalesce(sum(wrong), 0)::bigint FROM device_guess WHERE nid = $1 AND expires_at > (SELECT clock_timestamp())";
const WRONG: &str = "UPDATE device_guess SET wrong = wrong + 1 WHERE challenge = $1";
/// While secrets change places, one code may be two devices', each under another key: then it is nobody's.
const BIND: &str = "
    WITH m AS MATERIALIZED (
        SELECT signature FROM device
        WHERE nid = $1 AND user_code = ANY($2) AND flow_id IS NULL AND state = 'pending'
              AND expires_at > clock_timestamp()
        ORDER BY signature FOR UPDATE)
    UPDATE device t SET flow_id = $3 FROM m
    WHERE t.signature = m.signature AND (SELECT count(*) FROM m) = 1
          AND NOT EXISTS (SELECT 1 FROM device d WHERE d.flow_id = $3)
    RETURNING t.signature, t.user_code, t.client_id, t.scope, t.audience, t.requested_at, t.expires_at, t.poll_interval,
              t.flow_id";

/// Counts a guess, and gives the device to the flow if it is right.
pub(super) async fn guess(conn: &mut Object, nid: Uuid, it: &Attempt) -> Result<UserCodeGuess, Fault> {
    let tx = conn.transaction().await?;
    let statement = tx.prepare_cached(GUESSES).await?;
    let counted = tx.query_one(&statement, &[&it.challenge, &nid, &Moment(it.challenge_ends)]).await?;
    if rows::count(&counted, "wrong")? >= it.most {
        return Ok(UserCodeGuess::TooMany);
    }
    if let Some(most) = it.most_of_all {
        let statement = tx.prepare_cached(WRONG_OF_ALL).await?;
        if tx.query_one(&statement, &[&nid]).await?.try_get::<_, i64>(0)? >= i64::from(most) {
            return Ok(UserCodeGuess::TooManyOfAll);
        }
    }
    let statement = tx.prepare_cached(BIND).await?;
    let keys: Vec<&[u8]> = it.user_codes.iter().map(<[u8; 32]>::as_slice).collect();
    let bound = tx.query_opt(&statement, &[&nid, &keys, &it.flow_id]).await?;
    let outcome = match bound.as_ref().map(rows::device).transpose()? {
        Some(device) => UserCodeGuess::Accepted(device),
        None => {
            let statement = tx.prepare_cached(WRONG).await?;
            tx.execute(&statement, &[&it.challenge]).await?;
            UserCodeGuess::Wrong
        }
    };
    tx.commit().await?;
    Ok(outcome)
}

const DENY: &str = "
    WITH h AS MATERIALIZED (
        SELECT signature FROM device
        WHERE flow_id = ANY($2) AND nid IS NOT DISTINCT FROM $1 AND state = 'pending' AND expires_at > clock_timestamp()
        ORDER BY signature FOR UPDATE)
    UPDATE device t SET state = 'denied' WHERE t.signature = ANY(ARRAY(SELECT signature FROM h)) RETURNING t.flow_id";

/// Refuses pending devices, each once.
pub(super) async fn deny_all(db: &impl GenericClient, nid: Uuid, flows: &[Uuid]) -> Result<Vec<FlowVerdict>, Fault> {
    if flows.is_empty() {
        return Ok(Vec::new());
    }
    let statement = db.prepare_cached(DENY).await?;
    let denied = db.query(&statement, &[&nid, &flows]).await?;
    let mut denied = denied.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<Uuid>, _>>()?;
    Ok(flows.iter().map(|flow| done_or_used(denied.remove(flow))).collect())
}

/// The row as it was before this poll, judged when it is held. Another client's poll changes nothing.
const POLL: &str = "
    WITH d AS MATERIALIZED (
        SELECT signature, client_id, state, family_id, session, poll_interval, last_polled_at, expires_at
        FROM device WHERE signature = $1 AND nid IS NOT DISTINCT FROM $2 FOR UPDATE),
    p AS MATERIALIZED (
        SELECT d.*, d.client_id = $3 AND d.last_polled_at IS NOT NULL
               AND d.last_polled_at + d.poll_interval * interval '1 second' > clock_timestamp() AS too_fast
        FROM d),
    u AS (
        UPDATE device t
        SET last_polled_at = clock_timestamp(),
            poll_interval = t.poll_interval + CASE WHEN p.too_fast THEN $4::integer ELSE 0 END
        FROM p WHERE t.signature = p.signature AND p.client_id = $3)
    SELECT client_id, state, family_id, session, too_fast, expires_at <= clock_timestamp() AS expired FROM p";

/// What one who polls too fast must wait longer from then on, in seconds (RFC 8628 §3.5).
const SLOWER: i32 = 5;

/// One poll.
pub(super) async fn poll(
    db: &impl GenericClient,
    nid: Uuid,
    signature: &SignatureHash,
    client: &str,
) -> Result<Option<DevicePoll>, Fault> {
    let statement = db.prepare_cached(POLL).await?;
    let found = db.query_opt(&statement, &[&signature.as_slice(), &nid, &client, &SLOWER]).await?;
    let poll = |row: &Row| {
        Ok(DevicePoll {
            client_id: row.try_get("client_id")?,
            state: state(row)?,
            expired: row.try_get("expired")?,
            too_fast: row.try_get("too_fast")?,
        })
    };
    found.as_ref().map(poll).transpose()
}

fn state(row: &Row) -> Result<DeviceState, Fault> {
    Ok(match row.try_get("state")? {
        "pending" => DeviceState::Pending,
        "denied" => DeviceState::Denied,
        "granted" => DeviceState::Granted { family_id: row.try_get("family_id")?, session: row.try_get("session")? },
        "redeemed" => DeviceState::Redeemed,
        other => return Err(Fault::Corrupt(format!("a device is {other}"))),
    })
}
