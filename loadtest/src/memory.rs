//! What a server holds after very many tokens: before the load, at its highest, and when the load has ended.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::measure::{Bench, SERVER};
use crate::report::Report;
use crate::run_set::shown;
use crate::scenarios::Kind;
use crate::target::Target;
use crate::watch;

/// Longer than any server needs; the run ends when the tokens are issued.
const MOST_SECONDS: f64 = 3600.0;

/// Megabytes of the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    pub tokens: u64,
    pub before_mb: f64,
    pub peak_mb: f64,
    pub after_mb: f64,
    pub report: Report,
}

/// Issues so many tokens and reads the server's memory.
pub async fn run(bench: &Bench, target: &Target, tokens: u64) -> Result<Memory> {
    let server = bench.watched.iter().find(|watched| watched.name == SERVER);
    let pid = server.context("whose memory? Give --watch server=PID")?.pid;
    let held = || watch::resident_mb(pid).context("the server is gone");
    let before = held()?;
    let mut bench = bench.lasting(MOST_SECONDS);
    bench.pace.warmup = Duration::ZERO;
    let report = shown(Kind::Million { tokens }.run(&bench, target).await?);
    let peak = report.processes.get(SERVER).map_or(0.0, |cost| cost.peak_rss_mb);
    Ok(Memory { tokens, before_mb: before, peak_mb: peak, after_mb: held()?, report })
}
