//! Reads of access tokens: many callers share one statement. While a lane is free a read goes at once, else it waits for
//! the next statement with all that came meanwhile.

use super::faults::Fault;
use super::{Core, rows, run};
use crate::store::deadline;
use crate::store::io::IoRuntime;
use crate::store::{AccessKey, AccessToken, StoreError};
use deadpool_postgres::Object;
use futures_util::FutureExt;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

/// Statements under way at once.
const LANES: usize = 2;
/// Largest batch.
const BATCH: usize = 128;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Reads that may wait; more are refused.
const WAITING: usize = 4096;

type Found = Result<Option<AccessToken>, StoreError>;

/// Somebody's read.
struct Ask {
    key: AccessKey,
    reply: oneshot::Sender<Found>,
}

/// The way to the lanes.
pub(super) struct Reader(mpsc::Sender<Ask>);

impl Reader {
    /// Starts the lanes.
    pub(super) fn start(core: &Core, io: &IoRuntime) -> Self {
        let (asks, waiting) = mpsc::channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..LANES {
            io.keep(lane(core.clone(), Arc::clone(&waiting)));
        }
        Self(asks)
    }

    /// The valid access token of that key.
    pub(super) async fn access_token(&self, key: &AccessKey) -> Found {
        let (reply, answer) = oneshot::channel();
        let unavailable = |why: &str| Err(StoreError::Unavailable(why.to_owned()));
        if self.0.try_send(Ask { key: *key, reply }).is_err() {
            return unavailable("too many reads are waiting");
        }
        // The lane keeps the statement's deadline; whoever has less time goes earlier.
        match tokio::time::timeout(deadline::left(PATIENCE), answer).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => unavailable("the process is stopping"),
            Err(_) => unavailable("PostgreSQL did not answer in time"),
        }
    }
}

async fn lane(core: Core, waiting: Arc<Mutex<mpsc::Receiver<Ask>>>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.lock().await.recv_many(&mut batch, BATCH).await > 0 {
        // Who gave up waiting needs no answer.
        batch.retain(|ask| !ask.reply.is_closed());
        if batch.is_empty() {
            continue;
        }
        let keys: Vec<&[u8]> = batch.iter().map(|ask| ask.key.as_slice()).collect();
        let found = match AssertUnwindSafe(all(&core, &keys)).catch_unwind().await {
            Ok(found) => found,
            Err(_) => Err(StoreError::Corrupt("a read panicked".to_owned())),
        };
        drop(keys);
        // What is away for one is away for all who came meanwhile.
        if let (Err(StoreError::Unavailable(_)), Ok(mut waiting)) = (&found, waiting.try_lock()) {
            batch.extend(std::iter::from_fn(|| waiting.try_recv().ok()));
        }
        for Ask { key, reply } in batch.drain(..) {
            let _ = reply.send(match &found {
                Ok(found) => found.get(&key).cloned().transpose(),
                Err(error) => Err(error.clone()),
            });
        }
    }
}

/// Each token by its own key, then its family: a planner that knows too little of a young table would rather go through
/// all tokens of a family. `OFFSET 0` keeps it from that. The least and the greatest key spare the statement the hours
/// that are none of theirs before it begins.
const VALID: &str = "
    SELECT t.*
    FROM unnest($1::bytea[]) AS k (signature)
    CROSS JOIN LATERAL (
        SELECT signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at, session
        FROM access_token
        WHERE access_token.signature = k.signature AND access_token.signature BETWEEN $3 AND $4 OFFSET 0) t
    CROSS JOIN LATERAL (SELECT revoked_at FROM token_family WHERE id = t.family_id OFFSET 0) f
    WHERE t.nid = $2 AND t.expires_at > clock_timestamp() AND f.revoked_at IS NULL";

/// Each by its key; a row that cannot be read spoils no other.
type ByKey = HashMap<AccessKey, Result<AccessToken, StoreError>>;

async fn all(core: &Core, keys: &[&[u8]]) -> Result<ByKey, StoreError> {
    let nid = core.nid().await?;
    run!(core, |conn| valid(&*conn, nid, keys))
}

async fn valid(conn: &Object, nid: Uuid, keys: &[&[u8]]) -> Result<ByKey, Fault> {
    let statement = conn.prepare_cached(VALID).await?;
    let (least, greatest) = (keys.iter().min(), keys.iter().max());
    let found = conn.query(&statement, &[&keys, &nid, &least, &greatest]).await?;
    let token =
        |row| Ok((rows::access_key(row, "signature")?, rows::access_token(row).map_err(Fault::into_store_error)));
    found.iter().map(token).collect()
}
