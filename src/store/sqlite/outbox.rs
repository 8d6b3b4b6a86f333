//! Logout tokens to deliver, in SQLite.

use super::rows;
use crate::domain::world::Timestamp;
use crate::store::{Delivered, LogoutDelivery, OutboxDepth};
use rusqlite::{Connection, params};
use std::time::Duration;
use uuid::Uuid;

const INSERT: &str = "
    INSERT INTO logout_delivery (id, nid, client_id, uri, subject, session_id, attempts, next_at, dead, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?8)";

/// Puts a delivery into the outbox, due at once.
pub(super) fn insert(db: &Connection, nid: &[u8], it: &LogoutDelivery, now: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(INSERT)?.execute(params![
        it.id.as_bytes(),
        nid,
        it.client_id,
        it.uri,
        it.subject,
        it.session_id.as_bytes(),
        it.attempts,
        now.micros(),
    ])?;
    Ok(())
}

const DUE: &str = "
    SELECT * FROM logout_delivery WHERE dead = 0 AND next_at <= ?2 AND nid = ?1 ORDER BY next_at LIMIT ?3";
const LEASE: &str = "UPDATE logout_delivery SET next_at = ?2 WHERE id = ?1";

/// Takes deliveries that are due.
pub(super) fn claim(
    db: &Connection,
    nid: &[u8],
    limit: usize,
    lease: Duration,
    now: Timestamp,
) -> rusqlite::Result<Vec<LogoutDelivery>> {
    let known = params![nid, now.micros(), limit];
    let due: Vec<LogoutDelivery> =
        db.prepare_cached(DUE)?.query_map(known, rows::delivery)?.collect::<rusqlite::Result<_>>()?;
    for delivery in &due {
        db.prepare_cached(LEASE)?.execute(params![delivery.id.as_bytes(), now.plus(lease).micros()])?;
    }
    Ok(due)
}

const DONE: &str = "DELETE FROM logout_delivery WHERE id = ?1 AND nid = ?2";
/// A try fails once, however often its end is said.
const RETRY: &str = "
    UPDATE logout_delivery SET next_at = ?4, attempts = attempts + 1 WHERE id = ?1 AND nid = ?2 AND attempts = ?3";
const DEAD: &str = "UPDATE logout_delivery SET dead = 1 WHERE id = ?1 AND nid = ?2 AND attempts = ?3";

/// Says what became of the delivery of that id after so many tries that failed.
pub(super) fn settle(
    db: &Connection,
    nid: &[u8],
    (id, attempts): (Uuid, u32),
    outcome: Delivered,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let id = id.as_bytes();
    match outcome {
        Delivered::Done => db.prepare_cached(DONE)?.execute(params![id, nid]),
        Delivered::Retry(after) => {
            db.prepare_cached(RETRY)?.execute(params![id, nid, attempts, now.plus(after).micros()])
        }
        Delivered::Dead => db.prepare_cached(DEAD)?.execute(params![id, nid, attempts]),
    }
    .map(drop)
}

const DEPTH: &str = "
    SELECT coalesce(sum(dead = 0), 0), coalesce(sum(dead), 0) FROM logout_delivery WHERE nid = ?1";

/// How many are not done.
pub(super) fn depth(db: &Connection, nid: &[u8]) -> rusqlite::Result<OutboxDepth> {
    let depth = |row: &rusqlite::Row<'_>| Ok(OutboxDepth { waiting: row.get(0)?, dead: row.get(1)? });
    db.prepare_cached(DEPTH)?.query_row([nid], depth)
}
