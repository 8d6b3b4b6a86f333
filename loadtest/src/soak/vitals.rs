//! Memory, open files and threads of the replicas and their connections to PostgreSQL, looked at all the time.

use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Stage;
use super::history::Micros;

/// One look at one replica.
#[derive(Clone, Copy, Debug)]
pub struct Vital {
    pub at: Micros,
    pub replica: u8,
    /// Which of its processes this was.
    pub life: u32,
    pub rss_kb: u64,
    pub fds: u64,
    pub threads: u64,
}

/// All looks.
#[derive(Default)]
pub struct Vitals {
    pub seen: Mutex<Vec<Vital>>,
    /// Connections to PostgreSQL at the time of each look, when it could be asked.
    pub connections: Mutex<Vec<i64>>,
}

/// Looks until the soak ends.
pub async fn watch(stage: Arc<Stage>, every: Duration) {
    loop {
        for replica in &stage.replicas {
            let Some((rss_kb, threads, fds)) = replica.pid().and_then(read) else { continue };
            let (at, life) = (stage.history.now(), replica.lives.load(Ordering::Relaxed));
            let vital = Vital { at, replica: replica.number, life, rss_kb, fds, threads };
            stage.vitals.seen.lock().unwrap_or_else(PoisonError::into_inner).push(vital);
        }
        if let Ok(Ok(count)) = tokio::time::timeout(every, stage.database.connections()).await {
            stage.vitals.connections.lock().unwrap_or_else(PoisonError::into_inner).push(count);
        }
        tokio::time::sleep(every).await;
    }
}

/// Kilobytes in memory, threads and open files of a process.
fn read(pid: u32) -> Option<(u64, u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let number = |key: &str| -> Option<u64> {
        status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
    };
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    Some((number("VmRSS:")?, number("Threads:")?, files as u64))
}
