//! The runtime that every PostgreSQL socket lives on. A web worker is a runtime of its own: were its sockets there,
//! one busy worker would stall the queries of all others, and its end would end them.

use crate::store::OpenError;
use deadpool_postgres::Connect;
use futures_util::future::BoxFuture;
use std::sync::{Mutex, PoisonError};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

/// How many threads drive the sockets.
const THREADS: usize = 2;

/// Owns the runtime; ends it without waiting, which is lawful inside another runtime.
pub(super) struct IoRuntime {
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
}

impl IoRuntime {
    /// Starts the threads.
    pub(super) fn start() -> Result<Self, OpenError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("store-io")
            .enable_all()
            .build()
            .map_err(|e| OpenError::new(format!("cannot start threads ({e})"), "raise the limit of threads"))?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Mutex::new(Some(runtime)) })
    }

    /// The door to it.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs a task until the store is closed.
    pub(super) fn keep(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(task));
    }

    /// Ends the runtime and all that is on it.
    pub(super) fn close(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl Drop for IoRuntime {
    fn drop(&mut self) {
        self.close();
    }
}

/// Connects on the io runtime, whoever asks.
pub(super) struct ConnectOn {
    pub(super) io: Handle,
    pub(super) tls: MakeRustlsConnect,
}

impl Connect for ConnectOn {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let (config, tls, io) = (config.clone(), self.tls.clone(), self.io.clone());
        Box::pin(async move {
            let driver = io.clone();
            // Who gives up waiting ends the attempt.
            let connected = AbortOnDropHandle::new(io.spawn(async move {
                let (client, connection) = config.connect(tls).await?;
                let driven = driver.spawn(async move {
                    if let Err(fault) = connection.await {
                        tracing::warn!(%fault, "a connection to PostgreSQL ended");
                    }
                });
                Ok((client, driven))
            }));
            match connected.await {
                Ok(outcome) => outcome,
                // The runtime ended with the store: the pool's own time limit answers.
                Err(_) => std::future::pending().await,
            }
        })
    }
}
