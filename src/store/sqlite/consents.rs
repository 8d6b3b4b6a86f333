//! Consents in SQLite: granted with all that they issue, listed, revoked.

use super::clients::version;
use super::{devices, exchange, rows, tokens};
use crate::domain::world::Timestamp;
use crate::store::upkeep::DECIDED_KEPT;
use crate::store::{
    AuthorizationCode, Consent, ConsentFilter, ConsentPage, FlowVerdict, FoundCode, Grant, SignatureHash,
};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

const TAKEN: &str = "
    SELECT 1 WHERE EXISTS (SELECT 1 FROM consent WHERE id = ?1) OR EXISTS (SELECT 1 FROM token_family WHERE id = ?1)";
const ENDED: &str = "SELECT 1 FROM login_session WHERE id = ?1 AND nid = ?2 AND ended_at IS NOT NULL";
const REMEMBERED: &str = "SELECT 1 FROM consent WHERE id = ?1 AND nid = ?2 AND remember";
const INSERT_FAMILY: &str = "
    INSERT INTO token_family (id, nid, client_id, subject, shared, version) VALUES (?1, ?2, ?3, ?4, 0, 1)";

/// Writes a consent and what is issued on it, once.
pub(super) fn grant(db: &Connection, nid: &[u8], order: &Grant, now: Timestamp) -> rusqlite::Result<FlowVerdict> {
    let consent = &order.consent;
    let id = consent.id.as_bytes();
    if version(db, nid, &consent.client_id)? != Some(order.client_version) {
        return Ok(FlowVerdict::ClientChanged);
    }
    if db.prepare_cached(TAKEN)?.exists([id])? {
        return Ok(FlowVerdict::Used);
    }
    if db.prepare_cached(ENDED)?.exists(params![consent.session_id.as_bytes(), nid])? {
        return Ok(FlowVerdict::SessionEnded);
    }
    if let Some(earlier) = &order.stands_on
        && !db.prepare_cached(REMEMBERED)?.exists(params![earlier.as_bytes(), nid])?
    {
        return Ok(FlowVerdict::ConsentRevoked);
    }
    if let Some(device) = &order.device
        && !devices::grant(db, nid, &consent.id, device, now)?
    {
        return Ok(FlowVerdict::Used);
    }
    db.prepare_cached(INSERT_FAMILY)?.execute(params![id, nid, consent.client_id, consent.subject])?;
    insert(db, nid, consent, now)?;
    if let Some(code) = &order.code {
        insert_code(db, nid, code)?;
    }
    if let Some(token) = &order.access_token {
        tokens::insert(db, nid, token)?;
    }
    Ok(FlowVerdict::Done)
}

const INSERT: &str = "
    INSERT INTO consent (id, nid, client_id, subject, session_id, scope, audience, skipped, remember, remember_until,
                         requested_at, handled_at, detail, sweep_after)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

fn insert(db: &Connection, nid: &[u8], consent: &Consent, now: Timestamp) -> rusqlite::Result<()> {
    let kept = now.plus(DECIDED_KEPT);
    let sweep_after = match (consent.remember, consent.remember_until) {
        (true, until) => until.map(|until| until.max(kept)),
        (false, _) => Some(kept),
    };
    db.prepare_cached(INSERT)?.execute(params![
        consent.id.as_bytes(),
        nid,
        consent.client_id,
        consent.subject,
        consent.session_id.as_bytes(),
        rows::list_text(&consent.scope),
        rows::list_text(&consent.audience),
        consent.skipped,
        consent.remember,
        consent.remember_until.map(Timestamp::micros),
        consent.requested_at.micros(),
        now.micros(),
        consent.detail,
        sweep_after.map(Timestamp::micros),
    ])?;
    Ok(())
}

const INSERT_CODE: &str = "
    INSERT INTO authorization_code (signature, nid, family_id, client_id, redirect_uri, code_challenge, expires_at, session)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

fn insert_code(db: &Connection, nid: &[u8], code: &AuthorizationCode) -> rusqlite::Result<()> {
    db.prepare_cached(INSERT_CODE)?.execute(params![
        code.signature,
        nid,
        code.family_id.as_bytes(),
        code.client_id,
        code.redirect_uri,
        code.code_challenge,
        code.expires_at.micros(),
        code.session,
    ])?;
    Ok(())
}

const CODE: &str = "
    SELECT t.*, t.expires_at <= ?3 AS expired, f.revoked_at IS NOT NULL AS revoked
    FROM authorization_code t JOIN token_family f ON f.id = t.family_id WHERE t.signature = ?1 AND t.nid = ?2";

/// The code of that key, spent and expired ones too.
pub(super) fn code(
    db: &Connection,
    nid: &[u8],
    signature: &SignatureHash,
    now: Timestamp,
) -> rusqlite::Result<Option<FoundCode>> {
    db.prepare_cached(CODE)?.query_row(params![signature, nid, now.micros()], rows::found_code).optional()
}

const PREVIOUS: &str = "
    SELECT * FROM consent
    WHERE nid = ?1 AND client_id = ?2 AND subject = ?3 AND remember AND NOT skipped
          AND (remember_until IS NULL OR remember_until > ?4)
    ORDER BY handled_at DESC LIMIT 1";

/// The newest consent that may spare the user a question.
pub(super) fn previous(
    db: &Connection,
    nid: &[u8],
    client: &str,
    subject: &str,
    now: Timestamp,
) -> rusqlite::Result<Option<Consent>> {
    db.prepare_cached(PREVIOUS)?.query_row(params![nid, client, subject, now.micros()], rows::consent).optional()
}

const SINCE: &str = "
    SELECT id, handled_at FROM consent WHERE nid = ?1 AND handled_at >= ?2 ORDER BY handled_at, id LIMIT ?3";

/// Consents granted since then, oldest first.
pub(super) fn since(
    db: &Connection,
    nid: &[u8],
    since: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<(Uuid, Timestamp)>> {
    let found = |row: &rusqlite::Row<'_>| Ok((rows::uuid(row, "id")?, Timestamp::from_micros(row.get("handled_at")?)));
    db.prepare_cached(SINCE)?.query_map(params![nid, since.micros(), limit], found)?.collect()
}

const PAGE: &str = "
    SELECT * FROM consent
    WHERE nid = ?1 AND subject = ?2 AND NOT skipped AND (NOT remember OR remember_until IS NULL OR remember_until > ?3)
          AND (?4 IS NULL OR session_id = ?4) AND (?5 IS NULL OR (handled_at, id) < (?5, ?6))
    ORDER BY handled_at DESC, id DESC LIMIT ?7";

/// A page of consents.
pub(super) fn page(db: &Connection, nid: &[u8], page: &ConsentPage, now: Timestamp) -> rusqlite::Result<Vec<Consent>> {
    let session = page.session_id.as_ref().map(Uuid::as_bytes);
    let (at, id) = page.before.as_ref().map(|(at, id)| (at.micros(), id.as_bytes())).unzip();
    let known = params![nid, page.subject, now.micros(), session, at, id, page.limit];
    db.prepare_cached(PAGE)?.query_map(known, rows::consent)?.collect()
}

const DELETE_ONE: &str = "DELETE FROM consent WHERE nid = ?1 AND id = ?2 RETURNING id";
const DELETE_OF_CLIENT: &str = "DELETE FROM consent WHERE nid = ?1 AND client_id = ?2 AND subject = ?3 RETURNING id";
const DELETE_OF_SUBJECT: &str = "DELETE FROM consent WHERE nid = ?1 AND subject = ?2 RETURNING id";

/// Deletes consents and revokes their families; how many.
pub(super) fn revoke(db: &Connection, nid: &[u8], filter: &ConsentFilter, now: Timestamp) -> rusqlite::Result<usize> {
    let id = |row: &rusqlite::Row<'_>| rows::uuid(row, "id");
    let gone: Vec<Uuid> = match filter {
        ConsentFilter::Id(wanted) => {
            db.prepare_cached(DELETE_ONE)?.query_map(params![nid, wanted.as_bytes()], id)?.collect::<Result<_, _>>()
        }
        ConsentFilter::Client { subject, client_id } => {
            db.prepare_cached(DELETE_OF_CLIENT)?.query_map(params![nid, client_id, subject], id)?.collect()
        }
        ConsentFilter::Subject(subject) => {
            db.prepare_cached(DELETE_OF_SUBJECT)?.query_map(params![nid, subject], id)?.collect()
        }
    }?;
    for family in &gone {
        exchange::end_family(db, nid, family, now)?;
    }
    Ok(gone.len())
}

const END_OF_SESSION: &str = "
    UPDATE token_family SET revoked_at = coalesce(revoked_at, ?3), version = version + 1
    WHERE nid = ?1 AND shared = 0 AND id IN (SELECT id FROM consent WHERE nid = ?1 AND session_id = ?2)";

/// Revokes every family that was granted in a session.
pub(super) fn end_families_of_session(
    db: &Connection,
    nid: &[u8],
    session: &Uuid,
    now: Timestamp,
) -> rusqlite::Result<()> {
    db.prepare_cached(END_OF_SESSION)?.execute(params![nid, session.as_bytes(), now.micros()]).map(drop)
}

const SUBJECT: &str = "
    SELECT c.subject FROM consent c
    WHERE c.nid = ?1 AND c.session_id = ?2
      AND NOT EXISTS (SELECT 1 FROM login_session s WHERE s.id = c.session_id AND s.ended_at IS NOT NULL)
    LIMIT 1";

/// Who granted something in a session that has not ended.
pub(super) fn subject(db: &Connection, nid: &[u8], session: Uuid) -> rusqlite::Result<Option<String>> {
    db.prepare_cached(SUBJECT)?.query_row(params![nid, session.as_bytes()], |row| row.get(0)).optional()
}

const CLIENTS: &str = "
    SELECT DISTINCT client_id FROM consent WHERE nid = ?1 AND session_id = ?2 AND subject = ?3 ORDER BY client_id";

/// The clients that were granted something in a session.
pub(super) fn clients(db: &Connection, nid: &[u8], session: Uuid, subject: &str) -> rusqlite::Result<Vec<String>> {
    db.prepare_cached(CLIENTS)?.query_map(params![nid, session.as_bytes(), subject], |row| row.get(0))?.collect()
}
