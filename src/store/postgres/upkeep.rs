//! Health, sweeping and closing of the PostgreSQL store.

use super::faults::Fault;
use super::{LOCK_CLASS, LOCK_SWEEP, PostgresStore, migrate, run};
use crate::store::{Change, Migration, PoolStatus, StoreError, Sweep, SweepCounts, Upkeep};
use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Object};
use std::time::Duration;
use tokio::sync::broadcast;

const LEASE: &str = "SELECT pg_try_advisory_xact_lock($1, $2)";
const SWEEP_TOKENS: &str = "
    DELETE FROM access_token WHERE signature IN (
        SELECT signature FROM access_token WHERE expires_at <= clock_timestamp() LIMIT $1 FOR UPDATE SKIP LOCKED)";
const SWEEP_JTIS: &str = "
    DELETE FROM assertion_jti WHERE (nid, client_id, jti) IN (
        SELECT nid, client_id, jti FROM assertion_jti WHERE expires_at <= clock_timestamp()
        LIMIT $1 FOR UPDATE SKIP LOCKED)";
/// A revoked family is needed only while a token belongs to it: without its family no token is valid.
const SWEEP_FAMILIES: &str = "
    DELETE FROM token_family WHERE id IN (
        SELECT f.id FROM token_family f WHERE f.revoked_at <= clock_timestamp() AND NOT EXISTS (
            SELECT 1 FROM access_token t
            WHERE t.nid = f.nid AND t.client_id = f.client_id AND t.family_id = f.id)
        LIMIT $1 FOR UPDATE SKIP LOCKED)";

async fn delete(db: &impl GenericClient, sql: &str, limit: i64) -> Result<u64, Fault> {
    let statement = db.prepare_cached(sql).await?;
    Ok(db.execute(&statement, &[&limit]).await?)
}

async fn sweep(conn: &mut Object, limit: i64) -> Result<Sweep, Fault> {
    let tx = conn.transaction().await?;
    let statement = tx.prepare_cached(LEASE).await?;
    if !tx.query_one(&statement, &[&LOCK_CLASS, &LOCK_SWEEP]).await?.try_get::<_, bool>(0)? {
        return Ok(Sweep::Elsewhere);
    }
    let counts = SweepCounts {
        access_tokens: delete(&tx, SWEEP_TOKENS, limit).await?,
        jtis: delete(&tx, SWEEP_JTIS, limit).await?,
        families: delete(&tx, SWEEP_FAMILIES, limit).await?,
    };
    tx.commit().await?;
    Ok(Sweep::Swept(counts))
}

async fn ping(conn: &Object) -> Result<(), Fault> {
    conn.simple_query("SELECT 1").await?;
    Ok(())
}

#[async_trait]
impl Upkeep for PostgresStore {
    async fn ping(&self) -> Result<(), StoreError> {
        run!(self, |conn| ping(&*conn))
    }

    async fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        run!(self, |conn| migrate::known(&*conn))
    }

    async fn sweep(&self, limit: usize) -> Result<Sweep, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        run!(self, |conn| sweep(conn, limit))
    }

    fn pool(&self) -> Option<PoolStatus> {
        let now = self.pool.status();
        let used = now.size.saturating_sub(now.available);
        Some(PoolStatus { idle: now.available, used, max: now.max_size, waiting: now.waiting })
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.feed.subscribe()
    }

    async fn close(&self) {
        self.pool.close();
        let finished = async {
            while self.pool.status().size > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(self.deadline, finished).await;
        self.io.close();
    }
}
