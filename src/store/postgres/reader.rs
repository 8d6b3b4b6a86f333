//! Reads of tokens by their keys: many callers share one statement. While a lane is free a read goes at once, else it
//! waits for the next statement with all that came meanwhile.

use super::faults::Fault;
use super::{Core, rows, run};
use crate::store::deadline;
use crate::store::io::IoRuntime;
use crate::store::{AccessKey, AccessToken, FoundCode, FoundRefresh, SignatureHash, StoreError};
use deadpool_postgres::Object;
use futures_util::FutureExt;
use std::collections::HashMap;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// Statements of one kind under way at once.
const LANES: usize = 2;
/// Largest batch.
const BATCH: usize = 128;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Reads that may wait; more are refused.
const WAITING: usize = 4096;

/// What is read by its key, and how.
pub(super) trait Found: Clone + Send + Sync + 'static {
    /// The key.
    type Key: AsRef<[u8]> + for<'a> TryFrom<&'a [u8]> + Copy + Eq + Hash + Send + Sync;

    /// Finds those of the keys `$1` in the network `$2`; each row has its key as `signature`.
    const SQL: &str;

    /// Whether the statement also takes the least and the greatest key, as `$3` and `$4`.
    const BOUNDED: bool = false;

    /// Reads a row.
    fn of(row: &Row) -> Result<Self, Fault>;
}

/// Somebody's read.
struct Ask<T: Found> {
    key: T::Key,
    reply: oneshot::Sender<Result<Option<T>, StoreError>>,
}

/// The way to the lanes.
pub(super) struct Reader<T: Found>(mpsc::Sender<Ask<T>>);

impl<T: Found> Reader<T> {
    /// Starts the lanes.
    pub(super) fn start(core: &Core, io: &IoRuntime) -> Self {
        let (asks, waiting) = mpsc::channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..LANES {
            io.keep(lane::<T>(core.clone(), Arc::clone(&waiting)));
        }
        Self(asks)
    }

    /// What has that key.
    pub(super) async fn get(&self, key: &T::Key) -> Result<Option<T>, StoreError> {
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

async fn lane<T: Found>(core: Core, waiting: Arc<Mutex<mpsc::Receiver<Ask<T>>>>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.lock().await.recv_many(&mut batch, BATCH).await > 0 {
        // Who gave up waiting needs no answer.
        batch.retain(|ask| !ask.reply.is_closed());
        if batch.is_empty() {
            continue;
        }
        let keys: Vec<&[u8]> = batch.iter().map(|ask| ask.key.as_ref()).collect();
        let found = match AssertUnwindSafe(all::<T>(&core, &keys)).catch_unwind().await {
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

/// What has those keys, each in its key's place: a statement of its own, for who has many keys already.
pub(super) async fn get_all<T: Found>(core: &Core, keys: &[T::Key]) -> Result<Vec<Option<T>>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let bytes: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
    let found = all::<T>(core, &bytes).await?;
    keys.iter().map(|key| found.get(key).cloned().transpose()).collect()
}

/// Each by its key; a row that cannot be read spoils no other.
type ByKey<T> = HashMap<<T as Found>::Key, Result<T, StoreError>>;

async fn all<T: Found>(core: &Core, keys: &[&[u8]]) -> Result<ByKey<T>, StoreError> {
    let nid = core.nid().await?;
    run!(core, |conn| found(&*conn, nid, keys))
}

async fn found<T: Found>(conn: &Object, nid: Uuid, keys: &[&[u8]]) -> Result<ByKey<T>, Fault> {
    let statement = conn.prepare_cached(T::SQL).await?;
    let (least, greatest) = (keys.iter().min(), keys.iter().max());
    let values: [&(dyn ToSql + Sync); 4] = [&keys, &nid, &least, &greatest];
    let found = conn.query(&statement, values.get(..if T::BOUNDED { 4 } else { 2 }).unwrap_or_default()).await?;
    found.iter().map(|row| Ok((key::<T>(row)?, T::of(row).map_err(Fault::into_store_error)))).collect()
}

fn key<T: Found>(row: &Row) -> Result<T::Key, Fault> {
    let bytes: &[u8] = row.try_get("signature")?;
    T::Key::try_from(bytes).map_err(|_| Fault::Corrupt("a key has another length".to_owned()))
}

// Each by its own key, then its family: a planner that knows too little of a young table would rather go through all
// tokens of a family. `OFFSET 0` keeps it from that.

/// The valid ones. The least and the greatest key spare the statement the hours that are none of theirs before it begins.
impl Found for AccessToken {
    type Key = AccessKey;
    const BOUNDED: bool = true;
    const SQL: &str = "
        SELECT t.*
        FROM unnest($1::bytea[]) AS k (signature)
        CROSS JOIN LATERAL (
            SELECT signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at, session
            FROM access_token
            WHERE access_token.signature = k.signature AND access_token.signature BETWEEN $3 AND $4 OFFSET 0) t
        CROSS JOIN LATERAL (SELECT revoked_at FROM token_family WHERE id = t.family_id OFFSET 0) f
        WHERE t.nid = $2 AND t.expires_at > clock_timestamp() AND f.revoked_at IS NULL";

    fn of(row: &Row) -> Result<Self, Fault> {
        rows::access_token(row)
    }
}

/// Used, expired and revoked ones too.
impl Found for FoundRefresh {
    type Key = SignatureHash;
    const SQL: &str = "
        SELECT t.*, clock_timestamp() AS now,
               coalesce(t.expires_at <= clock_timestamp(), false) AS expired, f.revoked_at IS NOT NULL AS revoked
        FROM unnest($1::bytea[]) AS k (signature)
        CROSS JOIN LATERAL (
            SELECT signature, nid, family_id, client_id, subject, scope, audience, requested_at, expires_at,
                   access_token, session, used_at, replayed, successor
            FROM refresh_token WHERE refresh_token.signature = k.signature OFFSET 0) t
        CROSS JOIN LATERAL (SELECT revoked_at FROM token_family WHERE id = t.family_id OFFSET 0) f
        WHERE t.nid = $2";

    fn of(row: &Row) -> Result<Self, Fault> {
        rows::found_refresh(row)
    }
}

/// Spent and expired ones too.
impl Found for FoundCode {
    type Key = SignatureHash;
    const SQL: &str = "
        SELECT t.*, t.expires_at <= clock_timestamp() AS expired, f.revoked_at IS NOT NULL AS revoked
        FROM unnest($1::bytea[]) AS k (signature)
        CROSS JOIN LATERAL (
            SELECT signature, nid, family_id, client_id, redirect_uri, code_challenge, expires_at, session, spent_at
            FROM authorization_code WHERE authorization_code.signature = k.signature OFFSET 0) t
        CROSS JOIN LATERAL (SELECT revoked_at FROM token_family WHERE id = t.family_id OFFSET 0) f
        WHERE t.nid = $2";

    fn of(row: &Row) -> Result<Self, Fault> {
        rows::found_code(row)
    }
}
