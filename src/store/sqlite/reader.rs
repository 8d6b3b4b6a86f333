//! Threads that read, each with a connection that cannot write.

use super::faults::closed;
use super::{Place, World};
use crate::store::{OpenError, StoreError};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// How many threads read.
const READERS: usize = 2;
/// How many jobs may wait for each.
const WAITING: usize = 1024;

type Job = Box<dyn FnOnce(&Connection, &World) + Send>;

/// The door to the threads.
pub(super) struct Readers {
    jobs: Mutex<Vec<mpsc::Sender<Job>>>,
    next: AtomicUsize,
}

impl Readers {
    /// Starts the threads.
    pub(super) fn start(place: &Place, world: &Arc<World>) -> Result<Self, OpenError> {
        let mut jobs = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let (sender, mut waiting) = mpsc::channel::<Job>(WAITING);
            let (db, world) = (place.connect_read_only()?, Arc::clone(world));
            std::thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || {
                    while let Some(job) = waiting.blocking_recv() {
                        job(&db, &world);
                    }
                })
                .map_err(|e| OpenError::new(format!("cannot start a thread ({e})"), "raise the limit of threads"))?;
            jobs.push(sender);
        }
        Ok(Self { jobs: Mutex::new(jobs), next: AtomicUsize::new(0) })
    }

    /// Has one of the threads run the job.
    pub(super) async fn run<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &World) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % READERS;
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).get(turn).cloned().ok_or_else(closed)?;
        let job: Job = Box::new(move |db, world| {
            let result = catch_unwind(AssertUnwindSafe(|| job(db, world)))
                .unwrap_or_else(|_| Err(StoreError::Corrupt("a job of the store panicked".to_owned())));
            let _ = reply.send(result);
        });
        jobs.send(job).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Lets the threads end when they have finished what is waiting.
    pub(super) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
