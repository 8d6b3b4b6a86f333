//! The thread that owns the writing connection: it takes all that is waiting, runs each job in a savepoint of its own,
//! commits once, and only then answers.

use super::World;
use super::faults::{closed, store_error, undone};
use super::place::BUSY_TIMEOUT;
use crate::store::{Change, OpenError, StoreError};
use crate::telemetry::labels::TxRetry;
use rusqlite::{Connection, ErrorCode};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, oneshot};

/// How many jobs may wait.
const WAITING: usize = 1024;
/// How many jobs share a commit at most.
const GROUP: usize = 256;
/// How long to wait before a lock that another process holds is asked for again.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

type Job = Box<dyn FnOnce(&Connection, &World) -> Ran + Send>;

/// A job that has run and waits for the commit.
struct Ran {
    keep: bool,
    changes: Vec<Change>,
    answer: Box<dyn FnOnce(Result<(), StoreError>)>,
}

/// The door to the thread.
pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(db: Connection, world: Arc<World>, feed: broadcast::Sender<Change>) -> Result<Self, OpenError> {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || work(&db, &world, &feed, waiting))
            .map_err(|e| OpenError::new(format!("cannot start a thread ({e})"), "raise the limit of threads"))?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    /// Hands a job over and waits for its commit.
    pub(super) async fn run<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &World, &mut Vec<Change>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        let job: Job = Box::new(move |db, world| {
            let mut changes = Vec::new();
            // A panic in a caller's decision must not take the writer with it.
            let result = catch_unwind(AssertUnwindSafe(|| job(db, world, &mut changes)))
                .unwrap_or_else(|_| Err(StoreError::Corrupt("a job of the store panicked".to_owned())));
            let keep = result.is_ok();
            let answer = Box::new(move |committed: Result<(), StoreError>| {
                let _ = reply.send(result.and_then(|value| committed.map(|()| value)));
            });
            Ran { keep, changes, answer }
        });
        jobs.send(job).await.map_err(|_| closed())?;
        drop(jobs);
        answer.await.map_err(|_| undone())?
    }

    /// Finishes what is waiting and ends the thread.
    pub(super) async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn work(db: &Connection, world: &World, feed: &broadcast::Sender<Change>, mut waiting: mpsc::Receiver<Job>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.blocking_recv_many(&mut group, GROUP) > 0 {
        let (ran, committed) = commit_group(db, world, group.drain(..));
        for done in ran {
            if committed.is_ok() && done.keep {
                for change in done.changes {
                    let _ = feed.send(change);
                }
            }
            (done.answer)(committed.clone());
        }
    }
}

/// Runs all jobs; the result is the commit's. A job that could not be run is dropped, and its caller learns that the
/// store did nothing for it.
fn commit_group(db: &Connection, world: &World, jobs: impl Iterator<Item = Job>) -> (Vec<Ran>, Result<(), StoreError>) {
    let mut ran = Vec::new();
    let mut state = begin(db, world).map_err(store_error);
    for job in jobs {
        match state.clone().and_then(|()| run_one(db, world, job)) {
            Ok(done) => ran.push(done),
            Err(fault) => state = state.and(Err(fault)),
        }
    }
    let began = Instant::now();
    let committed = state.and_then(|()| db.execute_batch("COMMIT").map_err(store_error));
    world.metrics.sqlite_committed(began.elapsed().as_secs_f64());
    if let Err(fault) = &committed {
        tracing::warn!(%fault, "SQLite did not commit");
        if !db.is_autocommit() {
            let _ = db.execute_batch("ROLLBACK");
        }
    }
    (ran, committed)
}

/// Takes the lock for writing, which another process may hold for a moment. The wait is ours and not SQLite's, so that it
/// can be counted.
fn begin(db: &Connection, world: &World) -> rusqlite::Result<()> {
    let began = Instant::now();
    let outcome = loop {
        db.busy_timeout(Duration::ZERO)?;
        let outcome = db.execute_batch("BEGIN IMMEDIATE");
        db.busy_timeout(BUSY_TIMEOUT)?;
        let is_busy = outcome.as_ref().is_err_and(|e| e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy));
        if !is_busy || began.elapsed() > BUSY_TIMEOUT {
            break outcome;
        }
        world.metrics.db_tx_retry(TxRetry::Busy);
        std::thread::sleep(BUSY_PAUSE);
    };
    world.metrics.sqlite_locked(began.elapsed().as_secs_f64());
    outcome
}

fn run_one(db: &Connection, world: &World, job: Job) -> Result<Ran, StoreError> {
    db.execute_batch("SAVEPOINT job").map_err(store_error)?;
    let ran = job(db, world);
    let end = if ran.keep { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
    match db.execute_batch(end) {
        Ok(()) => Ok(ran),
        Err(fault) => {
            // A full disk rolls the whole transaction back by itself: nobody's work is there any more.
            let fault = if db.is_autocommit() { undone() } else { store_error(fault) };
            (ran.answer)(Err(fault.clone()));
            Err(fault)
        }
    }
}
