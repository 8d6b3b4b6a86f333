//! Tokens in SQLite. One thread writes, so what a job has read holds until its commit.

use super::clients::version;
use super::faults::store_error;
use super::{SqliteStore, World, ended, exchange, rows};
use crate::domain::world::Timestamp;
use crate::store::{
    AccessKey, AccessToken, Change, FoundRefresh, Issue, JtiUse, Revoke, Revoked, SignatureHash, StoreError,
    TokenStore, Verdict, Write,
};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

const INSERT: &str = "
    INSERT INTO access_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at,
                              session)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Writes an access token.
pub(super) fn insert(db: &Connection, nid: &[u8], token: &AccessToken) -> rusqlite::Result<()> {
    db.prepare_cached(INSERT)?.execute(params![
        token.signature,
        nid,
        token.family_id.as_bytes(),
        token.client_id,
        token.subject,
        rows::list_text(&token.scope),
        rows::list_text(&token.audience),
        token.requested_at.micros(),
        token.expires_at.micros(),
        token.session,
    ])?;
    Ok(())
}

fn issue(db: &Connection, nid: &[u8], order: &Issue) -> rusqlite::Result<Verdict> {
    let token = &order.token;
    if version(db, nid, &token.client_id)? != Some(order.client_version) {
        return Ok(Verdict::ClientChanged);
    }
    if !use_jti(db, nid, order.jti.as_ref())? {
        return Ok(Verdict::JtiKnown);
    }
    insert(db, nid, token)?;
    Ok(Verdict::Done)
}

const USE_JTI: &str = "
    INSERT INTO assertion_jti (nid, client_id, jti, expires_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";

/// Whether this use is the first, or none is asked for.
pub(super) fn use_jti(db: &Connection, nid: &[u8], jti: Option<&JtiUse>) -> rusqlite::Result<bool> {
    let Some(jti) = jti else { return Ok(true) };
    let written = db.prepare_cached(USE_JTI)?.execute(params![nid, jti.client_id, jti.jti, jti.expires_at.micros()])?;
    Ok(written > 0)
}

const DELETE: &str =
    "DELETE FROM access_token WHERE signature = ?1 AND nid = ?2 AND client_id = ?3 RETURNING family_id";
const FAMILY_OF_REFRESH: &str =
    "SELECT family_id FROM refresh_token WHERE signature = ?1 AND nid = ?2 AND client_id = ?3";

fn revoke(db: &Connection, nid: &[u8], order: &Revoke, now: Timestamp) -> rusqlite::Result<Verdict> {
    if !use_jti(db, nid, order.jti.as_ref())? {
        return Ok(Verdict::JtiKnown);
    }
    let (sql, key) = match &order.token {
        Revoked::Access(key) => (DELETE, key.as_slice()),
        Revoked::Refresh(key) => (FAMILY_OF_REFRESH, key.as_slice()),
    };
    let mut statement = db.prepare_cached(sql)?;
    let family =
        statement.query_row(params![key, nid, order.client_id], |row| rows::uuid(row, "family_id")).optional()?;
    Ok(Verdict::Revoked(match family {
        Some(family) if exchange::end_family(db, nid, &family, now)? => Some(family),
        _ => None,
    }))
}

const VALID: &str = "
    SELECT t.* FROM access_token t JOIN token_family f ON f.id = t.family_id
    WHERE t.signature = ?1 AND t.nid = ?2 AND t.expires_at > ?3 AND f.revoked_at IS NULL";

fn valid(db: &Connection, world: &World, signature: &AccessKey) -> Result<Option<AccessToken>, StoreError> {
    let known = params![signature, world.nid(db)?, world.now().micros()];
    let read = || db.prepare_cached(VALID)?.query_row(known, rows::access_token).optional();
    read().map_err(store_error)
}

const REFRESH: &str = "
    SELECT t.*, coalesce(t.expires_at <= ?3, 0) AS expired, f.revoked_at IS NOT NULL AS revoked
    FROM refresh_token t JOIN token_family f ON f.id = t.family_id WHERE t.signature = ?1 AND t.nid = ?2";

fn refresh(db: &Connection, world: &World, signature: &SignatureHash) -> Result<Option<FoundRefresh>, StoreError> {
    let (nid, now) = (world.nid(db)?, world.now());
    let known = params![signature, nid, now.micros()];
    let read = || db.prepare_cached(REFRESH)?.query_row(known, |row| rows::found_refresh(row, now)).optional();
    read().map_err(store_error)
}

#[async_trait]
impl TokenStore for SqliteStore {
    async fn write_tokens(&self, batch: &[Write]) -> Result<Vec<Verdict>, StoreError> {
        let batch = batch.to_vec();
        self.write(move |db, world, _| {
            let (nid, now) = (world.nid(db)?, world.now());
            let verdict = |write: &Write| match write {
                Write::Issue(order) => issue(db, nid, order),
                Write::Revoke(order) => revoke(db, nid, order, now),
                Write::Redeem(order) => exchange::redeem(db, nid, order, now),
                Write::Rotate(order) => exchange::rotate(db, nid, order, now),
                Write::Replay(order) => exchange::replay(db, nid, order, now),
                Write::RevokeFamily(family) => exchange::end_family(db, nid, family, now).map(|_| Verdict::Done),
            };
            batch.iter().map(|write| verdict(write).map_err(store_error)).collect()
        })
        .await
    }

    async fn access_token(&self, signature: &AccessKey) -> Result<Option<AccessToken>, StoreError> {
        let signature = *signature;
        self.read(move |db, world| valid(db, world, &signature)).await
    }

    async fn access_tokens(&self, signatures: &[AccessKey]) -> Result<Vec<Option<AccessToken>>, StoreError> {
        let signatures = signatures.to_vec();
        self.read(move |db, world| signatures.iter().map(|signature| valid(db, world, signature)).collect()).await
    }

    async fn refresh_token(&self, signature: &SignatureHash) -> Result<Option<FoundRefresh>, StoreError> {
        let signature = *signature;
        self.read(move |db, world| refresh(db, world, &signature)).await
    }

    async fn delete_tokens_of_client(&self, client_id: &str, new_family: Uuid) -> Result<bool, StoreError> {
        self.end_most_families(client_id).await?;
        let id = client_id.to_owned();
        let found = self
            .write(move |db, world, changes| {
                let found = ended::renew_family(db, world, &id, new_family)?;
                if found {
                    changes.push(Change::Client(id));
                }
                Ok(found)
            })
            .await?;
        self.delete_all_dead(client_id).await?;
        Ok(found)
    }
}
