//! Devices in SQLite (RFC 8628): asked for, given to a flow by their user code, polled.

use super::clients::version;
use super::faults::store_error;
use super::rows;
use crate::domain::world::Timestamp;
use crate::store::{Attempt, DevicePoll, DeviceRequest, DeviceState, SignatureHash, StoreError, UserCodeGuess};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;
use uuid::Uuid;

/// What one who polls too fast must wait longer from then on (RFC 8628 §3.5).
const SLOWER: u32 = 5;

const FREE_CODE: &str = "DELETE FROM device WHERE nid = ?1 AND user_code = ?2 AND expires_at <= ?3";
const INSERT: &str = "
    INSERT INTO device (signature, nid, user_code, client_id, scope, audience, requested_at, expires_at, poll_interval,
                        flow_id, state, session)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'pending', x'')";

/// Inserts a device's request; an ended one's user code is free again.
pub(super) fn create(
    db: &Connection,
    nid: &[u8],
    device: &DeviceRequest,
    client_version: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let work = || -> rusqlite::Result<bool> {
        if version(db, nid, &device.client_id)? != Some(client_version) {
            return Ok(false);
        }
        db.prepare_cached(FREE_CODE)?.execute(params![nid, device.user_code, now.micros()])?;
        db.prepare_cached(INSERT)?.execute(params![
            device.signature,
            nid,
            device.user_code,
            device.client_id,
            rows::list_text(&device.scope),
            rows::list_text(&device.audience),
            device.requested_at.micros(),
            device.expires_at.micros(),
            device.interval,
            device.flow_id.as_ref().map(Uuid::as_bytes),
        ])?;
        Ok(true)
    };
    if work().map_err(store_error)? { Ok(()) } else { Err(StoreError::client_changed()) }
}

const GUESSES: &str = "
    INSERT INTO device_guess (challenge, nid, wrong, expires_at) VALUES (?1, ?2, 0, ?3)
    ON CONFLICT (challenge) DO UPDATE
    SET wrong = CASE WHEN expires_at > ?4 THEN wrong ELSE 0 END, expires_at = max(expires_at, excluded.expires_at)
    RETURNING wrong";
const WRONG_OF_ALL: &str = "
    SELECT coalesce(sum(wrong), 0) FROM device_guess WHERE nid = ?1 AND expires_at > ?2";
const WRONG: &str = "UPDATE device_guess SET wrong = wrong + 1 WHERE challenge = ?1";
const FREE: &str = "
    SELECT 1 FROM device
    WHERE nid = ?1 AND user_code = ?2 AND flow_id IS NULL AND state = 'pending' AND expires_at > ?3";
const BIND: &str = "
    UPDATE device SET flow_id = ?3
    WHERE nid = ?1 AND user_code = ?2 AND flow_id IS NULL AND state = 'pending' AND expires_at > ?4
          AND NOT EXISTS (SELECT 1 FROM device WHERE flow_id = ?3)
    RETURNING *";

/// Counts a guess, and gives the device to the flow if it is right.
pub(super) fn guess(db: &Connection, nid: &[u8], it: &Attempt, now: Timestamp) -> rusqlite::Result<UserCodeGuess> {
    let challenge = it.challenge.as_bytes();
    let known = params![challenge, nid, it.challenge_ends.micros(), now.micros()];
    let wrong: u32 = db.prepare_cached(GUESSES)?.query_row(known, |row| row.get(0))?;
    if wrong >= it.most {
        return Ok(UserCodeGuess::TooMany);
    }
    if let Some(most) = it.most_of_all {
        let all: i64 = db.prepare_cached(WRONG_OF_ALL)?.query_row(params![nid, now.micros()], |row| row.get(0))?;
        if all >= i64::from(most) {
            return Ok(UserCodeGuess::TooManyOfAll);
        }
    }
    let mut free = Vec::new();
    for key in &it.user_codes {
        if db.prepare_cached(FREE)?.exists(params![nid, key, now.micros()])? {
            free.push(key);
        }
    }
    // While secrets change places, one code may be two devices', each under another key: then it is nobody's.
    if let [key] = free.as_slice() {
        let known = params![nid, key, it.flow_id.as_bytes(), now.micros()];
        if let Some(device) = db.prepare_cached(BIND)?.query_row(known, rows::device).optional()? {
            return Ok(UserCodeGuess::Accepted(device));
        }
    }
    db.prepare_cached(WRONG)?.execute([challenge])?;
    Ok(UserCodeGuess::Wrong)
}

const GRANT: &str = "
    UPDATE device SET state = 'granted', family_id = ?3, session = ?4
    WHERE nid = ?1 AND flow_id = ?2 AND state = 'pending' AND expires_at > ?5";

/// Grants a pending device's request; whether it was one.
pub(super) fn grant(
    db: &Connection,
    nid: &[u8],
    family: &Uuid,
    (flow, session): &(Uuid, Vec<u8>),
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let known = params![nid, flow.as_bytes(), family.as_bytes(), session, now.micros()];
    Ok(db.prepare_cached(GRANT)?.execute(known)? > 0)
}

const DENY: &str = "
    UPDATE device SET state = 'denied' WHERE nid = ?1 AND flow_id = ?2 AND state = 'pending' AND expires_at > ?3";

/// Refuses a pending device's request; whether it was one.
pub(super) fn deny(db: &Connection, nid: &[u8], flow: &Uuid, now: Timestamp) -> rusqlite::Result<bool> {
    Ok(db.prepare_cached(DENY)?.execute(params![nid, flow.as_bytes(), now.micros()])? > 0)
}

const STATE: &str = "
    SELECT client_id, state, family_id, session, poll_interval, last_polled_at, expires_at <= ?3 AS expired
    FROM device WHERE signature = ?1 AND nid = ?2";
const POLLED: &str = "UPDATE device SET last_polled_at = ?2, poll_interval = ?3 WHERE signature = ?1";

/// One poll.
pub(super) fn poll(
    db: &Connection,
    nid: &[u8],
    signature: &SignatureHash,
    client: &str,
    now: Timestamp,
) -> rusqlite::Result<Option<DevicePoll>> {
    let mut statement = db.prepare_cached(STATE)?;
    let found = statement.query_row(params![signature, nid, now.micros()], |row| {
        let last = row.get::<_, Option<i64>>("last_polled_at")?.map(Timestamp::from_micros);
        let interval: u32 = row.get("poll_interval")?;
        let too_fast = last.is_some_and(|last| last.plus(Duration::from_secs(interval.into())) > now);
        let (client_id, expired) = (row.get("client_id")?, row.get("expired")?);
        Ok((DevicePoll { client_id, state: state(row)?, expired, too_fast }, interval))
    });
    let Some((poll, interval)) = found.optional()? else { return Ok(None) };
    if poll.client_id != client {
        return Ok(Some(DevicePoll { too_fast: false, ..poll }));
    }
    let interval = if poll.too_fast { interval.saturating_add(SLOWER) } else { interval };
    db.prepare_cached(POLLED)?.execute(params![signature, now.micros(), interval])?;
    Ok(Some(poll))
}

fn state(row: &rusqlite::Row<'_>) -> rusqlite::Result<DeviceState> {
    Ok(match row.get_ref("state")?.as_str()? {
        "pending" => DeviceState::Pending,
        "denied" => DeviceState::Denied,
        "granted" => DeviceState::Granted { family_id: rows::uuid(row, "family_id")?, session: row.get("session")? },
        "redeemed" => DeviceState::Redeemed,
        _ => return Err(rusqlite::Error::InvalidColumnType(0, "state".to_owned(), rusqlite::types::Type::Text)),
    })
}
