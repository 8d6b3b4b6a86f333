//! Clients in SQLite.

use super::faults::store_error;
use super::{SqliteStore, World, ended, rows};
use crate::store::{Change, ClientPage, ClientRecord, ClientStore, Replaced, StoreError};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

pub(super) const INSERT_FAMILY: &str = "
    INSERT INTO token_family (id, nid, client_id, subject, shared, version) VALUES (?1, ?2, ?3, ?3, 1, 1)";

const INSERT: &str = "
    INSERT INTO client (nid, id, name, owner, document, secret_hash, rotated_secret_hashes, registration_token_hash,
                        family_id, version, created_at, updated_at, has_remembered_consent)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

fn insert(db: &Connection, nid: &[u8], c: &ClientRecord) -> rusqlite::Result<()> {
    let family = c.family_id.as_bytes();
    db.prepare_cached(INSERT)?.execute(params![
        nid,
        c.id,
        c.name,
        c.owner,
        c.document,
        c.secret_hash,
        rows::list_text(&c.rotated_secret_hashes),
        c.registration_token_hash,
        family,
        c.version,
        c.created_at.micros(),
        c.updated_at.micros(),
        c.has_remembered_consent,
    ])?;
    db.prepare_cached(INSERT_FAMILY)?.execute(params![family, nid, c.id])?;
    Ok(())
}

const BY_ID: &str = "SELECT * FROM client WHERE nid = ?1 AND id = ?2";

fn by_id(db: &Connection, nid: &[u8], id: &str) -> Result<Option<ClientRecord>, StoreError> {
    let read = || db.prepare_cached(BY_ID)?.query_row(params![nid, id], rows::client).optional();
    read().map_err(store_error)
}

const LIST: &str = "
    SELECT * FROM client
    WHERE nid = ?1 AND (?2 IS NULL OR id > ?2) AND (?3 IS NULL OR name = ?3) AND (?4 IS NULL OR owner = ?4)
    ORDER BY id LIMIT ?5";

fn list(db: &Connection, nid: &[u8], page: &ClientPage) -> Result<Vec<ClientRecord>, StoreError> {
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    let read = || -> rusqlite::Result<Vec<ClientRecord>> {
        let known = params![nid, page.after, page.name, page.owner, limit];
        db.prepare_cached(LIST)?.query_map(known, rows::client)?.collect()
    };
    read().map_err(store_error)
}

const REPLACE: &str = "
    UPDATE client SET name = ?4, owner = ?5, document = ?6, secret_hash = ?7, rotated_secret_hashes = ?8,
                      registration_token_hash = ?9, version = version + 1, created_at = ?10, updated_at = ?11
    WHERE nid = ?1 AND id = ?2 AND version = ?3";

fn replace(db: &Connection, nid: &[u8], c: &ClientRecord, expected: i64) -> rusqlite::Result<Replaced> {
    let written = db.prepare_cached(REPLACE)?.execute(params![
        nid,
        c.id,
        expected,
        c.name,
        c.owner,
        c.document,
        c.secret_hash,
        rows::list_text(&c.rotated_secret_hashes),
        c.registration_token_hash,
        c.created_at.micros(),
        c.updated_at.micros(),
    ])?;
    if written > 0 {
        return Ok(Replaced::Done);
    }
    Ok(match version(db, nid, &c.id)? {
        Some(_) => Replaced::Stale,
        None => Replaced::Missing,
    })
}

const VERSION: &str = "SELECT version FROM client WHERE nid = ?1 AND id = ?2";

/// The version of the client's row.
pub(super) fn version(db: &Connection, nid: &[u8], id: &str) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(VERSION)?.query_row(params![nid, id], |row| row.get(0)).optional()
}

const NOTE_REMEMBERED: &str = "
    UPDATE client SET has_remembered_consent = 1 WHERE nid = ?1 AND id = ?2 AND NOT has_remembered_consent";

const DELETE: &str = "DELETE FROM client WHERE nid = ?1 AND id = ?2";

fn delete(db: &Connection, world: &World, id: &str) -> Result<bool, StoreError> {
    let nid = world.nid(db)?;
    let gone = db.prepare_cached(DELETE).and_then(|mut s| s.execute(params![nid, id])).map_err(store_error)?;
    if gone == 0 {
        return Ok(false);
    }
    ended::end_families(db, nid, id, world.now()).map_err(store_error)?;
    ended::delete_dead(db, nid, id).map_err(store_error)?;
    ended::delete_left(db, nid, id).map_err(store_error)?;
    Ok(true)
}

#[async_trait]
impl ClientStore for SqliteStore {
    async fn create_client(&self, record: &ClientRecord) -> Result<(), StoreError> {
        self.delete_all_left(&record.id).await?;
        let record = record.clone();
        self.write(move |db, world, _| insert(db, world.nid(db)?, &record).map_err(store_error)).await
    }

    async fn client(&self, id: &str) -> Result<Option<ClientRecord>, StoreError> {
        let id = id.to_owned();
        self.read(move |db, world| by_id(db, world.nid(db)?, &id)).await
    }

    async fn clients(&self, page: &ClientPage) -> Result<Vec<ClientRecord>, StoreError> {
        let page = page.clone();
        self.read(move |db, world| list(db, world.nid(db)?, &page)).await
    }

    async fn replace_client(&self, record: &ClientRecord, expected: i64) -> Result<Replaced, StoreError> {
        let record = record.clone();
        self.write(move |db, world, changes| {
            let outcome = replace(db, world.nid(db)?, &record, expected).map_err(store_error)?;
            if outcome == Replaced::Done {
                changes.push(Change::Client(record.id));
            }
            Ok(outcome)
        })
        .await
    }

    async fn note_remembered_consent(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |db, world, changes| {
            let mut note = db.prepare_cached(NOTE_REMEMBERED).map_err(store_error)?;
            if note.execute(params![world.nid(db)?, id]).map_err(store_error)? > 0 {
                changes.push(Change::Client(id));
            }
            Ok(())
        })
        .await
    }

    async fn delete_client(&self, id: &str) -> Result<bool, StoreError> {
        self.end_most_families(id).await?;
        let owned = id.to_owned();
        let deleted = self
            .write(move |db, world, changes| {
                let deleted = delete(db, world, &owned)?;
                if deleted {
                    changes.push(Change::Client(owned));
                }
                Ok(deleted)
            })
            .await?;
        if deleted {
            self.delete_rest(id).await;
        }
        Ok(deleted)
    }
}
