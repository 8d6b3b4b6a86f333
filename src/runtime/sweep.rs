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

/// How many rows of each kind were deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept(SweepCounts);

impl Swept {
    /// Every kind by its name, and its rows.
    pub const fn kinds(&self) -> [(&'static str, u64); 3] {
        // All of them by name, so that a kind that is added to the port is not forgotten here.
        let SweepCounts { access_tokens, jtis, families } = self.0;
        [("access tokens", access_tokens), ("assertion ids", jtis), ("revoked token families", families)]
    }

    /// The rows of all kinds together.
    pub fn total(&self) -> u64 {
        self.kinds().iter().map(|(_, rows)| rows).sum()
    }

    /// Whether so many rows of some kind were deleted.
    pub fn reached(&self, rows: u32) -> bool {
        self.kinds().iter().any(|(_, swept)| *swept >= u64::from(rows))
    }

    const fn add(&mut self, more: SweepCounts) {
        self.0.access_tokens += more.access_tokens;
        self.0.jtis += more.jtis;
        self.0.families += more.families;
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
        clock: Arc::new(SystemClock),
        metrics: Metrics::new(env!("CARGO_PKG_VERSION"))?,
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
        let now = leased(store, rows).await?;
        swept.add(now);
        tell(&swept);
        if !Swept(now).reached(rows) {
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
