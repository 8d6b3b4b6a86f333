//! Tokens in SQLite. One thread writes, so what a job has read holds until its commit.

use super::clients::{INSERT_FAMILY, version};
use super::faults::store_error;
use super::{SqliteStore, World, rows};
use crate::domain::world::Timestamp;
use crate::store::{AccessToken, Change, Issue, JtiUse, Revoke, SignatureHash, StoreError, TokenStore, Verdict, Write};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

/// How many dead rows one job deletes: the others get their turn in between.
const DEAD_BATCH: usize = 1000;

const INSERT: &str = "
    INSERT INTO access_token (signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at,
                              session)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

fn issue(db: &Connection, nid: &[u8], order: &Issue) -> rusqlite::Result<Verdict> {
    let token = &order.token;
    if version(db, nid, &token.client_id)? != Some(order.client_version) {
        return Ok(Verdict::ClientChanged);
    }
    if !use_jti(db, nid, order.jti.as_ref())? {
        return Ok(Verdict::JtiKnown);
    }
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
    Ok(Verdict::Done)
}

const USE_JTI: &str = "
    INSERT INTO assertion_jti (nid, client_id, jti, expires_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";

/// Whether this use is the first, or none is asked for.
fn use_jti(db: &Connection, nid: &[u8], jti: Option<&JtiUse>) -> rusqlite::Result<bool> {
    let Some(jti) = jti else { return Ok(true) };
    let written = db.prepare_cached(USE_JTI)?.execute(params![nid, jti.client_id, jti.jti, jti.expires_at.micros()])?;
    Ok(written > 0)
}

const DELETE: &str =
    "DELETE FROM access_token WHERE signature = ?1 AND nid = ?2 AND client_id = ?3 RETURNING family_id";
const END_FAMILY: &str = "
    UPDATE token_family SET revoked_at = coalesce(revoked_at, ?2), version = version + 1 WHERE id = ?1 AND shared = 0";

fn revoke(db: &Connection, nid: &[u8], order: &Revoke, now: Timestamp) -> rusqlite::Result<Verdict> {
    if !use_jti(db, nid, order.jti.as_ref())? {
        return Ok(Verdict::JtiKnown);
    }
    let family: Option<Vec<u8>> = db
        .prepare_cached(DELETE)?
        .query_row(params![order.signature, nid, order.client_id], |row| row.get(0))
        .optional()?;
    if let Some(family) = family {
        db.prepare_cached(END_FAMILY)?.execute(params![family, now.micros()])?;
    }
    Ok(Verdict::Done)
}

const VALID: &str = "
    SELECT t.* FROM access_token t JOIN token_family f ON f.id = t.family_id
    WHERE t.signature = ?1 AND t.nid = ?2 AND t.expires_at > ?3 AND f.revoked_at IS NULL";

fn valid(db: &Connection, world: &World, signature: &SignatureHash) -> Result<Option<AccessToken>, StoreError> {
    let nid = world.nid(db)?;
    let mut statement = db.prepare_cached(VALID).map_err(store_error)?;
    let mut found = statement.query(params![signature, nid, world.now().micros()]).map_err(store_error)?;
    found.next().map_err(store_error)?.map(rows::access_token).transpose()
}

const END_FAMILIES: &str = "
    UPDATE token_family SET revoked_at = ?3, version = version + 1
    WHERE nid = ?1 AND client_id = ?2 AND revoked_at IS NULL";

/// Revokes every family of a client: from here on none of its tokens is valid.
pub(super) fn end_families(db: &Connection, nid: &[u8], client: &str, now: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(END_FAMILIES)?.execute(params![nid, client, now.micros()]).map(drop)
}

const DELETE_DEAD: &str = "
    DELETE FROM access_token WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN access_token t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.nid = ?1 AND f.client_id = ?2 AND f.revoked_at IS NOT NULL LIMIT ?3)";

/// Deletes a batch of tokens of the client's revoked families; how many.
pub(super) fn delete_dead(db: &Connection, nid: &[u8], client: &str) -> rusqlite::Result<usize> {
    db.prepare_cached(DELETE_DEAD)?.execute(params![nid, client, DEAD_BATCH])
}

const NEW_FAMILY: &str = "UPDATE client SET family_id = ?3, version = version + 1 WHERE nid = ?1 AND id = ?2";

fn renew_family(db: &Connection, world: &World, client: &str, family: Uuid) -> Result<bool, StoreError> {
    let nid = world.nid(db)?;
    let work = || -> rusqlite::Result<bool> {
        end_families(db, nid, client, world.now())?;
        if db.prepare_cached(NEW_FAMILY)?.execute(params![nid, client, family.as_bytes()])? == 0 {
            return Ok(false);
        }
        db.prepare_cached(INSERT_FAMILY)?.execute(params![family.as_bytes(), nid, client])?;
        Ok(true)
    };
    work().map_err(store_error)
}

impl SqliteStore {
    /// Deletes the tokens of a client's revoked families, a batch at a time.
    pub(super) async fn delete_all_dead(&self, client: &str) -> Result<(), StoreError> {
        loop {
            let client = client.to_owned();
            let gone =
                self.write(move |db, world, _| delete_dead(db, world.nid(db)?, &client).map_err(store_error)).await?;
            if gone < DEAD_BATCH {
                return Ok(());
            }
        }
    }
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
            };
            batch.iter().map(|write| verdict(write).map_err(store_error)).collect()
        })
        .await
    }

    async fn access_token(&self, signature: &SignatureHash) -> Result<Option<AccessToken>, StoreError> {
        let signature = *signature;
        self.read(move |db, world| valid(db, world, &signature)).await
    }

    async fn delete_tokens_of_client(&self, client_id: &str, new_family: Uuid) -> Result<bool, StoreError> {
        let id = client_id.to_owned();
        let found = self
            .write(move |db, world, changes| {
                let found = renew_family(db, world, &id, new_family)?;
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
