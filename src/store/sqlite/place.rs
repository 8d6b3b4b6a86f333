//! Where an SQLite database lies, how to open it, and the lock that keeps a second server off.

use crate::store::OpenError;
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long SQLite waits for a lock of another process (a backup, a shell).
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 64;
/// How often a taken file lock is tried again, and how long between: a process that is just ending (or a child that a
/// neighbour thread is just starting, which holds the lock until its `exec`) lets go within this.
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// Where the database lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Place {
    /// Nowhere: it ends with the process.
    Memory,
    /// In this file.
    File(PathBuf),
}

/// Held while a process serves from the file or migrates it; the operating system frees it when the process ends.
pub(super) struct FileLock {
    _file: File,
}

impl Place {
    /// Reads what follows `sqlite://`: a path and parameters, which are for other drivers and mean nothing here,
    /// except `mode=memory`.
    pub(in crate::store) fn parse(rest: &str) -> Result<Self, OpenError> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path.trim_start_matches("file:") == ":memory:" || query.split('&').any(|p| p == "mode=memory") {
            return Ok(Self::Memory);
        }
        let path = path.strip_prefix("file:").unwrap_or(path);
        let path = percent_encoding::percent_decode_str(path).decode_utf8().unwrap_or_default();
        if path.is_empty() || path.contains('\0') {
            return Err(OpenError::new("the SQLite DSN names no file", "use sqlite:///absolute/path/to/file"));
        }
        Ok(Self::File(PathBuf::from(path.as_ref())))
    }

    /// The database's file and that of its write-ahead log; none in memory.
    pub(super) fn files(&self) -> Option<(PathBuf, PathBuf)> {
        let Self::File(path) = self else { return None };
        let mut wal = path.clone().into_os_string();
        wal.push("-wal");
        Some((path.clone(), PathBuf::from(wal)))
    }

    /// Takes the file's lock, waiting up to a second for it; there is none in memory.
    pub(super) fn lock(&self) -> Result<Option<FileLock>, OpenError> {
        let Self::File(path) = self else {
            return Ok(None);
        };
        let mut name = path.clone().into_os_string();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let file =
            File::options().create(true).append(true).open(&lock).map_err(|e| unusable(&lock, &e.to_string()))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(FileLock { _file: file })),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(e)) => return Err(unusable(&lock, &e.to_string())),
            }
        }
        Err(OpenError::new(
            format!("the SQLite file {} is in use by another process", path.display()),
            "stop that process first, or use PostgreSQL to run several",
        ))
    }

    /// A connection that may write; makes the file if there is none, for its owner alone. SQLite gives the files beside it
    /// the same mode.
    pub(super) fn connect(&self) -> Result<Connection, OpenError> {
        match self {
            Self::Memory => Connection::open_in_memory().and_then(|db| ready(db, true)),
            Self::File(path) => {
                let made = File::options().create_new(true).write(true).mode(0o600).open(path);
                made.map(drop)
                    .or_else(|e| if e.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(e) })
                    .map_err(|e| unusable(path, &e.to_string()))?;
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
                let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                Connection::open_with_flags(path, flags).and_then(|db| ready(db, true))
            }
        }
        .map_err(|e| self.cannot(&e))
    }

    /// A connection that may not; the file must be there.
    pub(super) fn connect_read_only(&self) -> Result<Connection, OpenError> {
        match self {
            Self::Memory => Connection::open_in_memory(),
            Self::File(path) => {
                Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            }
        }
        .and_then(|db| ready(db, false))
        .map_err(|e| self.cannot(&e))
    }

    fn cannot(&self, fault: &rusqlite::Error) -> OpenError {
        match self {
            Self::Memory => {
                OpenError::new(format!("SQLite in memory failed ({fault})"), "give the process more memory")
            }
            Self::File(path) => unusable(path, &fault.to_string()),
        }
    }
}

fn unusable(path: &Path, why: &str) -> OpenError {
    OpenError::new(
        format!("cannot use {} ({why})", path.display()),
        "the directory must exist and be writable, the file must be an SQLite database",
    )
}

/// FULL and not NORMAL: an answered write survives a power cut.
fn ready(db: Connection, writes: bool) -> rusqlite::Result<Connection> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    if writes {
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", true)?;
    }
    Ok(db)
}
