//! Health, sweeping and closing of the SQLite store. One process holds the file, so the lease is always ours.

use super::faults::store_error;
use super::{SqliteStore, migrate};
use crate::store::{Change, Migration, StoreError, Sweep, SweepCounts, Upkeep};
use async_trait::async_trait;
use rusqlite::{Connection, params};
use std::sync::PoisonError;
use tokio::sync::broadcast;

const SWEEP_TOKENS: &str = "
    DELETE FROM access_token WHERE signature IN (
        SELECT signature FROM access_token WHERE expires_at <= ?1 LIMIT ?2)";
const SWEEP_JTIS: &str = "
    DELETE FROM assertion_jti WHERE (nid, client_id, jti) IN (
        SELECT nid, client_id, jti FROM assertion_jti WHERE expires_at <= ?1 LIMIT ?2)";
/// A revoked family is needed only while a token belongs to it: without its family no token is valid.
const SWEEP_FAMILIES: &str = "
    DELETE FROM token_family WHERE id IN (
        SELECT f.id FROM token_family f WHERE f.revoked_at <= ?1 AND NOT EXISTS (
            SELECT 1 FROM access_token t
            WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id) LIMIT ?2)";

fn delete(db: &Connection, sql: &str, now: i64, limit: i64) -> Result<u64, StoreError> {
    let gone = db.prepare_cached(sql).and_then(|mut s| s.execute(params![now, limit])).map_err(store_error)?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}

#[async_trait]
impl Upkeep for SqliteStore {
    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|db, _| db.query_row("SELECT 1", [], |_| Ok(())).map_err(store_error)).await
    }

    async fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        self.read(|db, _| migrate::known(db).map_err(store_error)).await
    }

    async fn sweep(&self, limit: usize) -> Result<Sweep, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.write(move |db, world, _| {
            let now = world.now().micros();
            Ok(Sweep::Swept(SweepCounts {
                access_tokens: delete(db, SWEEP_TOKENS, now, limit)?,
                jtis: delete(db, SWEEP_JTIS, now, limit)?,
                families: delete(db, SWEEP_FAMILIES, now, limit)?,
            }))
        })
        .await
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.feed.subscribe()
    }

    async fn close(&self) {
        if let Some(readers) = &self.readers {
            readers.close();
        }
        self.writer.close().await;
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
