//! Sweeping in SQLite. One process holds the file, so the lease is always ours.

use super::rows;
use crate::domain::world::Timestamp;
use crate::store::SweepCounts;
use crate::store::upkeep::{CONSENT_ROUND, DEAD_KEPT, DECIDED_KEPT};
use rusqlite::{Connection, params};
use uuid::Uuid;

const ACCESS_TOKENS: [&str; 2] = [
    "DELETE FROM access_token WHERE signature IN (
        SELECT signature FROM access_token WHERE expires_at <= ?1 LIMIT ?2)",
    "DELETE FROM access_token WHERE signature IN (
        SELECT t.signature FROM token_family f CROSS JOIN access_token t
        WHERE f.revoked_at <= ?1 AND t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id LIMIT ?2)",
];
const REFRESH_TOKENS: [&str; 2] = [
    "DELETE FROM refresh_token WHERE signature IN (
        SELECT signature FROM refresh_token WHERE expires_at <= ?1 LIMIT ?2)",
    "DELETE FROM refresh_token WHERE signature IN (
        SELECT t.signature FROM token_family f CROSS JOIN refresh_token t
        WHERE f.revoked_at <= ?1 AND t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id LIMIT ?2)",
];
const CODES: [&str; 2] = [
    "DELETE FROM authorization_code WHERE signature IN (
        SELECT signature FROM authorization_code WHERE expires_at <= ?1 LIMIT ?2)",
    "DELETE FROM authorization_code WHERE signature IN (
        SELECT t.signature FROM token_family f CROSS JOIN authorization_code t
        WHERE f.revoked_at <= ?1 AND t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id LIMIT ?2)",
];
const DEVICES: [&str; 2] = [
    "DELETE FROM device WHERE signature IN (SELECT signature FROM device WHERE expires_at <= ?1 LIMIT ?2)",
    "DELETE FROM device WHERE signature IN (
        SELECT t.signature FROM token_family f CROSS JOIN device t
        WHERE f.revoked_at <= ?1 AND t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id LIMIT ?2)",
];
const JTIS: [&str; 1] = ["
    DELETE FROM assertion_jti WHERE (nid, client_id, jti) IN (
        SELECT nid, client_id, jti FROM assertion_jti WHERE expires_at <= ?1 LIMIT ?2)"];
const GUESSES: [&str; 1] = ["
    DELETE FROM device_guess WHERE challenge IN (
        SELECT challenge FROM device_guess WHERE expires_at <= ?1 LIMIT ?2)"];
const FLOW_BODIES: [&str; 1] = ["
    DELETE FROM flow_body WHERE handle IN (SELECT handle FROM flow_body WHERE expires_at <= ?1 LIMIT ?2)"];
const LOGIN_SESSIONS: [&str; 1] = ["
    DELETE FROM login_session WHERE id IN (SELECT id FROM login_session WHERE expires_at <= ?1 LIMIT ?2)"];
const DELIVERIES: [&str; 1] = ["
    DELETE FROM logout_delivery WHERE id IN (
        SELECT id FROM logout_delivery WHERE dead = 1 AND created_at <= ?1 LIMIT ?2)"];

fn delete(db: &Connection, kinds: &[&str], until: Timestamp, limit: usize) -> rusqlite::Result<u64> {
    let mut gone = 0;
    for sql in kinds {
        gone += count(db.prepare_cached(sql)?.execute(params![until.micros(), limit])?);
    }
    Ok(gone)
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// Tokens before families and consents, which go when nothing belongs to them any more.
pub(super) fn sweep(db: &Connection, nid: &[u8], limit: usize, now: Timestamp) -> rusqlite::Result<SweepCounts> {
    let decided = now.minus(DECIDED_KEPT);
    Ok(SweepCounts {
        access_tokens: delete(db, &ACCESS_TOKENS, now, limit)?,
        refresh_tokens: delete(db, &REFRESH_TOKENS, now, limit)?,
        codes: delete(db, &CODES, now, limit)?,
        devices: delete(db, &DEVICES, now, limit)?,
        jtis: delete(db, &JTIS, now, limit)?,
        guesses: delete(db, &GUESSES, now, limit)?,
        login_sessions: delete(db, &LOGIN_SESSIONS, decided, limit)?,
        flow_bodies: delete(db, &FLOW_BODIES, now, limit)?,
        deliveries: delete(db, &DELIVERIES, now.minus(DEAD_KEPT), limit)?,
        consents: consents(db, nid, limit, now)?,
        families: families(db, limit, now)?,
    })
}

const DUE: &str = "
    SELECT id, client_id FROM consent WHERE nid = ?1 AND sweep_after <= ?2 ORDER BY sweep_after LIMIT ?3";
/// When the last row of a family ends; null when it has none.
const ENDS: &str = "
    SELECT max(at) FROM (
        SELECT max(expires_at) AS at FROM access_token WHERE nid = ?1 AND client_id = ?2 AND family_id = ?3
        UNION ALL
        SELECT max(coalesce(expires_at, ?4)) FROM refresh_token WHERE nid = ?1 AND client_id = ?2 AND family_id = ?3
        UNION ALL
        SELECT max(expires_at) FROM authorization_code WHERE nid = ?1 AND client_id = ?2 AND family_id = ?3
        UNION ALL
        SELECT max(expires_at) FROM device WHERE nid = ?1 AND client_id = ?2 AND family_id = ?3)";
const LATER: &str = "UPDATE consent SET sweep_after = ?2 WHERE id = ?1";
const DELETE_CONSENT: &str = "DELETE FROM consent WHERE id = ?1";
const DELETE_FAMILY: &str = "DELETE FROM token_family WHERE id = ?1";

/// Deletes consents on which nothing stands any more, with their families; the others are looked at again when the
/// last of what stands on them ends.
fn consents(db: &Connection, nid: &[u8], limit: usize, now: Timestamp) -> rusqlite::Result<u64> {
    let due: Vec<(Uuid, String)> = db
        .prepare_cached(DUE)?
        .query_map(params![nid, now.micros(), limit], |row| Ok((rows::uuid(row, "id")?, row.get("client_id")?)))?
        .collect::<rusqlite::Result<_>>()?;
    let round = now.plus(CONSENT_ROUND).micros();
    let mut gone = 0;
    for (id, client) in due {
        let id = id.as_bytes();
        let ends: Option<i64> =
            db.prepare_cached(ENDS)?.query_row(params![nid, client, id, round], |row| row.get(0))?;
        if let Some(ends) = ends {
            db.prepare_cached(LATER)?.execute(params![id, ends.clamp(now.micros(), round)])?;
        } else {
            gone += count(db.prepare_cached(DELETE_CONSENT)?.execute([id])?);
            db.prepare_cached(DELETE_FAMILY)?.execute([id])?;
        }
    }
    Ok(gone)
}

/// A revoked family is needed only while something belongs to it: without its family no token is valid. One of a
/// consent keeps its id taken for a while.
const EMPTY: &str = "
    SELECT f.id FROM token_family f
    WHERE f.revoked_at <= ?1 AND (f.shared OR f.revoked_at <= ?2)
        AND NOT EXISTS (SELECT 1 FROM access_token t
            WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)
        AND NOT EXISTS (SELECT 1 FROM refresh_token t
            WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)
        AND NOT EXISTS (SELECT 1 FROM authorization_code t
            WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)
        AND NOT EXISTS (SELECT 1 FROM device t
            WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)
    LIMIT ?3";
/// The consent goes too, unless it may still spare the user a question.
const DELETE_SPENT_CONSENT: &str = "
    DELETE FROM consent WHERE id = ?1 AND NOT (remember AND (remember_until IS NULL OR remember_until > ?2))";

fn families(db: &Connection, limit: usize, now: Timestamp) -> rusqlite::Result<u64> {
    let known = params![now.micros(), now.minus(DECIDED_KEPT).micros(), limit];
    let empty: Vec<Uuid> =
        db.prepare_cached(EMPTY)?.query_map(known, |row| rows::uuid(row, "id"))?.collect::<rusqlite::Result<_>>()?;
    for id in &empty {
        db.prepare_cached(DELETE_SPENT_CONSENT)?.execute(params![id.as_bytes(), now.micros()])?;
        db.prepare_cached(DELETE_FAMILY)?.execute([id.as_bytes()])?;
    }
    Ok(count(empty.len()))
}
