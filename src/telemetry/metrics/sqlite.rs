//! Metrics of an SQLite database, which is a part of this process.

use prometheus::{Histogram, IntGauge};

use super::{FAST, Grid, Metrics, Table};
use crate::telemetry::labels::SqliteFile;

pub(super) struct SqliteTable {
    files: Grid<IntGauge>,
    commits: Histogram,
    locks: Histogram,
}

impl SqliteTable {
    pub(super) fn new(table: &Table) -> Result<Self, prometheus::Error> {
        Ok(Self {
            files: table
                .gauges("signet_sqlite_file_bytes", "Size of a file of the database.", &[SqliteFile::label("file")])?
                .all(),
            commits: table.histogram(
                "signet_sqlite_commit_seconds",
                "Seconds of a commit, and of the checkpoint that it now and then makes.",
                FAST,
            )?,
            locks: table.histogram(
                "signet_sqlite_lock_seconds",
                "Seconds until a transaction that writes could begin.",
                FAST,
            )?,
        })
    }
}

impl Metrics {
    /// The sizes of the database's file and of its write-ahead log.
    pub fn sqlite_files(&self, database: u64, wal: u64) {
        for (file, bytes) in [(SqliteFile::Database, database), (SqliteFile::Wal, wal)] {
            self.sqlite.files.with([file.place()], |series| series.set(i64::try_from(bytes).unwrap_or(i64::MAX)));
        }
    }

    /// Records the seconds of one commit.
    pub fn sqlite_committed(&self, seconds: f64) {
        self.sqlite.commits.observe(seconds);
    }

    /// Records the seconds until the lock for writing was there, or could not be had.
    pub fn sqlite_locked(&self, seconds: f64) {
        self.sqlite.locks.observe(seconds);
    }
}
