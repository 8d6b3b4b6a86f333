//! Sweeping by hand: what the janitor does inside a server, for a command.

use super::system::SystemClock;
use crate::store::{self, OpenOptions, Store, Sweep, SweepCounts};
use crate::telemetry::metrics::Metrics;
use anyhow::bail;
use std::sync::Arc;
use std::time::Duration;

/// Nobody waits for this but the one who asked, so a statement may take its time.
const STATEMENT: Duration = Duration::from_secs(60);
/// A replica holds the lease for one of its own batches.
const BREATH: Duration = Duration::from_millis(200);
const PATIENCE: u32 = 150;

/// How many rows of each kind were deleted, by the name of their table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept([(&'static str, u64); 12]);

impl Swept {
    /// Every table and its rows.
    pub const fn kinds(&self) -> &[(&'static str, u64)] {
        &self.0
    }

    /// The rows of all kinds together.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, rows)| rows).sum()
    }

    /// Whether so many rows of some kind were deleted. What goes by the hour goes without being counted off.
    pub fn reached(&self, rows: u32) -> bool {
        self.0.iter().any(|(kind, swept)| *kind != SweepCounts::IN_HOURS && *swept >= u64::from(rows))
    }

    fn add(&mut self, more: &Self) {
        for ((_, sum), (_, rows)) in self.0.iter_mut().zip(more.0) {
            *sum += rows;
        }
    }
}

impl Default for Swept {
    fn default() -> Self {
        Self(SweepCounts::default().by_table())
    }
}

/// Deletes what is over, `batch` rows of each kind in a transaction and `limit` in all, and tells after each.
pub(super) async fn sweep(
    dsn: &str,
    batch: u32,
    limit: u32,
    tell: &mut (impl FnMut(&Swept) + Send),
) -> anyhow::Result<Swept> {
    let options = OpenOptions {
        dsn: dsn.to_owned(),
        max_conns: 1,
        statement_timeout: STATEMENT,
        access_token_life: Duration::ZERO,
        clock: Arc::new(SystemClock),
        metrics: Metrics::new(env!("CARGO_PKG_VERSION"))?,
        cache: None,
    };
    let store = store::open(options).await?;
    let swept = all(&*store, batch, limit, tell).await;
    store.close().await;
    swept
}

async fn all(
    store: &dyn Store,
    batch: u32,
    limit: u32,
    tell: &mut (impl FnMut(&Swept) + Send),
) -> anyhow::Result<Swept> {
    let (mut swept, mut left) = (Swept::default(), limit);
    while left > 0 {
        let rows = batch.min(left);
        let now = Swept(leased(store, rows).await?.by_table());
        swept.add(&now);
        tell(&swept);
        if !now.reached(rows) {
            break;
        }
        left -= rows;
    }
    Ok(swept)
}

async fn leased(store: &dyn Store, rows: u32) -> anyhow::Result<SweepCounts> {
    for _ in 0..PATIENCE {
        match store.sweep(usize::try_from(rows)?).await? {
            Sweep::Swept(counts) => return Ok(counts),
            Sweep::Elsewhere => tokio::time::sleep(BREATH).await,
        }
    }
    bail!("another process has been sweeping this database all the time; try again later")
}
