//! JSON Web Keys in SQLite.

use super::faults::store_error;
use super::{SqliteStore, rows};
use crate::store::{Change, KeyChange, KeyDecision, KeyRow, KeyStore, StoreError};
use async_trait::async_trait;
use rusqlite::{Connection, params};

const OF_SETS: &str = "
    SELECT * FROM json_web_key WHERE nid = ?1 AND set_id IN (SELECT value FROM json_each(?2))
    ORDER BY created_at DESC, set_id, kid";

fn of_sets(db: &Connection, nid: &[u8], sets: &[String]) -> Result<Vec<KeyRow>, StoreError> {
    let read = || -> rusqlite::Result<Vec<KeyRow>> {
        db.prepare_cached(OF_SETS)?.query_map(params![nid, rows::list_text(sets)], rows::key)?.collect()
    };
    read().map_err(store_error)
}

const SETS: &str = "SELECT DISTINCT set_id FROM json_web_key WHERE nid = ?1 ORDER BY set_id";

fn sets(db: &Connection, nid: &[u8]) -> Result<Vec<String>, StoreError> {
    let read = || -> rusqlite::Result<Vec<String>> {
        db.prepare_cached(SETS)?.query_map(params![nid], |row| row.get(0))?.collect()
    };
    read().map_err(store_error)
}

const PUT: &str = "
    INSERT INTO json_web_key (nid, set_id, kid, alg, sealed, created_at, activates_at, retires_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (nid, set_id, kid) DO UPDATE SET alg = excluded.alg, sealed = excluded.sealed,
        created_at = excluded.created_at, activates_at = excluded.activates_at, retires_at = excluded.retires_at";
const RETIRE: &str = "UPDATE json_web_key SET retires_at = ?4 WHERE nid = ?1 AND set_id = ?2 AND kid = ?3";
const DELETE: &str = "DELETE FROM json_web_key WHERE nid = ?1 AND set_id = ?2 AND kid = ?3";
const DELETE_SET: &str = "DELETE FROM json_web_key WHERE nid = ?1 AND set_id = ?2";

fn apply(db: &Connection, nid: &[u8], change: &KeyChange) -> rusqlite::Result<usize> {
    match change {
        KeyChange::Put(key) => db.prepare_cached(PUT)?.execute(params![
            nid,
            key.set,
            key.kid,
            key.alg,
            key.sealed,
            key.created_at.micros(),
            key.activates_at.micros(),
            key.retires_at.map(|at| at.micros()),
        ]),
        KeyChange::Retire { set, kid, at } => db.prepare_cached(RETIRE)?.execute(params![nid, set, kid, at.micros()]),
        KeyChange::Delete { set, kid } => db.prepare_cached(DELETE)?.execute(params![nid, set, kid]),
        KeyChange::DeleteSet { set } => db.prepare_cached(DELETE_SET)?.execute(params![nid, set]),
    }
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn keys(&self, sets: &[String]) -> Result<Vec<KeyRow>, StoreError> {
        let sets = sets.to_vec();
        self.read(move |db, world| of_sets(db, world.nid(db)?, &sets)).await
    }

    async fn key_sets(&self) -> Result<Vec<String>, StoreError> {
        self.read(move |db, world| sets(db, world.nid(db)?)).await
    }

    async fn change_keys(&self, sets: &[String], mut decide: KeyDecision) -> Result<Vec<KeyRow>, StoreError> {
        let sets = sets.to_vec();
        self.write(move |db, world, changes| {
            let nid = world.nid(db)?;
            let found = of_sets(db, nid, &sets)?;
            let orders = decide(&found, world.now());
            if orders.is_empty() {
                return Ok(found);
            }
            for order in &orders {
                apply(db, nid, order).map_err(store_error)?;
            }
            changes.push(Change::Keys);
            of_sets(db, nid, &sets)
        })
        .await
    }
}
