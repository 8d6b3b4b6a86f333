//! Login sessions in SQLite: remembered, extended, ended.

use crate::domain::world::Timestamp;
use crate::store::{FlowVerdict, ForcedSubject, Login, LoginSession, Logout};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{consents, outbox, rows};

const REMEMBER: &str = "
    INSERT INTO login_session (id, nid, subject, authenticated_at, expires_at, identity_provider_session_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
const EXTEND: &str = "
    UPDATE login_session SET expires_at = ?3
    WHERE id = ?1 AND nid = ?2 AND ended_at IS NULL AND expires_at > ?4";
const END: &str = "UPDATE login_session SET ended_at = ?3 WHERE id = ?1 AND nid = ?2 AND ended_at IS NULL";
const FORCE: &str = "
    INSERT INTO forced_subject (nid, client_id, subject, forced) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (nid, client_id, subject) DO UPDATE SET forced = excluded.forced";

/// Writes a login.
pub(super) fn login(db: &Connection, nid: &[u8], order: &Login, now: Timestamp) -> rusqlite::Result<FlowVerdict> {
    if let Some(session) = &order.remember
        && !remember(db, nid, session)?
    {
        return Ok(FlowVerdict::Used);
    }
    if let Some((id, until)) = &order.extend {
        db.prepare_cached(EXTEND)?.execute(params![id.as_bytes(), nid, until.micros(), now.micros()])?;
    }
    if let Some(id) = &order.ends {
        db.prepare_cached(END)?.execute(params![id.as_bytes(), nid, now.micros()])?;
    }
    if let Some(ForcedSubject { client_id, subject, forced }) = &order.forced {
        db.prepare_cached(FORCE)?.execute(params![nid, client_id, subject, forced])?;
    }
    Ok(FlowVerdict::Done)
}

fn remember(db: &Connection, nid: &[u8], session: &LoginSession) -> rusqlite::Result<bool> {
    let written = db.prepare_cached(REMEMBER)?.execute(params![
        session.id.as_bytes(),
        nid,
        session.subject,
        session.authenticated_at.micros(),
        session.expires_at.micros(),
        session.identity_provider_session_id,
    ])?;
    Ok(written > 0)
}

/// Leaves a row for a session that was not remembered too.
const LOGOUT: &str = "
    INSERT INTO login_session (id, nid, subject, authenticated_at, expires_at, ended_at, identity_provider_session_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?4, '')
    ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, expires_at = max(expires_at, excluded.expires_at)
    WHERE ended_at IS NULL";

/// Ends a session, once, unless it has a client that the order does not know.
pub(super) fn logout(db: &Connection, nid: &[u8], order: &Logout, now: Timestamp) -> rusqlite::Result<FlowVerdict> {
    let (id, until) = (order.session_id.as_bytes(), order.keep_until.micros());
    let clients = consents::clients(db, nid, order.session_id, &order.subject)?;
    if clients.iter().any(|client| !order.clients.contains(client)) {
        return Ok(FlowVerdict::ClientChanged);
    }
    if db.prepare_cached(LOGOUT)?.execute(params![id, nid, order.subject, now.micros(), until])? == 0 {
        return Ok(FlowVerdict::Used);
    }
    if order.revoke_tokens {
        consents::end_families_of_session(db, nid, &order.session_id, now)?;
    }
    for delivery in &order.deliveries {
        outbox::insert(db, nid, delivery, now)?;
    }
    Ok(FlowVerdict::Done)
}

const BY_ID: &str = "
    SELECT * FROM login_session WHERE id = ?1 AND nid = ?2 AND ended_at IS NULL AND expires_at > ?3";

/// The session of that id, unless it has ended.
pub(super) fn by_id(db: &Connection, nid: &[u8], id: Uuid, now: Timestamp) -> rusqlite::Result<Option<LoginSession>> {
    let known = params![id.as_bytes(), nid, now.micros()];
    db.prepare_cached(BY_ID)?.query_row(known, rows::login_session).optional()
}

const END_OF_SUBJECT: &str = "
    UPDATE login_session SET ended_at = ?3 WHERE nid = ?1 AND subject = ?2 AND ended_at IS NULL AND expires_at > ?3";

/// Ends every session of a subject; how many.
pub(super) fn end_of_subject(db: &Connection, nid: &[u8], subject: &str, now: Timestamp) -> rusqlite::Result<usize> {
    db.prepare_cached(END_OF_SUBJECT)?.execute(params![nid, subject, now.micros()])
}

const FORCED: &str = "SELECT forced FROM forced_subject WHERE nid = ?1 AND client_id = ?2 AND subject = ?3";

/// The name a client was told to know a subject by.
pub(super) fn forced(db: &Connection, nid: &[u8], client: &str, subject: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached(FORCED)?.query_row(params![nid, client, subject], |row| row.get(0)).optional()
}
