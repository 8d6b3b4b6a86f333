//! Codes and refresh tokens exchanged for tokens in SQLite, and families ended when one came twice. One thread writes,
//! so what a job has read holds until its commit.

use super::clients::version;
use super::{rows, tokens};
use crate::domain::world::Timestamp;
use crate::store::upkeep::USED_KEPT;
use crate::store::{Redeem, RefreshToken, Replay, Rotate, Source, Verdict};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

/// What a family must be for something of it to be used: `token_family` as `f`.
const CODE_LIVES: &str = "
    SELECT 1 FROM authorization_code t JOIN token_family f ON f.id = t.family_id
    WHERE t.signature = ?1 AND t.nid = ?2 AND t.client_id = ?3 AND t.family_id = ?4 AND t.spent_at IS NULL
          AND t.expires_at > ?5 AND f.revoked_at IS NULL";
const DEVICE_LIVES: &str = "
    SELECT 1 FROM device t JOIN token_family f ON f.id = t.family_id
    WHERE t.signature = ?1 AND t.nid = ?2 AND t.client_id = ?3 AND t.family_id = ?4 AND t.state = 'granted'
          AND t.expires_at > ?5 AND f.revoked_at IS NULL";
const SPEND_CODE: &str = "UPDATE authorization_code SET spent_at = ?2 WHERE signature = ?1";
const SPEND_DEVICE: &str = "UPDATE device SET state = 'redeemed' WHERE signature = ?1";

/// Exchanges a code, once.
pub(super) fn redeem(db: &Connection, nid: &[u8], order: &Redeem, now: Timestamp) -> rusqlite::Result<Verdict> {
    let token = &order.access;
    if version(db, nid, &token.client_id)? != Some(order.client_version) {
        return Ok(Verdict::ClientChanged);
    }
    let (key, lives) = match &order.source {
        Source::Code(key) => (key, CODE_LIVES),
        Source::Device(key) => (key, DEVICE_LIVES),
    };
    let family = token.family_id.as_bytes();
    if !db.prepare_cached(lives)?.exists(params![key, nid, token.client_id, family, now.micros()])? {
        return Ok(Verdict::Used);
    }
    if !tokens::use_jti(db, nid, order.jti.as_ref())? {
        return Ok(Verdict::JtiKnown);
    }
    match &order.source {
        Source::Code(key) => db.prepare_cached(SPEND_CODE)?.execute(params![key, now.micros()])?,
        Source::Device(key) => db.prepare_cached(SPEND_DEVICE)?.execute([key])?,
    };
    tokens::insert(db, nid, token)?;
    if let Some(refresh) = &order.refresh {
        insert_refresh(db, nid, refresh)?;
    }
    Ok(Verdict::Done)
}

const INSERT_REFRESH: &str = "
    INSERT INTO refresh_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at,
                               replayed, access_token, successor, session)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, x'', ?11)";

fn insert_refresh(db: &Connection, nid: &[u8], token: &RefreshToken) -> rusqlite::Result<()> {
    db.prepare_cached(INSERT_REFRESH)?.execute(params![
        token.signature,
        nid,
        token.family_id.as_bytes(),
        token.client_id,
        token.subject,
        rows::list_text(&token.scope),
        rows::list_text(&token.audience),
        token.requested_at.micros(),
        token.expires_at.map(Timestamp::micros),
        token.access_token,
        token.session,
    ])?;
    Ok(())
}

const REFRESH_LIVES: &str = "
    SELECT t.access_token FROM refresh_token t JOIN token_family f ON f.id = t.family_id
    WHERE t.signature = ?1 AND t.nid = ?2 AND t.client_id = ?3 AND t.family_id = ?4 AND t.used_at IS NULL
          AND (t.expires_at IS NULL OR t.expires_at > ?5) AND f.revoked_at IS NULL";
const USE_REFRESH: &str = "
    UPDATE refresh_token SET used_at = ?2, successor = ?3, expires_at = coalesce(expires_at, ?4) WHERE signature = ?1";
const DELETE_ACCESS: &str = "DELETE FROM access_token WHERE signature = ?1 AND nid = ?2 AND family_id = ?3";
const DELETE_ALL_ACCESS: &str = "DELETE FROM access_token WHERE nid = ?1 AND client_id = ?2 AND family_id = ?3";

/// Exchanges a refresh token, once.
pub(super) fn rotate(db: &Connection, nid: &[u8], order: &Rotate, now: Timestamp) -> rusqlite::Result<Verdict> {
    let token = &order.access;
    if version(db, nid, &token.client_id)? != Some(order.client_version) {
        return Ok(Verdict::ClientChanged);
    }
    let family = token.family_id.as_bytes();
    let mut statement = db.prepare_cached(REFRESH_LIVES)?;
    let known = params![order.presented, nid, token.client_id, family, now.micros()];
    let Some(former) = statement.query_row(known, |row| row.get::<_, Vec<u8>>(0)).optional()? else {
        return Ok(Verdict::Used);
    };
    if !tokens::use_jti(db, nid, order.jti.as_ref())? {
        return Ok(Verdict::JtiKnown);
    }
    let kept = now.plus(USED_KEPT).micros();
    db.prepare_cached(USE_REFRESH)?.execute(params![order.presented, now.micros(), order.successor, kept])?;
    if order.strict {
        db.prepare_cached(DELETE_ALL_ACCESS)?.execute(params![nid, token.client_id, family])?;
    } else {
        db.prepare_cached(DELETE_ACCESS)?.execute(params![former, nid, family])?;
    }
    tokens::insert(db, nid, token)?;
    insert_refresh(db, nid, &order.refresh)?;
    Ok(Verdict::Done)
}

const MAY_REPLAY: &str = "
    SELECT 1 FROM refresh_token t JOIN token_family f ON f.id = t.family_id
    WHERE t.signature = ?1 AND t.nid = ?2 AND t.used_at IS NOT NULL AND t.replayed < ?3
          AND (t.expires_at IS NULL OR t.expires_at > ?4) AND f.revoked_at IS NULL";
const COUNT_REPLAY: &str = "UPDATE refresh_token SET replayed = replayed + 1 WHERE signature = ?1";

/// Counts one more handing out of a successor.
pub(super) fn replay(db: &Connection, nid: &[u8], order: &Replay, now: Timestamp) -> rusqlite::Result<Verdict> {
    let known = params![order.presented, nid, order.most, now.micros()];
    if !db.prepare_cached(MAY_REPLAY)?.exists(known)? {
        return Ok(Verdict::Used);
    }
    if !tokens::use_jti(db, nid, order.jti.as_ref())? {
        return Ok(Verdict::JtiKnown);
    }
    db.prepare_cached(COUNT_REPLAY)?.execute([order.presented])?;
    Ok(Verdict::Done)
}

const END_FAMILY: &str = "
    UPDATE token_family SET revoked_at = coalesce(revoked_at, ?3), version = version + 1
    WHERE id = ?1 AND nid = ?2 AND shared = 0";

/// Revokes a family that is not a client's shared one; whether it was such a one.
pub(super) fn end_family(db: &Connection, nid: &[u8], family: &Uuid, now: Timestamp) -> rusqlite::Result<bool> {
    Ok(db.prepare_cached(END_FAMILY)?.execute(params![family.as_bytes(), nid, now.micros()])? > 0)
}
