//! The store in PostgreSQL: a pool whose sockets live on a runtime of their own. Used only through the port.
//!
//! Invariant: a verb is one statement or one transaction with a deadline, and a connection that missed a deadline never
//! returns to the pool. What has a key is found by its key alone, whatever the planner, which sees empty tables when it
//! plans, believes: the network is then compared with `IS NOT DISTINCT FROM`, which no index knows; what is to be found or
//! locked for several keys is so one by one, in a `LATERAL` with `OFFSET 0`, in the order of the keys; and what is to be
//! changed has its key in an array. Or else it would rather read all rows of a client, or a whole index in its order.

mod batch;
mod clients;
mod columns;
mod connect;
mod consents;
mod devices;
mod door;
mod dsn;
mod ended;
mod exchange;
mod faults;
mod feed;
mod flows;
mod grants;
mod hydra;
mod issue;
mod keys;
mod migrate;
mod mixed;
mod outbox;
mod partitions;
mod reader;
mod revoke;
mod rows;
mod sessions;
mod survey;
mod sweep;
mod tls;
mod tokens;
mod tries;
mod upkeep;
mod usable;

pub(super) use hydra::read_hydra;
pub(super) use migrate::{migrate, migration_status};
pub(super) use survey::survey;

use super::io::IoRuntime;
use super::{AccessToken, Change, FoundCode, FoundRefresh, OpenError, OpenOptions, StoreError};
use crate::telemetry::labels;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces;
use connect::ConnectOn;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use door::Door;
use dsn::Dsn;
use faults::Fault;
use opentelemetry::KeyValue;
use reader::Reader;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::error::Elapsed;
use tries::Tries;
use uuid::Uuid;

/// How many threads drive the sockets.
const IO_THREADS: usize = 2;
/// How many changes a slow listener may fall behind before it has lost some.
const FEED_LENGTH: usize = 1024;
/// What a verb may take beyond the statement's own time.
const GRACE: Duration = Duration::from_millis(500);
/// How long a verb waits for a free connection.
const WAIT: Duration = Duration::from_secs(1);

/// The classes of advisory locks: "SIGN" in ASCII, then what it guards.
const LOCK_CLASS: i32 = 0x5349_474E;
const LOCK_MIGRATE: i32 = 1;
const LOCK_KEYS: i32 = 2;
const LOCK_SWEEP: i32 = 3;
const LOCK_PARTITIONS: i32 = 4;

/// The store on PostgreSQL.
pub(super) struct PostgresStore {
    core: Core,
    io: IoRuntime,
    feed: broadcast::Sender<Change>,
    access_tokens: Reader<AccessToken>,
    refresh_tokens: Reader<FoundRefresh>,
    codes: Reader<FoundCode>,
    /// How long most access tokens live.
    life: Duration,
}

/// What a verb needs to run.
#[derive(Clone)]
pub(super) struct Core {
    pool: Pool,
    door: Arc<Door>,
    deadline: Duration,
    nid: Arc<OnceLock<Uuid>>,
    metrics: Arc<Metrics>,
}

impl Deref for PostgresStore {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

/// What to do after a try.
enum Settled<T> {
    Answer(Result<T, StoreError>),
    /// After a pause.
    Again(Duration),
}

/// Runs the body, which borrows the connection, under the verb's deadline; again if it lost against another
/// transaction. The body must be a whole transaction.
macro_rules! run {
    ($store:expr, |$conn:ident| $body:expr) => {{
        let mut tries = $crate::store::postgres::tries::Tries::first($store.deadline);
        loop {
            let mut held = $store.connection().await?;
            let $conn = &mut held;
            let outcome = tokio::time::timeout(tries.span(), $body).await;
            match $store.settle(held, outcome, &mut tries) {
                $crate::store::postgres::Settled::Answer(answer) => break answer,
                $crate::store::postgres::Settled::Again(pause) => tokio::time::sleep(pause).await,
            }
        }
    }};
}
use run;

impl PostgresStore {
    /// Makes the pool and starts listening to the change feed; connects to nothing yet.
    pub(super) fn open(options: &OpenOptions) -> Result<Self, OpenError> {
        let mut dsn = Dsn::parse(&options.dsn)?;
        dsn.bound_statements(options.statement_timeout);
        let io = IoRuntime::start("store-io", IO_THREADS)?;
        options.metrics.watch_runtime(labels::Runtime::Store, io.handle());
        let connect = ConnectOn { io: io.handle(), tls: tls::connector(&dsn.tls)? };
        let (feed, _) = broadcast::channel(FEED_LENGTH);
        let door = Arc::<Door>::default();
        io.keep(feed::listen(dsn.config.clone(), connect.tls.clone(), feed.clone(), Arc::clone(&door)));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(dsn.config.clone(), connect, recycling);
        let pool = Pool::builder(manager)
            .max_size(dsn.limits.max_conns.unwrap_or(options.max_conns).max(1))
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(dsn.connect_timeout.saturating_add(GRACE)))
            .runtime(Runtime::Tokio1)
            .pre_recycle(dsn.limits.hook())
            .pre_recycle(door.hook())
            .build()
            .map_err(|e| OpenError::new(format!("cannot make a pool of connections ({e})"), "check max_conns"))?;
        let deadline = options.statement_timeout.saturating_add(GRACE);
        let (nid, metrics) = (Arc::default(), Arc::clone(&options.metrics));
        let core = Core { pool, door, deadline, nid, metrics };
        let (access_tokens, refresh_tokens) = (Reader::start(&core, &io), Reader::start(&core, &io));
        let codes = Reader::start(&core, &io);
        Ok(Self { core, io, feed, access_tokens, refresh_tokens, codes, life: options.access_token_life })
    }

    /// Tells listeners in this process at once; the others hear it from the database.
    fn tell(&self, change: Change) {
        let _ = self.feed.send(change);
    }
}

impl Core {
    fn settle<T>(&self, conn: Object, outcome: Result<Result<T, Fault>, Elapsed>, tries: &mut Tries) -> Settled<T> {
        let fault = match outcome {
            Ok(Ok(value)) => return Settled::Answer(Ok(value)),
            Ok(Err(fault)) => fault,
            Err(_) => {
                self.was_silent(conn);
                let why = "PostgreSQL did not answer in time".to_owned();
                return Settled::Answer(Err(StoreError::Unavailable(why)));
            }
        };
        if let Some(reason) = fault.lost_race()
            && let Some(pause) = tries.next()
        {
            self.metrics.db_tx_retry(reason);
            traces::event("db.retry", || vec![KeyValue::new("reason", reason.as_str())]);
            return Settled::Again(pause);
        }
        if fault.only_reads() {
            self.only_reads(&conn);
        }
        Settled::Answer(Err(fault.into_store_error()))
    }

    /// The network's id, read once: the schema may come after the server.
    async fn nid(&self) -> Result<Uuid, StoreError> {
        if let Some(nid) = self.nid.get() {
            return Ok(*nid);
        }
        let found = run!(self, |conn| network(&*conn))?;
        Ok(*self.nid.get_or_init(|| found))
    }
}

const NETWORK: &str = "SELECT id FROM network ORDER BY id LIMIT 1";

async fn network(conn: &Object) -> Result<Uuid, Fault> {
    let statement = conn.prepare_cached(NETWORK).await?;
    Ok(conn.query_one(&statement, &[]).await?.try_get(0)?)
}
