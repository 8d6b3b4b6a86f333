//! Health and closing of the SQLite store.

use super::faults::store_error;
use super::{SqliteStore, migrate, sweep};
use crate::domain::world::Timestamp;
use crate::store::{Change, Migration, StoreError, Sweep, Upkeep};
use async_trait::async_trait;
use std::sync::PoisonError;
use tokio::sync::broadcast;

#[async_trait]
impl Upkeep for SqliteStore {
    async fn ping(&self) -> Result<Timestamp, StoreError> {
        self.read(|db, world| db.query_row("SELECT 1", [], |_| Ok(world.now())).map_err(store_error)).await
    }

    async fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        self.read(|db, _| migrate::known(db).map_err(store_error)).await
    }

    async fn sweep(&self, limit: usize) -> Result<Sweep, StoreError> {
        self.write(move |db, world, _| {
            let swept = sweep::sweep(db, limit, world.now()).map_err(store_error)?;
            Ok(Sweep::Swept(swept))
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
