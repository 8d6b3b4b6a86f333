//! The store in one SQLite file, or in memory. One thread owns the writing connection and commits many callers' work
//! at once; readers have connections of their own. Used only through the port.
//!
//! Invariant: an answer leaves after the commit, and one server at a time holds the file.

mod clients;
mod consents;
mod devices;
mod ended;
mod exchange;
mod faults;
mod flows;
mod hydra;
mod keys;
mod migrate;
mod outbox;
mod place;
mod reader;
mod rows;
mod sessions;
mod survey;
mod sweep;
mod tokens;
mod upkeep;
mod writer;

pub(super) use hydra::read_hydra;
pub(super) use migrate::{migrate, migration_status};
pub(super) use place::Place;
pub(super) use survey::survey;

use super::{Change, OpenError, OpenOptions, StoreError};
use crate::domain::world::{Clock, Timestamp};
use crate::telemetry::metrics::Metrics;
use place::FileLock;
use reader::Readers;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::broadcast;
use writer::Writer;

/// How many changes a slow listener may fall behind before it has lost some.
const FEED_LENGTH: usize = 1024;
/// What a verb may take beyond the statement's own time.
const GRACE: Duration = Duration::from_millis(500);

/// What a job on either thread knows of the world.
struct World {
    clock: Arc<dyn Clock>,
    nid: OnceLock<Vec<u8>>,
    metrics: Arc<Metrics>,
}

impl World {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The network's id, read once: the schema may come after the server.
    fn nid(&self, db: &Connection) -> Result<&[u8], StoreError> {
        if let Some(nid) = self.nid.get() {
            return Ok(nid);
        }
        let found: Vec<u8> = db.query_row(NETWORK, [], |row| row.get(0)).map_err(faults::store_error)?;
        Ok(self.nid.get_or_init(|| found))
    }
}

const NETWORK: &str = "SELECT id FROM network ORDER BY id LIMIT 1";

/// The store on SQLite.
pub(super) struct SqliteStore {
    writer: Writer,
    /// `None` in memory, where the writer's connection is the only one.
    readers: Option<Readers>,
    feed: broadcast::Sender<Change>,
    deadline: Duration,
    /// The database and its write-ahead log; none in memory.
    files: Option<(PathBuf, PathBuf)>,
    lock: std::sync::Mutex<Option<FileLock>>,
}

impl SqliteStore {
    /// Opens the file and starts the threads.
    pub(super) async fn open(place: Place, options: &OpenOptions) -> Result<Self, OpenError> {
        let (clock, metrics) = (Arc::clone(&options.clock), Arc::clone(&options.metrics));
        let world = Arc::new(World { clock, nid: OnceLock::new(), metrics });
        let lock = place.lock()?;
        let mut db = place.connect()?;
        if place == Place::Memory {
            migrate::apply(&mut db)?;
        }
        let (feed, _) = broadcast::channel(FEED_LENGTH);
        let readers = match place {
            Place::Memory => None,
            Place::File(_) => Some(Readers::start(&place, &world)?),
        };
        let files = place.files();
        let writer = Writer::start(db, world, feed.clone())?;
        let deadline = options.statement_timeout.saturating_add(GRACE);
        Ok(Self { writer, readers, feed, deadline, files, lock: std::sync::Mutex::new(lock) })
    }

    /// Runs a job that writes, as a whole or not at all.
    async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &World, &mut Vec<Change>) -> Result<T, StoreError> + Send + 'static,
    {
        self.in_time(self.writer.run(job)).await
    }

    /// Runs a job that only reads.
    async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &World) -> Result<T, StoreError> + Send + 'static,
    {
        match &self.readers {
            Some(readers) => self.in_time(readers.run(job)).await,
            None => self.in_time(self.writer.run(move |db, world, _| job(db, world))).await,
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        tokio::time::timeout(self.deadline, work)
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("SQLite did not answer in time".to_owned())))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]
mod tests;
