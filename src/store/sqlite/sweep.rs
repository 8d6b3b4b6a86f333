//! Sweeping in SQLite. One process holds the file, so the lease is always ours.

use super::rows;
use crate::domain::world::Timestamp;
use crate::store::SweepCounts;
use crate::store::upkeep::{CONSENT_ROUND, DEAD_KEPT, DECIDED_KEPT};
use rusqlite::{Connection, params};
use uuid::Uuid;

/// At most ?2 rows whose time was over at ?1.
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
            ") IN (
                SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $over,
            " <= ?1",
            $and,
            " ORDER BY ",
            $over,
            " LIMIT ?2)"
        )
    };
}

/// Deletes a batch of what was over then; how many.
fn delete(db: &Connection, sql: &str, until: Timestamp, limit: usize, more: &mut bool) -> rusqlite::Result<u64> {
    let gone = db.prepare_cached(sql)?.execute(params![until.micros(), limit])?;
    *more |= gone >= limit;
    Ok(count(gone))
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// Tokens before families and consents, which go when nothing belongs to them any more.
pub(super) fn sweep(db: &Connection, limit: usize, now: Timestamp) -> rusqlite::Result<SweepCounts> {
    let (decided, more) = (now.minus(DECIDED_KEPT), &mut false);
    let mut counts = SweepCounts {
        access_tokens: delete(db, over!("access_token", "signature", "expires_at"), now, limit, more)?,
        in_hours: 0,
        refresh_tokens: delete(db, over!("refresh_token", "signature", "expires_at"), now, limit, more)?,
        codes: delete(db, over!("authorization_code", "signature", "expires_at"), now, limit, more)?,
        devices: delete(db, over!("device", "signature", "expires_at"), now, limit, more)?,
        jtis: delete(db, over!("assertion_jti", "nid, client_id, jti", "expires_at"), now, limit, more)?,
        guesses: delete(db, over!("device_guess", "challenge", "expires_at"), now, limit, more)?,
        login_sessions: delete(db, over!("login_session", "id", "expires_at"), decided, limit, more)?,
        flow_bodies: delete(db, over!("flow_body", "handle", "expires_at"), now, limit, more)?,
        deliveries: delete(
            db,
            over!("logout_delivery", "id", "created_at", " AND dead = 1"),
            now.minus(DEAD_KEPT),
            limit,
            more,
        )?,
        consents: consents(db, limit, now, more)?,
        families: 0,
        more: *more,
    };
    families(db, REVOKED_SHARED, limit, (now, now), &mut counts)?;
    families(db, REVOKED, limit, (decided, now), &mut counts)?;
    Ok(counts)
}

const DUE: &str = "
    SELECT id, nid, client_id FROM consent WHERE sweep_after <= ?1 ORDER BY sweep_after LIMIT ?2";
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

/// Ids with network and client, of what was due then.
fn owners(
    db: &Connection,
    sql: &str,
    until: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<(Uuid, Vec<u8>, String)>> {
    let owner = |row: &rusqlite::Row<'_>| Ok((rows::uuid(row, "id")?, row.get("nid")?, row.get("client_id")?));
    db.prepare_cached(sql)?.query_map(params![until.micros(), limit], owner)?.collect()
}

/// Deletes consents on which nothing stands any more, with their families; the others are looked at again when the
/// last of what stands on them ends.
fn consents(db: &Connection, limit: usize, now: Timestamp, more: &mut bool) -> rusqlite::Result<u64> {
    let due = owners(db, DUE, now, limit)?;
    *more |= due.len() >= limit;
    let round = now.plus(CONSENT_ROUND).micros();
    let mut gone = 0;
    for (id, nid, client) in due {
        let id = id.as_bytes();
        let known = params![nid, client, id, round];
        let ends: Option<i64> = db.prepare_cached(ENDS)?.query_row(known, |row| row.get(0))?;
        if let Some(ends) = ends {
            db.prepare_cached(LATER)?.execute(params![id, ends.clamp(now.micros(), round)])?;
        } else {
            gone += count(db.prepare_cached(DELETE_CONSENT)?.execute([id])?);
            db.prepare_cached(DELETE_FAMILY)?.execute([id])?;
        }
    }
    Ok(gone)
}

/// Families that were revoked at ?1. One of a consent keeps its id taken for a while, so that the consent cannot be
/// granted again; one that a client had for itself is needed no longer.
const REVOKED: &str = "
    SELECT id, nid, client_id FROM token_family WHERE revoked_at <= ?1 AND shared = 0 ORDER BY revoked_at LIMIT ?2";
const REVOKED_SHARED: &str = "
    SELECT id, nid, client_id FROM token_family
    WHERE revoked_at <= ?1 AND shared = 1 AND revoked_at IS NOT NULL ORDER BY revoked_at LIMIT ?2";

/// At most ?4 rows of a family.
macro_rules! of_family {
    ($table:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE signature IN (
                SELECT signature FROM ",
            $table,
            " WHERE nid = ?1 AND client_id = ?2 AND family_id = ?3 LIMIT ?4)"
        )
    };
}
/// The consent goes too, unless it may still spare the user a question.
const DELETE_SPENT_CONSENT: &str = "
    DELETE FROM consent WHERE id = ?1 AND NOT (remember AND (remember_until IS NULL OR remember_until > ?2))";

/// Deletes revoked families with all that belongs to them, a batch of each kind of row; those with more rows stay: a
/// revoked family is needed only while something belongs to it, for without its family no token is valid.
fn families(
    db: &Connection,
    revoked: &str,
    limit: usize,
    (until, now): (Timestamp, Timestamp),
    counts: &mut SweepCounts,
) -> rusqlite::Result<()> {
    let due = owners(db, revoked, until, limit)?;
    let mut left = [limit; 4];
    for (id, nid, client) in &due {
        let id = id.as_bytes();
        for (sql, left) in [
            of_family!("access_token"),
            of_family!("refresh_token"),
            of_family!("authorization_code"),
            of_family!("device"),
        ]
        .iter()
        .zip(&mut left)
        {
            *left -= db.prepare_cached(sql)?.execute(params![nid, client, id, *left])?;
        }
        let known = params![nid, client, id, i64::MAX];
        if db.prepare_cached(ENDS)?.query_row(known, |row| row.get::<_, Option<i64>>(0))?.is_some() {
            continue;
        }
        db.prepare_cached(DELETE_SPENT_CONSENT)?.execute(params![id, now.micros()])?;
        counts.families += count(db.prepare_cached(DELETE_FAMILY)?.execute([id])?);
    }
    counts.more |= due.len() >= limit || left.contains(&0);
    let [access_tokens, refresh_tokens, codes, devices] = left.map(|left| count(limit.saturating_sub(left)));
    counts.access_tokens += access_tokens;
    counts.refresh_tokens += refresh_tokens;
    counts.codes += codes;
    counts.devices += devices;
    Ok(())
}
