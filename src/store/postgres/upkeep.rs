//! Health and closing of the PostgreSQL store.

use super::faults::Fault;
use super::rows::Moment;
use super::{PostgresStore, migrate, partitions, run, sweep};
use crate::domain::world::Timestamp;
use crate::store::{Change, Migration, PoolStatus, StoreError, Sweep, SweepCounts, Upkeep};
use async_trait::async_trait;
use deadpool_postgres::Object;
use std::time::Duration;
use tokio::sync::broadcast;

const PING: &str = "SELECT clock_timestamp()";

async fn ping(conn: &Object) -> Result<Timestamp, Fault> {
    let statement = conn.prepare_cached(PING).await?;
    Ok(conn.query_one(&statement, &[]).await?.try_get::<_, Moment>(0)?.0)
}

#[async_trait]
impl Upkeep for PostgresStore {
    async fn ping(&self) -> Result<Timestamp, StoreError> {
        run!(self, |conn| ping(&*conn))
    }

    async fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        run!(self, |conn| migrate::known(&*conn))
    }

    async fn sweep(&self, limit: usize) -> Result<Sweep, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(match run!(self, |conn| sweep::sweep(conn, limit))? {
            Sweep::Swept(counts) if !counts.more => {
                Sweep::Swept(SweepCounts { in_hours: run!(self, |conn| partitions::keep(conn, self.life))?, ..counts })
            }
            other => other,
        })
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
