//! What the figures were measured on: the machine, PostgreSQL's settings, and what a commit costs on this disk.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::postgres;

/// What changes how fast PostgreSQL writes and reads.
const SETTINGS: &str = "select name, current_setting(name) from pg_settings where name = any ('{server_version,fsync,\
     synchronous_commit,full_page_writes,wal_sync_method,wal_compression,shared_buffers,max_wal_size,checkpoint_timeout,\
     max_connections,shared_preload_libraries}') order by name";

/// The machine, in words.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    pub cores: usize,
    pub processor: String,
    pub memory_mb: u64,
    pub kernel: String,
    /// Microseconds of each way to make a write durable, as pg_test_fsync tells them.
    pub fsync_us: Vec<(String, f64)>,
    pub settings: Vec<(String, String)>,
}

impl Machine {
    /// Reads it all; `fsync` is a file with what pg_test_fsync said.
    pub async fn read(dsn: Option<&str>, fsync: Option<&Path>) -> Result<Self> {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let fsync = match fsync {
            Some(path) => fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
            None => String::new(),
        };
        let settings = match dsn {
            Some(dsn) => {
                let rows = postgres::connect(dsn).await?.query(SETTINGS, &[]).await?;
                rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_>>()?
            }
            None => Vec::new(),
        };
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor: field(&text("/proc/cpuinfo"), "model name").to_owned(),
            memory_mb: field(&text("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0) / 1024,
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            fsync_us: fsync_times(&fsync),
            settings,
        })
    }

    /// Milliseconds of the way PostgreSQL uses.
    pub fn fsync_ms(&self) -> Option<f64> {
        let method = self.settings.iter().find(|(name, _)| name == "wal_sync_method").map_or("fdatasync", |(_, m)| m);
        self.fsync_us.iter().find(|(name, _)| name == method).map(|(_, micros)| micros / 1000.0)
    }
}

/// The value of `name : value`.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.filter(|(found, _)| found.trim() == name).map(|(_, value)| value.trim()).next().unwrap_or_default()
}

/// The first table of pg_test_fsync, one 8 kB write: lines of `method  N ops/sec  M usecs/op`.
fn fsync_times(text: &str) -> Vec<(String, f64)> {
    let table = text.split("Compare file sync methods").nth(1).unwrap_or_default();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "usecs/op")?;
        Some(((*words.first()?).to_owned(), words.get(at.checked_sub(1)?)?.parse().ok()?))
    };
    table.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "1 second per test
O_DIRECT supported on this platform for open_datasync and open_sync.

Compare file sync methods using one 8kB write:
(in wal_sync_method preference order, except fdatasync is Linux's default)
        open_datasync                      1234.567 ops/sec     810 usecs/op
        fdatasync                          1666.250 ops/sec     600 usecs/op
        fsync_writethrough                              n/a

Compare file sync methods using two 8kB writes:
        fdatasync                           500.000 ops/sec    2000 usecs/op
";

    #[test]
    fn a_commit_costs_what_the_first_table_says_of_the_method_in_use() {
        let mut machine = Machine { fsync_us: fsync_times(SAID), ..Machine::default() };
        assert_eq!(machine.fsync_us.len(), 2);
        assert_eq!(machine.fsync_ms(), Some(0.6));
        machine.settings.push(("wal_sync_method".to_owned(), "open_datasync".to_owned()));
        assert_eq!(machine.fsync_ms(), Some(0.81));
        assert_eq!(Machine::default().fsync_ms(), None);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        assert_eq!(field("MemTotalX: 1\nMemTotal:  24 kB\n", "MemTotal"), "24 kB");
        assert_eq!(field("", "MemTotal"), "");
    }
}
