//! What ends with a client or with its tokens in SQLite: families at once, rows in bounded batches.

use super::clients::INSERT_FAMILY;
use super::faults::store_error;
use super::{SqliteStore, World, rows};
use crate::domain::world::Timestamp;
use crate::store::StoreError;
use rusqlite::{Connection, params};
use uuid::Uuid;

/// How many families or rows one job ends: the others get their turn in between.
const BATCH: usize = 1000;

const END_FAMILIES: &str = "
    UPDATE token_family SET revoked_at = ?3, version = version + 1
    WHERE nid = ?1 AND client_id = ?2 AND revoked_at IS NULL";

/// Revokes every family of a client: from here on none of its tokens is valid.
pub(super) fn end_families(db: &Connection, nid: &[u8], client: &str, now: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(END_FAMILIES)?.execute(params![nid, client, now.micros()]).map(drop)
}

/// Leaves the family that a client has for itself, which must not end before the client knows its new one.
const LIVE: &str = "
    SELECT id FROM token_family WHERE nid = ?1 AND client_id = ?2 AND revoked_at IS NULL AND shared = 0 LIMIT ?3";
const END: &str = "UPDATE token_family SET revoked_at = ?2, version = version + 1 WHERE id = ?1";

/// Revokes a batch of a client's families if one job is not to revoke all that there are; whether it did.
fn end_some(db: &Connection, nid: &[u8], client: &str, now: Timestamp) -> rusqlite::Result<bool> {
    let known = params![nid, client, BATCH + 1];
    let live: Vec<Uuid> =
        db.prepare_cached(LIVE)?.query_map(known, |row| rows::uuid(row, "id"))?.collect::<rusqlite::Result<_>>()?;
    let many = live.len() > BATCH;
    for family in live.iter().filter(|_| many) {
        db.prepare_cached(END)?.execute(params![family.as_bytes(), now.micros()])?;
    }
    Ok(many)
}

/// Rows of a client's revoked families, from one family on.
macro_rules! dead {
    ($table:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE signature IN (
                SELECT t.signature FROM ",
            $table,
            " t CROSS JOIN token_family f
                WHERE t.nid = ?1 AND t.client_id = ?2 AND t.family_id >= ?4
                    AND f.id = t.family_id AND f.revoked_at IS NOT NULL
                ORDER BY t.family_id LIMIT ?3)
            RETURNING family_id"
        )
    };
}
const DEAD: [&str; 4] = [dead!("access_token"), dead!("refresh_token"), dead!("authorization_code"), dead!("device")];

/// Deletes a batch of dead rows; the family to go on from if there may be more.
fn delete_some(db: &Connection, nid: &[u8], client: &str, sql: &str, from: Uuid) -> rusqlite::Result<Option<Uuid>> {
    let known = params![nid, client, BATCH, from.as_bytes()];
    let gone: Vec<Uuid> = db
        .prepare_cached(sql)?
        .query_map(known, |row| rows::uuid(row, "family_id"))?
        .collect::<rusqlite::Result<_>>()?;
    let full = gone.len() >= BATCH;
    Ok(gone.into_iter().max().filter(|_| full))
}

/// Deletes a batch of each kind of row of the client's revoked families.
pub(super) fn delete_dead(db: &Connection, nid: &[u8], client: &str) -> rusqlite::Result<()> {
    for sql in DEAD {
        delete_some(db, nid, client, sql, Uuid::nil())?;
    }
    Ok(())
}

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

/// Deletes a batch of each kind of what a client that is gone has left; whether there may be more.
pub(super) fn delete_left(db: &Connection, nid: &[u8], client: &str) -> rusqlite::Result<bool> {
    let mut more = false;
    for sql in LEFT {
        more |= db.prepare_cached(sql)?.execute(params![nid, client, BATCH])? >= BATCH;
    }
    Ok(more)
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
    /// Revokes a client's families, a batch at a time, until one job can revoke those that are left.
    pub(super) async fn end_most_families(&self, client: &str) -> Result<(), StoreError> {
        let more = |client: String| {
            self.write(move |db, world, _| end_some(db, world.nid(db)?, &client, world.now()).map_err(store_error))
        };
        while more(client.to_owned()).await? {}
        Ok(())
    }

    /// Deletes the rows of a client's revoked families, a batch at a time.
    pub(super) async fn delete_all_dead(&self, client: &str) -> Result<(), StoreError> {
        for sql in DEAD {
            let mut from = Some(Uuid::nil());
            while let Some(family) = from {
                let client = client.to_owned();
                let job = self.write(move |db, world, _| {
                    delete_some(db, world.nid(db)?, &client, sql, family).map_err(store_error)
                });
                from = job.await?;
            }
        }
        Ok(())
    }

    /// Deletes what belonged to a client that is gone. It is not there for anybody any more, so a fault changes nothing:
    /// what stays is swept, or goes before another client of the same id is made.
    pub(super) async fn delete_rest(&self, client: &str) {
        let mut done = self.delete_all_dead(client).await;
        if done.is_ok() {
            done = self.delete_all_left(client).await;
        }
        if let Err(error) = done {
            tracing::warn!(%error, client, "rows of a client that was deleted are left for later");
        }
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
