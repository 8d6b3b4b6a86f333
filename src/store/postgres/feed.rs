//! The feed of changes: `LISTEN` on a connection of its own. Only writes of clients and keys notify, never those of
//! tokens: PostgreSQL commits notifying transactions one after the other.

use super::door::Door;
use super::faults::Fault;
use super::tries::jittered;
use crate::store::Change;
use deadpool_postgres::GenericClient;
use futures_util::stream::{StreamExt, poll_fn};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};
use tokio_postgres::{AsyncMessage, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The payload for a change of keys.
pub(super) const KEYS: &str = "keys";
const ALL: &str = "all";
const CLIENT: &str = "client:";
/// PostgreSQL's limit on a payload is 7999 bytes.
const LONGEST_ID: usize = 7900;

const LISTEN: &str = "LISTEN signet_change";
const NOTIFY: &str = "SELECT pg_notify('signet_change', $1)";

/// Pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a quiet connection is asked whether it still lives, and how long it may take to answer.
const QUIET: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(3);

/// The payload for a change of a client.
pub(super) fn client_payload(id: &str) -> String {
    if id.len() > LONGEST_ID { ALL.to_owned() } else { format!("{CLIENT}{id}") }
}

fn change(payload: &str) -> Change {
    match payload.strip_prefix(CLIENT) {
        Some(id) => Change::Client(id.to_owned()),
        None if payload == KEYS => Change::Keys,
        None => Change::All,
    }
}

/// Tells all replicas when the transaction commits.
pub(super) async fn notify(db: &impl GenericClient, payload: &str) -> Result<(), Fault> {
    let statement = db.prepare_cached(NOTIFY).await?;
    db.query(&statement, &[&payload]).await?;
    Ok(())
}

/// Listens for ever; whenever a connection has begun, something may have been missed before.
pub(super) async fn listen(config: Config, tls: MakeRustlsConnect, feed: broadcast::Sender<Change>, door: Arc<Door>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let connecting = tokio::time::timeout(PATIENCE, config.connect(tls.clone()));
        if let Ok(Ok((client, connection))) = connecting.await {
            let (heard, changes) = mpsc::unbounded_channel();
            tokio::select! {
                () = drive(connection, heard) => {}
                () = door.renewed(begun) => {}
                began = pass_on(&client, changes, &feed) => if began { pause = FIRST_PAUSE },
            }
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Drives the connection until it ends.
async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, heard: mpsc::UnboundedSender<Change>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut messages = poll_fn(move |context| connection.poll_message(context));
    while let Some(Ok(message)) = messages.next().await {
        if let AsyncMessage::Notification(note) = message {
            let _ = heard.send(change(note.payload()));
        }
    }
}

/// Passes changes on until the connection no longer answers; whether it ever did.
async fn pass_on(
    client: &tokio_postgres::Client,
    mut changes: mpsc::UnboundedReceiver<Change>,
    feed: &broadcast::Sender<Change>,
) -> bool {
    if !answers(client, LISTEN).await {
        return false;
    }
    let _ = feed.send(Change::All);
    loop {
        match tokio::time::timeout(QUIET, changes.recv()).await {
            Ok(Some(change)) => drop(feed.send(change)),
            Ok(None) => return true,
            Err(_) if answers(client, "SELECT 1").await => {}
            Err(_) => return true,
        }
    }
}

async fn answers(client: &tokio_postgres::Client, sql: &str) -> bool {
    matches!(tokio::time::timeout(PATIENCE, client.batch_execute(sql)).await, Ok(Ok(())))
}
