//! A store that tells how long each verb took: one metric and one span a verb, whichever database is behind it.

use super::{
    AccessToken, Change, ClientPage, ClientRecord, ClientStore, KeyDecision, KeyRow, KeyStore, Migration, PoolStatus,
    Replaced, SignatureHash, Store, StoreError, Sweep, TokenStore, Upkeep, Verdict, Write,
};
use crate::telemetry::metrics::Metrics;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::broadcast;
use tracing::{Instrument, info_span};
use uuid::Uuid;

/// Every verb that is measured.
const VERBS: [&str; 13] = [
    "create_client",
    "client",
    "clients",
    "replace_client",
    "delete_client",
    "write_tokens",
    "access_token",
    "delete_tokens_of_client",
    "keys",
    "change_keys",
    "ping",
    "migrations",
    "sweep",
];

/// The store within, measured.
pub struct Measured {
    within: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl Measured {
    /// Measures `within`; all series are there from the start.
    pub fn new(within: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        metrics.register_db_operations(&VERBS);
        Self { within, metrics }
    }

    async fn time<T>(&self, verb: &'static str, work: impl Future<Output = T>) -> T {
        let timer = self.metrics.db_operation(verb);
        let span = info_span!("store", otel.name = verb, otel.kind = "client", db.operation.name = verb);
        let done = work.instrument(span).await;
        drop(timer);
        if let Some(pool) = self.within.pool() {
            self.metrics.db_pool(pool.idle, pool.used, pool.waiting);
        }
        done
    }
}

#[async_trait]
impl ClientStore for Measured {
    async fn create_client(&self, record: &ClientRecord) -> Result<(), StoreError> {
        self.time("create_client", self.within.create_client(record)).await
    }

    async fn client(&self, id: &str) -> Result<Option<ClientRecord>, StoreError> {
        self.time("client", self.within.client(id)).await
    }

    async fn clients(&self, page: &ClientPage) -> Result<Vec<ClientRecord>, StoreError> {
        self.time("clients", self.within.clients(page)).await
    }

    async fn replace_client(&self, record: &ClientRecord, expected: i64) -> Result<Replaced, StoreError> {
        self.time("replace_client", self.within.replace_client(record, expected)).await
    }

    async fn delete_client(&self, id: &str) -> Result<bool, StoreError> {
        self.time("delete_client", self.within.delete_client(id)).await
    }
}

#[async_trait]
impl TokenStore for Measured {
    async fn write_tokens(&self, batch: &[Write]) -> Result<Vec<Verdict>, StoreError> {
        self.time("write_tokens", self.within.write_tokens(batch)).await
    }

    async fn access_token(&self, signature: &SignatureHash) -> Result<Option<AccessToken>, StoreError> {
        self.time("access_token", self.within.access_token(signature)).await
    }

    async fn delete_tokens_of_client(&self, client_id: &str, new_family: Uuid) -> Result<bool, StoreError> {
        self.time("delete_tokens_of_client", self.within.delete_tokens_of_client(client_id, new_family)).await
    }
}

#[async_trait]
impl KeyStore for Measured {
    async fn keys(&self, sets: &[String]) -> Result<Vec<KeyRow>, StoreError> {
        self.time("keys", self.within.keys(sets)).await
    }

    async fn change_keys(&self, sets: &[String], decide: KeyDecision) -> Result<Vec<KeyRow>, StoreError> {
        self.time("change_keys", self.within.change_keys(sets, decide)).await
    }
}

#[async_trait]
impl Upkeep for Measured {
    async fn ping(&self) -> Result<(), StoreError> {
        self.time("ping", self.within.ping()).await
    }

    async fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        self.time("migrations", self.within.migrations()).await
    }

    async fn sweep(&self, limit: usize) -> Result<Sweep, StoreError> {
        self.time("sweep", self.within.sweep(limit)).await
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.within.changes()
    }

    fn pool(&self) -> Option<PoolStatus> {
        self.within.pool()
    }

    async fn close(&self) {
        self.within.close().await;
    }
}
