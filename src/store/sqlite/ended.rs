//! What ends with a client or with its tokens in SQLite: families at once, rows in bounded batches.

use super::clients::INSERT_FAMILY;
use super::faults::store_error;
use super::{SqliteStore, World};
use crate::domain::world::Timestamp;
use crate::store::StoreError;
use rusqlite::{Connection, params};
use uuid::Uuid;

/// How many rows of a kind one job deletes: the others get their turn in between.
const BATCH: usize = 1000;

const END_FAMILIES: &str = "
    UPDATE token_family SET revoked_at = ?3, version = version + 1
    WHERE nid = ?1 AND client_id = ?2 AND revoked_at IS NULL";

/// Revokes every family of a client: from here on none of its tokens is valid.
pub(super) fn end_families(db: &Connection, nid: &[u8], client: &str, now: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(END_FAMILIES)?.execute(params![nid, client, now.micros()]).map(drop)
}

/// Rows of a client's revoked families.
const DEAD: [&str; 4] = [
    "DELETE FROM access_token WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN access_token t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.nid = ?1 AND f.client_id = ?2 AND f.revoked_at IS NOT NULL LIMIT ?3)",
    "DELETE FROM refresh_token WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN refresh_token t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.nid = ?1 AND f.client_id = ?2 AND f.revoked_at IS NOT NULL LIMIT ?3)",
    "DELETE FROM authorization_code WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN authorization_code t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.nid = ?1 AND f.client_id = ?2 AND f.revoked_at IS NOT NULL LIMIT ?3)",
    "DELETE FROM device WHERE signature IN (
        SELECT t.signature FROM token_family f
        JOIN device t ON t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id
        WHERE f.nid = ?1 AND f.client_id = ?2 AND f.revoked_at IS NOT NULL LIMIT ?3)",
];

/// What is left of a client that is gone, so that another one of the same id does not find it.
const LEFT: [&str; 3] = [
    "DELETE FROM consent WHERE id IN (SELECT id FROM consent WHERE nid = ?1 AND client_id = ?2 LIMIT ?3)
        AND NOT EXISTS (SELECT 1 FROM client WHERE nid = ?1 AND id = ?2)",
    "DELETE FROM device WHERE signature IN (SELECT signature FROM device WHERE nid = ?1 AND client_id = ?2 LIMIT ?3)
        AND NOT EXISTS (SELECT 1 FROM client WHERE nid = ?1 AND id = ?2)",
    "DELETE FROM forced_subject WHERE nid = ?1 AND client_id = ?2
        AND subject IN (SELECT subject FROM forced_subject WHERE nid = ?1 AND client_id = ?2 LIMIT ?3)
        AND NOT EXISTS (SELECT 1 FROM client WHERE nid = ?1 AND id = ?2)",
];

/// Deletes a batch of each; whether there may be more.
fn delete(db: &Connection, nid: &[u8], client: &str, kinds: &[&str]) -> rusqlite::Result<bool> {
    let mut more = false;
    for sql in kinds {
        more |= db.prepare_cached(sql)?.execute(params![nid, client, BATCH])? >= BATCH;
    }
    Ok(more)
}

/// Deletes a batch of each kind of row of the client's revoked families; whether there may be more.
pub(super) fn delete_dead(db: &Connection, nid: &[u8], client: &str) -> rusqlite::Result<bool> {
    delete(db, nid, client, &DEAD)
}

/// Deletes a batch of each kind of what a client that is gone has left; whether there may be more.
pub(super) fn delete_left(db: &Connection, nid: &[u8], client: &str) -> rusqlite::Result<bool> {
    delete(db, nid, client, &LEFT)
}

const NEW_FAMILY: &str = "UPDATE client SET family_id = ?3, version = version + 1 WHERE nid = ?1 AND id = ?2";

/// Revokes all families of a client and gives it a new shared one; whether there is such a client.
pub(super) fn renew_family(db: &Connection, world: &World, client: &str, family: Uuid) -> Result<bool, StoreError> {
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
    /// Deletes the rows of a client's revoked families, a batch at a time.
    pub(super) async fn delete_all_dead(&self, client: &str) -> Result<(), StoreError> {
        let more = |client: String| {
            self.write(move |db, world, _| delete_dead(db, world.nid(db)?, &client).map_err(store_error))
        };
        while more(client.to_owned()).await? {}
        Ok(())
    }

    /// Deletes all that a client that is gone has left, a batch at a time.
    pub(super) async fn delete_all_left(&self, client: &str) -> Result<(), StoreError> {
        let more = |client: String| {
            self.write(move |db, world, _| delete_left(db, world.nid(db)?, &client).map_err(store_error))
        };
        while more(client.to_owned()).await? {}
        Ok(())
    }
}
