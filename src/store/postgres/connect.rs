//! Connecting to PostgreSQL, on the runtime that its sockets live on.

use deadpool_postgres::Connect;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

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
