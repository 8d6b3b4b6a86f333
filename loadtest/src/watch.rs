//! CPU time and memory of the processes named by `--watch`, from `/proc`. A process's direct children belong to it, so
//! the pid of a postmaster stands for the whole of PostgreSQL. Only the generator is read alone: the bare handler is
//! its child and has a line of its own.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;

/// `/proc` counts in ticks; Linux fixes their rate towards user space at 100 a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process to watch.
#[derive(Clone, Debug)]
pub struct Watched {
    pub name: String,
    pub pid: u32,
    /// Whether its children belong to it.
    pub family: bool,
}

impl Watched {
    /// This process, without its children.
    pub fn generator() -> Self {
        Self { name: crate::GENERATOR.to_owned(), pid: std::process::id(), family: false }
    }
}

impl std::str::FromStr for Watched {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, pid) = text.split_once('=').context("expected NAME=PID")?;
        let pid = pid.parse().context("the pid is not a number")?;
        Ok(Self { name: name.to_owned(), pid, family: true })
    }
}

/// One reading of one process tree.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Reading {
    /// CPU seconds since the process began, its children's included.
    pub cpu_seconds: f64,
    /// Kilobytes in memory: private pages of every process, shared ones once.
    pub rss_kb: u64,
}

/// Reads every watched process; one that is gone is left out.
pub fn read_all(watched: &[Watched]) -> BTreeMap<String, Reading> {
    let children = children();
    watched
        .iter()
        .filter_map(|process| {
            let family = process.family.then(|| children.get(&process.pid).map(Vec::as_slice).unwrap_or_default());
            Some((process.name.clone(), read(process.pid, family)?))
        })
        .collect()
}

fn read(pid: u32, family: Option<&[u32]>) -> Option<Reading> {
    let own = ticks(pid)?;
    // Reaped children are in the parent's own account (cutime, cstime).
    let reaped = if family.is_some() { own.reaped } else { 0 };
    let children = family.unwrap_or_default();
    let living: u64 = children.iter().filter_map(|child| ticks(*child)).map(|ticks| ticks.own).sum();
    let (mut private, mut shared) = (0, 0);
    for pid in std::iter::once(&pid).chain(children) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        private += kilobytes(&status, "RssAnon:");
        shared = shared.max(kilobytes(&status, "RssFile:") + kilobytes(&status, "RssShmem:"));
    }
    let peak = if children.is_empty() {
        kilobytes(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), "VmHWM:")
    } else {
        0
    };
    Some(Reading {
        cpu_seconds: (own.own + reaped + living) as f64 / TICKS_PER_SECOND,
        rss_kb: peak.max(private + shared),
    })
}

/// Megabytes that a process holds at this moment.
pub fn resident_mb(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(kilobytes(&status, "VmRSS:") as f64 / 1024.0)
}

struct Ticks {
    own: u64,
    reaped: u64,
    parent: u32,
}

/// `/proc/<pid>/stat`; the command in parentheses may itself hold spaces and parentheses.
fn ticks(pid: u32) -> Option<Ticks> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Ticks {
        own: number(11)? + number(12)?,
        reaped: number(13)? + number(14)?,
        parent: u32::try_from(number(1)?).ok()?,
    })
}

fn children() -> BTreeMap<u32, Vec<u32>> {
    let mut found: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return found };
    for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Some(ticks) = ticks(pid) {
            found.entry(ticks.parent).or_default().push(pid);
        }
    }
    found
}

fn kilobytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_process() {
        let reading = read_all(&[Watched::generator()]);
        assert!(reading.get(crate::GENERATOR).is_some_and(|reading| reading.rss_kb > 1000));
        assert!(resident_mb(std::process::id()).is_some_and(|held| held > 1.0));
        assert_eq!(resident_mb(u32::MAX), None);
    }

    #[test]
    fn a_watch_is_name_and_pid() {
        assert!("server=12".parse::<Watched>().is_ok());
        assert!("12".parse::<Watched>().is_err());
        assert!("server=x".parse::<Watched>().is_err());
    }
}
