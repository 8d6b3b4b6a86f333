//! The metric table: one registry per process, built at boot and passed by `Arc`; every room to the right of telemetry
//! may record into it. Invariant: label values come from [`super::labels`] or are compile-time constants, so that nobody
//! outside can grow the number of series; what an alert asks for exists from the first scrape, any other series from its
//! first use; and a scrape reads memory only.

mod admission;
mod cache;
mod engine;
mod flows;
mod http;
mod oauth;
mod runtimes;
mod sqlite;
mod table;
#[cfg(test)]
mod tests;
mod upkeep;

use std::sync::Arc;

pub use engine::DbTimer;
pub use http::{ActiveRequest, HttpSample};
use prometheus::process_collector::ProcessCollector;
use prometheus::{Registry, TextEncoder};
pub use table::{Described, Kind};
use table::{Grid, Table};

/// Bucket bounds in seconds for work that is answered from memory or by one statement.
const FAST: &[f64] = &[0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Bucket bounds in seconds for the machinery, which has many series.
const MACHINERY: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0];
/// Bucket bounds in seconds for whole requests; 0.025 and 0.25 are exact because objectives are set on them.
const REQUEST: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Bucket bounds in seconds of Hydra's histograms.
const HYDRA: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bucket bounds in seconds for what others do for us, or may take its time.
const SLOW: &[f64] = &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bucket bounds in bytes: powers of sixteen.
const BYTES: &[f64] = &[256.0, 4096.0, 65_536.0, 1_048_576.0];
/// Bucket bounds for counts of messages in one commit: powers of four.
const BATCH: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0];

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    http: http::HttpTable,
    oauth: oauth::OauthTable,
    flows: flows::FlowTable,
    cache: cache::CacheTable,
    admission: admission::AdmissionTable,
    engine: engine::EngineTable,
    runtimes: runtimes::Runtimes,
    sqlite: sqlite::SqliteTable,
    upkeep: upkeep::UpkeepTable,
}

impl Metrics {
    /// Builds the table. `version` is the release, shown in `signet_build_info`.
    ///
    /// # Errors
    /// Only when two metrics of the table share a name, which the tests rule out.
    pub fn new(version: &str) -> Result<Arc<Self>, prometheus::Error> {
        Self::with(version, true)
    }

    /// The same with Hydra's names of what is counted of HTTP, or without.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(version: &str, hydra: bool) -> Result<Arc<Self>, prometheus::Error> {
        let table = Table::default();
        let (http, oauth) = (http::HttpTable::new(&table, version, hydra)?, oauth::OauthTable::new(&table)?);
        let (flows, cache) = (flows::FlowTable::new(&table)?, cache::CacheTable::new(&table)?);
        let admission = admission::AdmissionTable::new(&table)?;
        let (engine, upkeep) = (engine::EngineTable::new(&table)?, upkeep::UpkeepTable::new(&table, version)?);
        let (runtimes, sqlite) = (runtimes::Runtimes::new(&table)?, sqlite::SqliteTable::new(&table)?);
        table.foreign(ProcessCollector::for_self())?;
        let (registry, described) = table.finish();
        let all = Self { registry, described, http, oauth, flows, cache, admission, engine, runtimes, sqlite, upkeep };
        Ok(Arc::new(all))
    }

    /// Every metric, by name. A process shows those that have something to say.
    #[must_use]
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// The Prometheus text exposition (format 0.0.4, `text/plain; version=0.0.4`).
    #[must_use]
    pub fn render(&self) -> String {
        self.runtimes.look();
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
